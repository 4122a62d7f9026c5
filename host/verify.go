package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/store"
)

// Verify says what is done once more in wazero's interpreter, to see whether compiled code
// answers the same: status, output and state to the last bit, and how much fuel that took.
type Verify int

// Ways to verify.
const (
	// VerifySelfTests compares the self-tests of a version before it serves, those of its
	// manifest and of Source.Tests, as far as they do with 100 million units of fuel and 5 s.
	// With IsolationShared only the first of Source.Tests is compared, since what the others
	// answer may depend on those before them. The log warns of what is not compared, and the
	// next start tries again.
	// A version that answers differently is refused, at [StepVerify]. It is the default.
	VerifySelfTests Verify = iota + 1
	// VerifyOff compares nothing.
	VerifyOff
	// VerifySample also compares one in PluginConfig.VerifyEvery tasks that the guest answers, beside
	// them: one at a time, in one goroutine for each version, which drops what comes too fast.
	// It leaves out tasks that share a frame, those of more than a MiB, input and answer
	// together, and those of plugins that are granted the clock or randomness, or whose
	// isolation is IsolationShared: what these answer may depend on more than the task.
	VerifySample
)

// VerifyStats counts comparisons of tasks with the interpreter, see [VerifySample].
type VerifyStats struct {
	// Checks is how many tasks were compared, and Mismatches how many of them the interpreter
	// answered differently.
	Checks, Mismatches uint64
	// Skipped is how many could not be compared, as they were too large or were denied memory
	// that others have, or as the interpreter has no room or time for them; Dropped how many came too fast.
	Skipped, Dropped uint64
}

func (s *VerifyStats) add(o VerifyStats) {
	s.Checks += o.Checks
	s.Mismatches += o.Mismatches
	s.Skipped += o.Skipped
	s.Dropped += o.Dropped
}

const (
	// maxSamples is how many tasks wait to be compared, maxSample how many bytes one has, and
	// maxRecords how many mismatches of a version are kept.
	maxSamples, maxSample, maxRecords = 16, 1 << 20, 16
	// interpreted is how many times as long as a task may run the interpreter may take for it.
	interpreted = 50
)

// mismatches is the directory in Config.CacheDir where mismatches are kept.
const mismatches = "mismatches"

// sampler compares tasks of one version with the interpreter. Its goroutine ends with stop.
type sampler struct {
	h       *Host
	v       *version
	every   uint64
	count   atomic.Uint64
	queue   chan sample
	stopped chan struct{}
	cancel  context.CancelFunc

	checks, mismatches, skipped, dropped atomic.Uint64
	dropping                             atomic.Bool // which was logged
	off                                  atomic.Bool // as there is no checker
	last                                 atomic.Pointer[string]
}

// sample is a task that compiled code has done.
type sample struct {
	transform int
	name      string
	timeout   time.Duration
	item      abi.Item
	stateless bool
	result    abi.Result
	fuel      uint64

	reached chan struct{} // if this is not nil, it is no task: it is closed when those before are compared
}

// sampled begins to compare the version's tasks, if that is wanted and can be.
func (h *Host) sampled(v *version) {
	cfg := &v.cfg
	if cfg.Verify != VerifySample || cfg.Engine != EngineCompiler {
		return
	}
	reason := ""
	switch {
	case cfg.Isolation == IsolationShared:
		reason = "its instances keep what tasks leave, so that answers may depend on it"
	case len(cfg.Grant) > 0:
		reason = "it is granted the clock or randomness, so that answers may depend on it"
	}
	if reason != "" {
		h.log.Warn("tasks are not compared with the interpreter", "plugin", v.manifest.Name, "reason", reason)
		return
	}
	ctx, cancel := context.WithCancel(v.ctx)
	s := &sampler{h: h, v: v, every: uint64(cfg.VerifyEvery), queue: make(chan sample, maxSamples), stopped: make(chan struct{}), cancel: cancel}
	v.sampler = s
	go s.run(ctx)
}

// stop ends the goroutine and waits for it. It is fine without one.
func (s *sampler) stop() {
	if s != nil {
		s.cancel()
		<-s.stopped
	}
}

// FinishVerifying waits until the tasks that were taken to be compared with the interpreter, see
// [VerifySample], are compared, and those that come meanwhile as it likes. Its error is ctx's, if
// that ends before; the comparison then goes on. [Host.Close] waits for none.
func (h *Host) FinishVerifying(ctx context.Context) error {
	h.mu.Lock()
	var samplers []*sampler
	for _, p := range h.plugins {
		for _, v := range p.versions {
			if v.sampler != nil {
				samplers = append(samplers, v.sampler)
			}
		}
	}
	h.mu.Unlock()
	for _, s := range samplers {
		if err := s.finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finish waits until what is in the queue is compared, or the goroutine ends.
func (s *sampler) finish(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mark := sample{reached: make(chan struct{})}
	select {
	case s.queue <- mark:
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-mark.reached:
	case <-s.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// offer takes a copy of a task whose turn it is, whose output lies behind so many bytes. It skips what
// is too large, and what depends on what others have of the memory.
func (s *sampler) offer(t *spec, item *abi.Item, result *abi.Result, behind int, stateless, starved bool, fuel uint64) {
	if s.count.Add(1)%s.every != 0 {
		return
	}
	payload := result.Payload[behind:]
	if starved || s.off.Load() || len(item.Payload)+len(item.State)+len(payload)+len(result.State) > maxSample {
		s.skipped.Add(1)
		return
	}
	if len(s.queue) < cap(s.queue) { // or the copies would be in vain
		select {
		case s.queue <- sample{
			transform: t.index, name: t.Name, timeout: t.timeout, stateless: stateless, fuel: fuel,
			item:   abi.Item{Payload: bytes.Clone(item.Payload), State: bytes.Clone(item.State)},
			result: abi.Result{Status: result.Status, Payload: bytes.Clone(payload), State: bytes.Clone(result.State)},
		}:
			return
		default:
		}
	}
	s.dropped.Add(1)
	if !s.dropping.Swap(true) {
		s.h.log.Warn("tasks come faster than the interpreter does them; what is too many is not compared, and counted", "plugin", s.v.manifest.Name, "one_in", s.every)
	}
}

// run compares what is offered. The checker is made for the first: it has the binary once more.
func (s *sampler) run(ctx context.Context) {
	defer close(s.stopped)
	var checker *module.Checker
	defer func() { _ = checker.Close(context.WithoutCancel(ctx)) }() // it frees memory and has nothing to report
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-s.queue:
			if t.reached != nil {
				close(t.reached)
				continue
			}
			if s.off.Load() { // it was offered before
				s.skipped.Add(1)
				continue
			}
			if checker == nil {
				var err error
				if checker, err = s.v.engine.(sandbox).Module().NewChecker(ctx, s.v.record.source.WASM); err != nil {
					if ctx.Err() == nil {
						s.h.log.Warn("tasks cannot be compared with the interpreter", "plugin", s.v.manifest.Name, "error", err)
					}
					s.off.Store(true)
					s.skipped.Add(1)
					continue
				}
			}
			s.check(ctx, checker, &t)
		}
	}
}

func (s *sampler) check(ctx context.Context, checker *module.Checker, t *sample) {
	err := checker.Check(ctx, module.Call{
		Transform: t.transform, Items: []abi.Item{t.item}, Stateless: t.stateless,
		Limits: module.Limits{Timeout: interpreted * t.timeout, Stop: ctx},
	}, []abi.Result{t.result}, t.fuel)
	differ := (*module.Mismatch)(nil)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.checks.Add(1)
	case errors.As(err, &differ):
		s.checks.Add(1)
		s.mismatch(ctx, t, differ)
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

// mismatch counts and tells that a task was answered differently, keeps it, and pauses the plugin if that is
// wanted; a canary is rolled back.
func (s *sampler) mismatch(ctx context.Context, t *sample, differ *module.Mismatch) {
	n, v := s.mismatches.Add(1), s.v
	text := t.name + ": " + differ.Error()
	if n <= maxRecords {
		file, err := s.keep(t, differ, n)
		if err != nil {
			s.h.log.Warn("a task that was answered differently is not kept", "plugin", v.manifest.Name, "error", err)
		} else if file != "" {
			text += "; kept as " + file
		}
		s.last.Store(&text)
		s.h.log.Error("a task was answered differently by compiled code and the interpreter", "plugin", v.manifest.Name, "version", v.manifest.Version, "hash", v.hash, "transform", t.name, "error", text)
		s.h.tellPlugin(v, event.PluginMismatch, text)
	}
	if n > 1 || !v.cfg.VerifySuspend {
		return
	}
	_, done, err := s.h.transact(ctx)
	if err != nil {
		return // the host closes
	}
	defer done()
	p := v.plugin
	if serving := p.serving.Load(); serving != nil && serving.trial != nil && serving.trial.version == v &&
		s.h.decide(p, serving.trial, ReloadRolledBack, "since the interpreter answers differently") {
		return
	}
	s.h.switchPaused(p, true, v) // one that serves no more leaves the others be
}

// keep writes a mismatch to a file and returns its name, "" without Config.CacheDir. Those of a
// version replace each other from one start of a host to the next.
func (s *sampler) keep(t *sample, differ *module.Mismatch, n uint64) (string, error) {
	if s.h.cfg.CacheDir == "" {
		return "", nil
	}
	doc, err := json.MarshalIndent(mismatchRecord{
		time.Now().UTC(), s.v.manifest.Name, s.v.manifest.Version, s.v.hash, t.name, differ.Error(),
		t.item.Payload, t.item.State, answerOf(&differ.Compiled), answerOf(&differ.Interpreted),
	}, "", "  ")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(s.h.cfg.CacheDir, mismatches)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := filepath.Join(dir, fmt.Sprintf("%s-%d.json", s.v.hash[:12], n))
	return name, store.WriteFile(name, append(doc, '\n'))
}

func (s *sampler) stats() VerifyStats {
	if s == nil {
		return VerifyStats{}
	}
	return VerifyStats{Checks: s.checks.Load(), Mismatches: s.mismatches.Load(), Skipped: s.skipped.Load(), Dropped: s.dropped.Load()}
}

// mismatch returns what the last one was; "" without any.
func (v *version) mismatch() string {
	if v.sampler == nil {
		return ""
	}
	if text := v.sampler.last.Load(); text != nil {
		return *text
	}
	return ""
}
