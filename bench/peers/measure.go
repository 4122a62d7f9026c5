package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// config is what is measured, and how.
type config struct {
	o         options
	self      string // this program
	node      string
	piscina   string // directory of main.mjs
	vectors   string
	benchtime time.Duration
	rounds    int
	smoke     bool
	only      string
	report    string // directory of REPORT.md and report.svg, "" for none
	data      string // file of the measurements, "" for none
	from      string // file of measurements to be reported, "" to measure
	readme    string // file with a table to be replaced, "" for none

	progress io.Writer
}

func (c *config) flags(f *flag.FlagSet) {
	f.StringVar(&c.node, "node", "node", "the Node.js to run Piscina with")
	f.StringVar(&c.piscina, "piscina", "peers/piscina", "the directory of Piscina's part, after npm ci")
	f.StringVar(&c.vectors, "vectors", "../testdata/vectors", "the directory of recorded results")
	f.DurationVar(&c.benchtime, "benchtime", 2*time.Second, "how long each contender has a load altogether")
	f.IntVar(&c.rounds, "rounds", 5, "how many turns each contender has")
	f.BoolVar(&c.smoke, "smoke", false, "check results, measure in milliseconds, and report nothing")
	f.StringVar(&c.only, "only", "", "measure contenders whose names match the regular expression alone")
	f.StringVar(&c.report, "report", ".", "the directory in which REPORT.md and report.svg are written; none if empty")
	f.StringVar(&c.data, "data", "", "write the measurements to the file, as JSON")
	f.StringVar(&c.from, "from", "", "report the measurements of the file, and measure nothing")
	f.StringVar(&c.readme, "readme", "", "replace the short table of a README, between two remarks")
}

func (c *config) validate() error {
	if c.rounds < 1 || c.benchtime <= 0 || c.o.workers < 1 {
		return errors.New("-rounds, -benchtime and -workers must be positive")
	}
	if _, err := regexp.Compile(c.only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	return nil
}

// run measures, or reads what was measured, and reports.
func (c *config) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	c.progress = stderr
	if c.smoke {
		c.rounds, c.benchtime = 1, 20*time.Millisecond
	}
	var m *measurements
	if c.from != "" {
		b, err := os.ReadFile(c.from)
		if err != nil {
			return err
		}
		m = new(measurements)
		if err := json.Unmarshal(b, m); err != nil {
			return fmt.Errorf("%s: %w", c.from, err)
		}
	} else if m, err = c.measure(ctx); err != nil {
		return err
	}
	files := m.render()
	if c.smoke {
		_, err = fmt.Fprintf(stdout, "%d contenders have the same results as %d recorded ones and %d computed natively\n", len(m.Contenders), m.Recorded, m.Checked-m.Recorded)
		return err
	}
	if err := c.save(m); err != nil {
		return err
	}
	return c.write(m, files, stdout)
}

// measurements are all that was measured. Lists have an entry for each round, in which
// all had their turn.
type measurements struct {
	Machine    machine     `json:"machine"`
	Rounds     int         `json:"rounds"`
	BenchtimeS float64     `json:"benchtime_seconds"`
	Workers    int         `json:"workers"`
	Contenders []contender `json:"contenders"`
	// Checked is how many cascades of each contender were compared, Recorded of them
	// with what the original answered.
	Checked  int `json:"checked"`
	Recorded int `json:"recorded"`

	// Closed are by workload and contender, with callersPerWorker for each worker, Alone
	// with a single caller.
	Closed map[string]map[string]*closedResult `json:"closed"`
	Alone  map[string]map[string]*closedResult `json:"alone"`
	// Callers are of full cascades, by contender, in the order of callerCounts.
	Callers map[string][]*closedResult `json:"callers"`
	// Open are by workload and contender.
	Open map[string]map[string]*openResult `json:"open"`
	// OneWorker are of full cascades, by contender, TwoWorkers measured beside them.
	OneWorker  map[string]*closedResult `json:"one_worker"`
	TwoWorkers map[string]*closedResult `json:"two_workers"`
	// Processes are by kind.
	Processes map[string]*processResult `json:"processes"`
	// MillionNodesMS is how much processor time a tick of so many takes, in ms.
	MillionNodesMS []float64 `json:"million_nodes_ms"`
	// MillionNodesSIMD is that with the guest written in Rust.
	MillionNodesSIMD []float64 `json:"million_nodes_simd_ms"`
	// MillionNodesNative is that without a sandbox.
	MillionNodesNative []float64 `json:"million_nodes_native_ms"`
}

// closedResult is of a closed load.
type closedResult struct {
	Rate   []float64 `json:"rate"`   // tasks a second
	CPU    []float64 `json:"cpu_ns"` // processor time a task, in all its processes
	Allocs []float64 `json:"allocs"` // a task, in the process that calls
	Bytes  []float64 `json:"bytes"`  // likewise
}

// openResult is of an open load: latencies in ns.
type openResult struct {
	Offered []float64 `json:"offered"` // tasks a second
	P50     []float64 `json:"p50_ns"`
	P99     []float64 `json:"p99_ns"`
	P999    []float64 `json:"p999_ns"`
	LateP99 []float64 `json:"late_p99_ns"`
}

// processResult is of a process and its children.
type processResult struct {
	Resident  float64 `json:"resident_bytes"` // after full cascades
	Anonymous float64 `json:"anonymous_bytes"`
	// ColdMS are times from the start of a process to its first answer, WarmMS of
	// another contender in the same process.
	ColdMS []float64 `json:"cold_ms"`
	WarmMS []float64 `json:"warm_ms"`
}

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

// median is of a list; 0 of nothing.
func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	switch n := len(s); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (s[n/2-1] + s[n/2]) / 2
	default:
		return s[n/2]
	}
}

// ratio is the median over the rounds of a to b: what slows the machine down for longer
// than a round is in both.
func ratio(a, b []float64) float64 {
	r := make([]float64, min(len(a), len(b)))
	for i := range r {
		r[i] = a[i] / b[i]
	}
	return median(r)
}

// machine is where it was measured, and with which versions.
type machine struct {
	CPU      string     `json:"cpu"`
	Cores    int        `json:"cores"`
	MemoryGB float64    `json:"memory_gb"`
	OS       string     `json:"os"`
	Go       string     `json:"go"`
	Node     string     `json:"node"`
	Modules  [][]string `json:"modules"` // name and version
	Date     string     `json:"date"`
	// Load is the load average of the last minute before the start.
	Load float64 `json:"load"`
}

// nodeVersion checks the Node.js that is to run Piscina.
func (c *config) nodeVersion(ctx context.Context) (string, error) {
	const install = "install nodejs (20 or newer) and npm, of Debian for instance, or name one with -node"
	out, err := exec.CommandContext(ctx, c.node, "--version").Output() //nolint:gosec // what the user says
	if err != nil {
		return "", fmt.Errorf("Piscina needs Node.js: %w; %s", err, install)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 {
		return "", fmt.Errorf("Node.js is %s; %s", version, install)
	}
	if _, err := os.Stat(c.piscina + "/node_modules/piscina/package.json"); err != nil {
		return "", fmt.Errorf("%w; make bench-peers installs it with npm ci", err)
	}
	return version, nil
}

// save writes the measurements to the file that they are to be in.
func (c *config) save(m *measurements) error {
	if c.data == "" {
		return nil
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(c.data, append(b, '\n'), 0o644)
}
