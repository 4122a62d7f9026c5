// Package sampler compares tasks with wazero's interpreter, beside those who wait for them.
package sampler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/store"
)

const (
	// maxSamples is how many tasks wait to be compared, maxSample how many bytes one has, and
	// maxRecords how many mismatches of a version are kept.
	maxSamples, maxSample, maxRecords = 16, 1 << 20, 16
	// interpreted is how many times as long as a task may run the interpreter may take for it.
	interpreted = 50
)

// Config is what a sampler compares, and who is told. All fields must be set, but Dir.
type Config struct {
	// Plugin, Version and Hash say whose tasks they are.
	Plugin, Version, Hash string
	// Every is of how many tasks one is compared.
	Every uint64
	// Dir is where mismatches are kept; "" for nowhere.
	Dir string
	Log *slog.Logger
	// Checker makes what compares. It is called for the first task.
	Checker func(context.Context) (*module.Checker, error)
	// Told is called with each mismatch that is kept, and First once, after the first of all.
	Told  func(text string)
	First func(context.Context)
}

// Sampler compares tasks of one version with the interpreter. Its goroutine ends with Stop. Its
// methods may be called concurrently; those of a nil one do nothing, but for Offer.
type Sampler struct {
	cfg     Config
	count   atomic.Uint64
	queue   chan sample
	stopped chan struct{}
	cancel  context.CancelFunc

	checks, mismatches, skipped, dropped atomic.Uint64
	dropping                             atomic.Bool // which was logged
	off                                  atomic.Bool // as there is no checker, or it was stopped
	last                                 atomic.Pointer[string]
}

// Start begins to compare, until ctx ends or Stop is called.
func Start(ctx context.Context, cfg Config) *Sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &Sampler{cfg: cfg, queue: make(chan sample, maxSamples), stopped: make(chan struct{}), cancel: cancel}
	go s.run(ctx)
	return s
}

// Task is a task that compiled code has done.
type Task struct {
	Transform int // by its place in the manifest
	Name      string
	Timeout   time.Duration
	Item      abi.Item
	Stateless bool
	Result    abi.Result
	Fuel      uint64
	// Starved is whether the answer may depend on memory that was denied to the guest.
	Starved bool
}

// sample is a task, or a mark.
type sample struct {
	Task

	reached chan bool // if this is not nil, it is no task: it gets whether those before were compared, or skipped
}

// Stop ends the goroutine and waits for it. What was not compared by then is skipped, as is what
// is offered from then on. It is fine without one.
func (s *Sampler) Stop() {
	if s != nil {
		s.off.Store(true)
		s.cancel()
		<-s.stopped
	}
}

// ErrStopped is the error of [Sampler.Finish] if tasks were skipped that were in the queue, since the
// sampler was stopped.
var ErrStopped = errors.New("the version was replaced before all of its tasks were compared")

// Finish waits until what is in the queue is compared, or the sampler is stopped. Its error is
// [ErrStopped], or ctx's.
func (s *Sampler) Finish(ctx context.Context) error {
	if err := ctx.Err(); err != nil || s == nil {
		return err
	}
	skipped := s.skipped.Load()
	mark := sample{reached: make(chan bool, 1)}
	select {
	case s.queue <- mark:
	case <-s.stopped:
		return s.left(skipped)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case compared := <-mark.reached:
		if compared {
			return nil
		}
	case <-s.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.left(skipped)
}

// left returns an error if more was skipped than before.
func (s *Sampler) left(before uint64) error {
	if s.skipped.Load() != before {
		return ErrStopped
	}
	return nil
}

// Offer takes a copy of a task whose turn it is. It skips what is too large, and what depends on
// what others have of the memory.
func (s *Sampler) Offer(t *Task) {
	if s.count.Add(1)%s.cfg.Every != 0 {
		return
	}
	if t.Starved || s.off.Load() || len(t.Item.Payload)+len(t.Item.State)+len(t.Result.Payload)+len(t.Result.State) > maxSample {
		s.skipped.Add(1)
		return
	}
	if len(s.queue) < cap(s.queue) { // or the copies would be in vain
		taken := *t
		taken.Item = abi.Item{Payload: bytes.Clone(t.Item.Payload), State: bytes.Clone(t.Item.State)}
		taken.Result.Payload, taken.Result.State = bytes.Clone(t.Result.Payload), bytes.Clone(t.Result.State)
		select {
		case s.queue <- sample{Task: taken}:
			if s.off.Load() { // since the look above: there may be nobody to take it
				s.skipQueue()
			}
			return
		default:
		}
	}
	s.dropped.Add(1)
	if !s.dropping.Swap(true) {
		s.cfg.Log.Warn("tasks come faster than the interpreter does them; tasks beyond that are counted and not compared", "plugin", s.cfg.Plugin, "one_in", s.cfg.Every)
	}
}

// skipQueue skips what is in the queue.
func (s *Sampler) skipQueue() {
	for {
		select {
		case t := <-s.queue:
			if t.reached != nil {
				t.reached <- false
			} else {
				s.skipped.Add(1)
			}
		default:
			return
		}
	}
}

// run compares what is offered. The checker is made for the first: it has the binary once more.
func (s *Sampler) run(ctx context.Context) {
	defer close(s.stopped)
	var checker *module.Checker
	defer func() { _ = checker.Close(context.WithoutCancel(ctx)) }() // it frees memory and has nothing to report
	defer func() {
		s.off.Store(true)
		s.skipQueue()
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-s.queue:
			if t.reached != nil {
				t.reached <- true
				continue
			}
			if s.off.Load() { // it was offered before
				s.skipped.Add(1)
				continue
			}
			if checker == nil {
				var err error
				if checker, err = s.cfg.Checker(ctx); err != nil {
					if ctx.Err() == nil {
						s.cfg.Log.Warn("tasks cannot be compared with the interpreter", "plugin", s.cfg.Plugin, "error", err)
					}
					s.skipped.Add(1)
					s.off.Store(true)
					continue
				}
			}
			s.check(ctx, checker, &t.Task)
		}
	}
}

func (s *Sampler) check(ctx context.Context, checker *module.Checker, t *Task) {
	err := checker.Check(ctx, module.Call{
		Transform: t.Transform, Items: []abi.Item{t.Item}, Stateless: t.Stateless,
		Limits: module.Limits{Timeout: interpreted * t.Timeout, Stop: ctx},
	}, []abi.Result{t.Result}, t.Fuel)
	differ := (*module.Mismatch)(nil)
	switch {
	case ctx.Err() != nil:
		s.skipped.Add(1)
	case err == nil:
		s.checks.Add(1)
	case errors.As(err, &differ):
		s.checks.Add(1)
		s.found(ctx, t, differ)
	default:
		s.skipped.Add(1)
	}
}

// mismatchRecord is the file of a mismatch. Bytes are in base64.
type mismatchRecord struct {
	Time      time.Time `json:"time"`
	Plugin    string    `json:"plugin"`
	Version   string    `json:"version"`
	Hash      string    `json:"hash"`
	Transform string    `json:"transform"`
	Message   string    `json:"message"`
	Input     []byte    `json:"input"`
	State     []byte    `json:"state,omitempty"`
	// Compiled was the caller's answer, Interpreted is the other.
	Compiled    mismatchAnswer `json:"compiled"`
	Interpreted mismatchAnswer `json:"interpreted"`
}

type mismatchAnswer struct {
	Status string `json:"status"`
	Output []byte `json:"output,omitempty"`
	State  []byte `json:"state,omitempty"`
	Fuel   uint64 `json:"fuel,omitempty"`
	Fault  string `json:"fault,omitempty"`
}

func answerOf(a *module.Answer) mismatchAnswer {
	return mismatchAnswer{a.Status.String(), a.Payload, a.State, a.Fuel, a.Fault}
}

// found counts and tells that a task was answered differently, and keeps it.
func (s *Sampler) found(ctx context.Context, t *Task, differ *module.Mismatch) {
	n := s.mismatches.Add(1)
	text := t.Name + ": " + differ.Error()
	if n <= maxRecords {
		file, err := s.keep(t, differ, n)
		if err != nil {
			s.cfg.Log.Warn("a task that was answered differently is not kept", "plugin", s.cfg.Plugin, "error", err)
		} else if file != "" {
			text += "; kept as " + file
		}
		s.last.Store(&text)
		s.cfg.Log.Error("a task was answered differently by compiled code and the interpreter", "plugin", s.cfg.Plugin, "version", s.cfg.Version, "hash", s.cfg.Hash, "transform", t.Name, "error", text)
		s.cfg.Told(text)
	}
	if n == 1 {
		s.cfg.First(ctx)
	}
}

// keep writes a mismatch to a file and returns its name, "" without a directory. Those of a
// version replace each other from one start of a host to the next.
func (s *Sampler) keep(t *Task, differ *module.Mismatch, n uint64) (string, error) {
	if s.cfg.Dir == "" {
		return "", nil
	}
	doc, err := json.MarshalIndent(mismatchRecord{
		time.Now().UTC(), s.cfg.Plugin, s.cfg.Version, s.cfg.Hash, t.Name, differ.Error(),
		t.Item.Payload, t.Item.State, answerOf(&differ.Compiled), answerOf(&differ.Interpreted),
	}, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(s.cfg.Dir, fmt.Sprintf("%s-%d.json", s.cfg.Hash[:12], n))
	return name, store.WriteFile(name, append(doc, '\n'))
}

// Stats is a snapshot of a sampler.
type Stats struct {
	// Checks is how many tasks were compared, and Mismatches how many of them the interpreter
	// answered differently.
	Checks, Mismatches uint64
	// Skipped is how many could not be compared, and Dropped how many came too fast.
	Skipped, Dropped uint64
}

// Stats returns a snapshot.
func (s *Sampler) Stats() Stats {
	if s == nil {
		return Stats{}
	}
	return Stats{s.checks.Load(), s.mismatches.Load(), s.skipped.Load(), s.dropped.Load()}
}

// Mismatch returns what the last one was that was kept; "" without any.
func (s *Sampler) Mismatch() string {
	if s == nil {
		return ""
	}
	if text := s.last.Load(); text != nil {
		return *text
	}
	return ""
}
