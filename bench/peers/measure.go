package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// callersPerWorker keep every worker busy.
const callersPerWorker = 4

var callerCounts = [...]int{1, 2, 4, 16, 64, 256}

// maxOffered bounds the rate of an open load, in 1/s: beyond it the load takes more of
// the processors than what is measured.
const maxOffered = 50_000

// bout is one run of all.
type bout struct {
	*config

	m         *measurements
	in        *inputs
	processes map[string]*process
}

func (c *config) measure(ctx context.Context) (_ *measurements, err error) {
	if c.self, err = os.Executable(); err != nil {
		return nil, err
	}
	b := &bout{config: c, in: theInputs(), processes: make(map[string]*process), m: &measurements{
		Rounds: c.rounds, BenchtimeS: c.benchtime.Seconds(), Workers: c.o.workers,
		Closed: make(map[string]map[string]*closedResult), Alone: make(map[string]map[string]*closedResult),
		Callers: make(map[string][]*closedResult), Open: make(map[string]map[string]*openResult),
		OneWorker: make(map[string]*closedResult), TwoWorkers: make(map[string]*closedResult),
		Processes: make(map[string]*processResult),
	}}
	only := regexp.MustCompile(c.only)
	for _, k := range contenders {
		if only.MatchString(k.Name) {
			b.m.Contenders = append(b.m.Contenders, k)
		}
	}
	if len(b.m.Contenders) == 0 {
		return nil, errors.New("-only: leaves nothing")
	}
	if b.m.Machine, err = c.describe(ctx, b.m.Contenders); err != nil {
		return nil, err
	}
	if !c.smoke {
		fmt.Fprintln(c.progress, "waiting for an idle machine…")
		awaitIdle(ctx)
	}
	b.m.Machine.Load = loadAverage()
	defer func() { err = errors.Join(err, b.end()) }()
	type part struct {
		name string
		run  func(context.Context) error
	}
	parts := []part{
		{"starting", b.startAll},
		{"checking results", b.checkAll},
		{"closed loads", b.closedAll},
		{"open loads", b.openAll},
	}
	if !c.smoke {
		parts = append(parts, part{"one caller to many", b.callersAll},
			part{"one worker and two", b.workersAll}, part{"a million nodes", b.million}, part{"starts", b.starts})
	}
	for _, part := range parts {
		began := time.Now()
		fmt.Fprintf(c.progress, "%s…", part.name)
		if err := errors.Join(part.run(ctx), context.Cause(ctx)); err != nil {
			fmt.Fprintln(c.progress)
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Fprintf(c.progress, " %v\n", time.Since(began).Round(time.Second/10))
	}
	return b.m, nil
}

func (b *bout) end() error {
	var errs []error
	for _, p := range b.processes {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// kinds are the kinds of processes that contenders run in.
func (b *bout) kinds() (list []string) {
	for _, k := range b.m.Contenders {
		if !slices.Contains(list, k.Process) {
			list = append(list, k.Process)
		}
	}
	return list
}

// begin starts a process and tells it its inputs.
func (b *bout) begin(ctx context.Context, kind string, o options) (*process, error) {
	p, err := b.start(ctx, kind, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	if _, err := p.ask(&request{Op: opInputs, Inputs: b.in}); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// startAll starts a process of each kind, two at a time.
func (b *bout) startAll(ctx context.Context) (err error) {
	b.processes, err = b.beginAll(ctx, b.kinds(), b.o)
	return err
}

func (b *bout) beginAll(ctx context.Context, kinds []string, o options) (map[string]*process, error) {
	started := make(map[string]*process)
	var errs []error
	var mu sync.Mutex // guards started and errs
	var all sync.WaitGroup
	slots := newPool(2, func() struct{} { return struct{}{} })
	for _, kind := range kinds {
		all.Go(func() {
			slot := <-slots
			defer slots.put(slot)
			p, err := b.begin(ctx, kind, o)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			started[kind] = p
		})
	}
	all.Wait()
	return started, errors.Join(errs...)
}

func (b *bout) checkAll(context.Context) error {
	stride := 1
	if b.smoke {
		stride = 4
	}
	e, err := expect(b.in, b.vectors, stride)
	if err != nil {
		return err
	}
	b.m.Checked, b.m.Recorded = len(e.states), e.recorded
	for _, k := range b.m.Contenders {
		if err := e.check(b.processes[k.Process], k.Mode); err != nil {
			return err
		}
	}
	return nil
}

// turns gives all contenders as many turns as there are rounds, in another order each.
func (b *bout) turns(ctx context.Context, f func(k contender) error) error {
	for range b.rounds {
		for _, i := range rand.Perm(len(b.m.Contenders)) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := f(b.m.Contenders[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// slice is how long a turn is, in ms.
func (b *bout) slice() float64 {
	return float64(b.benchtime) / float64(b.rounds) / float64(time.Millisecond)
}

// closed adds a turn of a closed load to a result.
func (b *bout) closed(p *process, r *request, to *closedResult) error {
	r.Op, r.MS = opClosed, b.slice()
	before := p.cpu()
	a, err := p.ask(r)
	if err != nil {
		return err
	}
	used := p.cpu() - before
	n := float64(a.Calls)
	to.Rate = append(to.Rate, n/a.Seconds)
	to.CPU = append(to.CPU, float64(used)/n)
	if !isNode(p.kind) {
		to.Allocs, to.Bytes = append(to.Allocs, a.Mallocs/n), append(to.Bytes, a.Bytes/n)
	}
	return nil
}

// runs reports whether a contender has a workload. Batches are of what is small; and what is
// no transform is the same guest, whatever the transforms are written in.
func (k *contender) runs(workload string) bool {
	if strings.HasSuffix(k.Process, withSIMD) && !slices.Contains([]string{full, summary, ticks, mixed}, workload) {
		return false
	}
	switch k.Mode {
	case modeBatch, modeInto:
		return slices.Contains([]string{full, summary, noop, echo1k}, workload)
	case modeLines:
		return workload == full || workload == summary
	}
	return true
}

// single reports whether a call is one task, of which there is a latency.
func (k *contender) single() bool { return k.Mode == modeRun || k.Mode == modeAppend }

func (b *bout) closedAll(ctx context.Context) error {
	for _, w := range workloads {
		if b.smoke && w.name != full && w.name != mixed {
			continue
		}
		if err := b.closedOf(ctx, b.m.Closed, w.name, callersPerWorker*b.o.workers); err != nil {
			return err
		}
		if w.name == full {
			for _, kind := range b.kinds() {
				r := &processResult{}
				r.Resident, r.Anonymous = b.processes[kind].memory()
				b.m.Processes[kind] = r
			}
		}
	}
	alone := []string{full, noop, echo1k, ticks}
	if b.smoke {
		alone = nil
	}
	for _, w := range alone {
		if err := b.closedOf(ctx, b.m.Alone, w, 1); err != nil {
			return err
		}
	}
	return nil
}

func (b *bout) closedOf(ctx context.Context, in map[string]map[string]*closedResult, workload string, callers int) error {
	results := make(map[string]*closedResult)
	in[workload] = results
	warm := &closedResult{}
	for _, k := range b.m.Contenders {
		if !k.runs(workload) {
			continue
		}
		results[k.Name] = &closedResult{}
		if err := b.closed(b.processes[k.Process], &request{Workload: workload, Mode: k.Mode, Callers: callers}, warm); err != nil {
			return err
		}
	}
	return b.turns(ctx, func(k contender) error {
		if results[k.Name] == nil {
			return nil
		}
		return b.closed(b.processes[k.Process], &request{Workload: workload, Mode: k.Mode, Callers: callers}, results[k.Name])
	})
}

func (b *bout) callersAll(ctx context.Context) error {
	for _, k := range b.m.Contenders {
		for range callerCounts {
			b.m.Callers[k.Name] = append(b.m.Callers[k.Name], &closedResult{})
		}
	}
	return b.turns(ctx, func(k contender) error {
		for _, i := range rand.Perm(len(callerCounts)) {
			r := &request{Workload: full, Mode: k.Mode, Callers: callerCounts[i]}
			if err := b.closed(b.processes[k.Process], r, b.m.Callers[k.Name][i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// openAll offers half of what a contender does in a closed load just before.
func (b *bout) openAll(ctx context.Context) error {
	for _, w := range openWorkloads {
		b.m.Open[w] = make(map[string]*openResult)
		for _, k := range b.m.Contenders {
			if k.single() {
				b.m.Open[w][k.Name] = &openResult{}
			}
		}
	}
	return b.turns(ctx, func(k contender) error {
		for _, w := range openWorkloads {
			to := b.m.Open[w][k.Name]
			if to == nil {
				continue
			}
			err := b.open(&k, w, to)
			if w == fullShort && errors.Is(err, errors.ErrUnsupported) {
				fmt.Fprintf(b.progress, " %v; left out…", err)
				delete(b.m.Open, w)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// open adds a turn of an open load to a result.
func (b *bout) open(k *contender, workload string, to *openResult) (failed error) {
	p, tasks := b.processes[k.Process], workload
	if workload == fullShort {
		tasks = full
	}
	// What it can do now, since the machine may have become slower.
	capacity := &closedResult{}
	if err := b.closed(p, &request{Workload: tasks, Mode: k.Mode, Callers: callersPerWorker * b.o.workers}, capacity); err != nil {
		return err
	}
	rate := min(maxOffered, capacity.Rate[0]/2)
	// A p999 takes some thousand tasks, of those too that do few.
	ms := b.slice()
	if !b.smoke {
		ms = max(ms, 1000)
	}
	if workload == fullShort {
		restore, err := p.shortTurns()
		if restore != nil {
			defer func() { failed = errors.Join(failed, restore()) }()
		}
		if err != nil {
			return err
		}
	}
	a, err := p.ask(&request{Op: opOpen, Workload: tasks, Mode: k.Mode, Rate: rate, MS: ms})
	if err != nil {
		return err
	}
	to.Offered = append(to.Offered, rate)
	to.P50, to.P99, to.P999 = append(to.P50, a.P50), append(to.P99, a.P99), append(to.P999, a.P999)
	to.LateP99 = append(to.LateP99, a.LateP99)
	return nil
}

// workersAll compares one worker with two, in turns.
func (b *bout) workersAll(ctx context.Context) (err error) {
	o := b.o
	o.workers = 1
	single, err := b.beginAll(ctx, b.kinds(), o)
	defer func() {
		for _, p := range single {
			err = errors.Join(err, p.close())
		}
	}()
	if err != nil {
		return err
	}
	for _, k := range b.m.Contenders {
		b.m.OneWorker[k.Name], b.m.TwoWorkers[k.Name] = &closedResult{}, &closedResult{}
		if err := b.closed(single[k.Process], &request{Workload: full, Mode: k.Mode, Callers: callersPerWorker}, &closedResult{}); err != nil {
			return err
		}
	}
	return b.turns(ctx, func(k contender) error {
		err := b.closed(single[k.Process], &request{Workload: full, Mode: k.Mode, Callers: callersPerWorker}, b.m.OneWorker[k.Name])
		if err == nil {
			err = b.closed(b.processes[k.Process], &request{Workload: full, Mode: k.Mode, Callers: callersPerWorker * b.o.workers}, b.m.TwoWorkers[k.Name])
		}
		return err
	})
}

// starts measures the time to a first answer.
func (b *bout) starts(ctx context.Context) error {
	state := b.in.State
	o := b.o
	o.cold = true
	for range min(b.rounds, 3) {
		for _, kind := range b.kinds() {
			r := b.m.Processes[kind]
			began := time.Now()
			p, err := b.begin(ctx, kind, o)
			if err != nil {
				return err
			}
			first := request{Op: opCheck, Mode: modeRun}
			first.States = append(first.States, state)
			if _, err = p.ask(&first); err == nil {
				r.ColdMS = append(r.ColdMS, time.Since(began).Seconds()*1e3)
				first.Op = opAgain
				var a *answer
				if a, err = p.ask(&first); err == nil {
					r.WarmMS = append(r.WarmMS, a.Seconds*1e3)
				}
			}
			if err := errors.Join(err, p.close()); err != nil {
				return err
			}
		}
	}
	return nil
}
