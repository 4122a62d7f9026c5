// Package devloop is the loop of a plugin's author: at each save it builds the project,
// deploys what came of it, runs the last inputs again and says what has changed.
package devloop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
)

// Defaults of [Config].
const (
	DefaultSettle = 50 * time.Millisecond
	DefaultPoll   = 2 * time.Second
)

// Config says what is built and where it serves.
type Config struct {
	// Dir is the project, and Command builds it, run there.
	Dir     string
	Command []string
	// Name is the plugin's source for the host, WASM the file that the build makes, Tests and
	// Companion those of its self-tests and of what the host's Source.Companion is, which may be
	// missing, and Inputs one of further inputs, "" for none.
	Name, WASM, Tests, Companion, Inputs string
	// Ignore has patterns, of [path.Match], of the names of files and folders that are no
	// sources, besides those that never are.
	Ignore []string
	// Settle is how long sources must have been unchanged until they are looked at; default
	// 50 ms. Poll is how often they are without an event; default 2 s.
	Settle, Poll time.Duration
	// Once has the loop end after the first build.
	Once bool
	// MaxModule is how long the plugin is at most, in bytes; default that of the host.
	MaxModule int

	// Host is started, and not closed by the loop.
	Host *host.Host
	// Codecs translate inputs and outputs.
	Codecs *codec.Set
	// Report receives what came of a build, and Status what goes on meanwhile. Neither is
	// called concurrently. An error of Report ends the loop.
	Report func(*Report) error
	Status func(string)
	// Logs, which may be nil, is what the host's guests log through.
	Logs *GuestLog
}

// ErrFailed is the error of [Run] with Config.Once if its [Report] has failed.
var ErrFailed = errors.New("the plugin is not as it should be")

// Run runs the loop until ctx ends, and then returns nil; or with Config.Once ctx's error.
// What it started has ended by then: builds with their process group.
//
// What was built before serves while the first build goes on, and is what that is compared
// with.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Settle == 0 {
		cfg.Settle = DefaultSettle
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.MaxModule == 0 {
		cfg.MaxModule = host.DefaultMaxModule
	}
	l := &loop{Config: cfg, replayer: replayer{host: cfg.Host, codecs: cfg.Codecs, logs: cfg.Logs}}
	if cfg.Once {
		l.begin(ctx)
		r, err := l.cycle(ctx)
		if err != nil {
			return err
		}
		if err := l.report(r); err != nil {
			return err
		}
		if r.Failed() {
			return ErrFailed
		}
		return nil
	}
	s, err := newSources(cfg.Dir, cfg.Ignore, cfg.Settle, cfg.Poll)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan change)
	e := newEvents()
	var following sync.WaitGroup
	following.Go(func() { s.follow(ctx, e.woken, e.watch, changes) })
	defer func() {
		cancel()
		following.Wait()
		e.close()
	}()
	l.begin(ctx)
	return l.run(ctx, changes)
}

// loop is a run. Its fields beyond the configuration are of one goroutine at a time.
type loop struct {
	Config
	replayer replayer

	last    Version // that was reported, or was there before
	tasks   []Task  // of that
	habits  habits
	settled map[string]bool // files that were told of
}

// begin has what was built before serve.
func (l *loop) begin(ctx context.Context) {
	if _, err := os.Stat(l.WASM); err != nil {
		return
	}
	r := &Report{Plugin: l.Name}
	if err := l.deploy(ctx, r); err != nil {
		return // ctx's, as others will see
	}
	if r.Failed() {
		l.Status(fmt.Sprintf("what was built before is not taken: %s", r.reason()))
		return
	}
	l.last, l.tasks = r.Serving, r.Tasks
	l.Status(fmt.Sprintf("%s serves, as it was built before", l.last.name()))
}

// run does cycles: a save ends the one under way and begins another.
func (l *loop) run(ctx context.Context, changes <-chan change) error {
	var c change
	for {
		select { // what has changed until now is in this build
		case c = <-changes:
		default:
		}
		for c.err != nil {
			if err := l.report(l.gone(c.err)); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case c = <-changes:
			}
		}
		next, interrupted, err := l.build(ctx, changes)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if len(next.files) == 0 && next.err == nil {
			if next = l.idle(ctx, changes); ctx.Err() != nil {
				return nil //nolint:nilerr // to be told to end is no failure
			}
		}
		if c = next; c.err == nil {
			l.Status(sayChanged(c.files, interrupted))
		}
	}
}

// build does a cycle, and reports what came of it. It returns a change for which there is to be
// another, if one came, and whether that interrupted it. Its error is nil if ctx has ended.
func (l *loop) build(ctx context.Context, changes <-chan change) (next change, interrupted bool, err error) {
	type outcome struct {
		report *Report
		err    error
	}
	cycle, cancel := context.WithCancel(ctx)
	defer cancel()
	l.habits.begin(time.Now())
	done := make(chan outcome, 1)
	go func() {
		r, err := l.cycle(cycle)
		done <- outcome{r, err}
	}()
	var o outcome
	var settled []string
	for building := true; building; {
		select {
		case o = <-done:
			building = false
		case c := <-changes:
			switch l.habits.judge(c) {
			case settle:
				settled = c.files
			case finish:
				next = c
			default:
				next, interrupted, building = c, true, false
				cancel()
				o = <-done
			}
		}
	}
	l.habits.end(time.Now())
	switch {
	case ctx.Err() != nil:
		return change{}, false, nil
	case interrupted && errors.Is(o.err, context.Canceled):
		return next, true, nil
	case o.err != nil:
		return change{}, false, o.err
	}
	err = l.report(o.report) // also if a save came just as it was done
	l.saySettled(settled)
	return next, false, err
}

// idle waits for a change for which there is to be a build.
func (l *loop) idle(ctx context.Context, changes <-chan change) change {
	l.Status("waiting for a change; Ctrl-C ends")
	for {
		select {
		case c := <-changes:
			if l.habits.judge(c) != settle {
				return c
			}
			l.saySettled(c.files)
		case <-ctx.Done():
			return change{}
		}
	}
}

func sayChanged(files []string, interrupted bool) string {
	if interrupted {
		return list(files) + " changed meanwhile: building anew"
	}
	return list(files) + " changed"
}

// cycle builds, deploys and replays. Its error is ctx's, or one of this machine's.
func (l *loop) cycle(ctx context.Context) (*Report, error) {
	l.Status("building: " + strings.Join(l.Command, " "))
	b, err := build(ctx, l.Dir, l.Command)
	if err != nil {
		return nil, err
	}
	r := &Report{Plugin: l.Name, Build: b, Before: l.last}
	if b.Failed() {
		r.Result = BuildFailed
		r.Serving = l.serving()
		return r, nil
	}
	return r, l.deploy(ctx, r)
}

// deploy deploys what the build made, and replays.
func (l *loop) deploy(ctx context.Context, r *Report) error {
	s := host.Source{Name: l.Name}
	var err error
	if s.WASM, err = readFile(l.WASM, l.MaxModule); err != nil {
		r.Result, r.Error, r.Serving = Refused, l.refused("the build left no plugin: "+err.Error()), l.serving()
		return nil //nolint:nilerr // the report says it
	}
	const maxTests = 8 << 20 // more is what the host refuses
	if s.Tests, err = readFile(l.Tests, maxTests); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.Result, r.Error, r.Serving = Refused, l.refused("its tests: "+err.Error()), l.serving()
		return nil
	}
	const maxCompanion = 1 << 20 // likewise
	if s.Companion, err = readFile(l.Companion, maxCompanion); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.Result, r.Error, r.Serving = Refused, l.refused("its companion file: "+err.Error()), l.serving()
		return nil
	}
	began := time.Now()
	l.Logs.hold()
	result, err := l.Host.Deploy(ctx, s)
	l.Logs.release(err != nil && ctx.Err() == nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.Seconds, r.Result, r.Serving = time.Since(began).Seconds(), string(result), l.serving()
	if err != nil {
		refused := api.Refused(err)
		if e := (*host.LoadError)(nil); errors.As(err, &e) {
			refused.Detail = e.Err.Error() // the other members say the rest
		}
		r.Result, r.Error = Refused, &refused
		return nil
	}
	if result == host.DeployUnchanged && r.Serving.Hash != r.Before.Hash { // it came in a cycle that ended early
		r.Result = string(host.DeploySwapped)
		if r.Before.Hash == "" {
			r.Result = string(host.DeployLoaded)
		}
	}
	inputs, err := readInputs(l.Tests, true)
	if err == nil && l.Inputs != "" {
		var more []input
		more, err = readInputs(l.Inputs, false)
		inputs = append(inputs, more...)
	}
	if err == nil && len(inputs) > maxInputs {
		err = fmt.Errorf("more than %d", maxInputs)
	}
	if err != nil {
		wrong := api.New(host.KindInvalidArgument, "the inputs: "+err.Error())
		r.Error = &wrong
		return nil //nolint:nilerr // the report says it
	}
	r.Tasks, err = l.replayer.replay(ctx, inputs, l.only(), l.tasks)
	return err
}

// readFile reads a file, and of one that is longer than most bytes one more.
func readFile(name string, most int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	return b, errors.Join(err, f.Close())
}

// serving is the version that serves.
func (l *loop) serving() Version {
	for _, p := range l.Host.Stats().Plugins {
		if p.Source == l.Name {
			return Version{Plugin: p.Name, Version: p.Version, Hash: p.Hash, Memory: p.InstanceMemory}
		}
	}
	return Version{}
}

// only is the plugin's transform if it has no other.
func (l *loop) only() string {
	for _, p := range l.Host.Plugins() {
		if p.Source == l.Name && len(p.Transforms) == 1 {
			return p.Transforms[0].Name
		}
	}
	return ""
}

// gone reports that there is no project.
func (l *loop) gone(err error) *Report {
	gone := api.New(api.KindNotFound, err.Error())
	return &Report{Plugin: l.Name, Result: Gone, Error: &gone, Serving: l.serving(), Before: l.last}
}

// report hands a report on, and keeps what the next is compared with.
func (l *loop) report(r *Report) error {
	if r.deployed() {
		l.last = r.Serving
		if r.Tasks != nil {
			l.tasks = r.Tasks
		}
	}
	return l.Report(r)
}

// refused is why what was built was not handed to the host.
func (l *loop) refused(why string) *api.Error {
	e := api.New(api.KindRefused, why)
	e.Plugin = l.Name
	return &e
}
