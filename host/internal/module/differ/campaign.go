package differ

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Campaign checks the programs of many seeds, in processes of their own, so that one that takes
// an engine down costs no more than itself.
type Campaign struct {
	// Worker is the command of a process that calls [Serve].
	Worker []string
	// Workers is how many processes there are.
	Workers int
	// Patience is how long one program may take.
	Patience time.Duration
	// Findings is the directory for what was found, nothing is written if it is "".
	Findings string
	// Log receives a line for each finding.
	Log io.Writer
	// Each is called after each seed, with the lock held that guards the report.
	Each func(*Report)
}

// Report is what a campaign has done. It goes on where one ended.
type Report struct {
	// Next is the seed to begin with.
	Next      uint64 `json:"next_seed"`
	Programs  int    `json:"programs"`
	Functions int    `json:"functions"`
	Runs      int    `json:"runs"`
	Traps     int    `json:"traps"`
	// CPU is the time of all workers.
	CPU float64 `json:"cpu_seconds"`
	// Elapsed is the time on the clock.
	Elapsed float64 `json:"elapsed_seconds"`
	// Bare are programs of which the compiler makes something else unless the host rewrites them.
	Bare int `json:"differ_without_rewriting"`
	// Mismatches are findings by their kind.
	Mismatches map[string]*Mismatch `json:"mismatches"`
	// Crashed and Hung are seeds that took the engine down, or did not end.
	Crashed []uint64 `json:"crashed"`
	Hung    []uint64 `json:"hung"`
	// Invalid are seeds of programs that were refused, which is a fault of the generator.
	Invalid []uint64 `json:"invalid"`
	Arch    string   `json:"arch"`
	Guards  string   `json:"guards"`
}

// Mismatch counts findings of one kind.
type Mismatch struct {
	Count int     `json:"count"`
	Seed  uint64  `json:"seed"` // of the first
	After float64 `json:"after_seconds"`
	Bytes int     `json:"bytes"` // of the smallest program
}

// add adds what came of a seed, and returns whether it is of a kind not seen before.
func (r *Report) add(res *Result) (first bool) {
	r.Programs++
	r.Functions += res.Functions
	r.Runs += res.Runs
	r.Traps += res.Traps
	if res.Bare {
		r.Bare++
	}
	if res.Invalid != "" {
		r.Invalid = append(r.Invalid, res.Seed)
	}
	if f := res.Finding; f != nil {
		m := r.Mismatches[f.Kind]
		if first = m == nil; first {
			if r.Mismatches == nil {
				r.Mismatches = make(map[string]*Mismatch)
			}
			m = &Mismatch{Seed: f.Seed, After: r.Elapsed, Bytes: len(f.Case)}
			r.Mismatches[f.Kind] = m
		}
		m.Count++
		m.Bytes = min(m.Bytes, len(f.Case))
	}
	return first
}

// Failed reports whether something is to be mended, in the engine, the host or the generator.
func (r *Report) Failed() bool {
	return len(r.Mismatches)+len(r.Crashed)+len(r.Hung)+len(r.Invalid) > 0
}

// String is the report in words.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, guards %s: %d programs with %d functions, %d runs (%d traps in the interpreter), %.2f CPU-hours, next seed %d\n",
		r.Arch, r.Guards, r.Programs, r.Functions, r.Runs, r.Traps, r.CPU/3600, r.Next)
	fmt.Fprintf(&b, "%d programs differ when they are compiled without being rewritten\n", r.Bare)
	n := 0
	for _, m := range r.Mismatches {
		n += m.Count
	}
	fmt.Fprintf(&b, "%d mismatches of %d kinds\n", n, len(r.Mismatches))
	for _, kind := range slices.Sorted(maps.Keys(r.Mismatches)) {
		m := r.Mismatches[kind]
		fmt.Fprintf(&b, "%6d  %s (first: seed %d, after %.0f s; smallest: %d bytes)\n", m.Count, kind, m.Seed, m.After, m.Bytes)
	}
	for _, l := range []struct {
		what  string
		seeds []uint64
	}{{"took the engine down", r.Crashed}, {"did not end in time", r.Hung}, {"were invalid", r.Invalid}} {
		if len(l.seeds) > 0 {
			fmt.Fprintf(&b, "%d %s: %v\n", len(l.seeds), l.what, l.seeds[:min(len(l.seeds), 20)])
		}
	}
	return b.String()
}

// Run goes on until the context ends or the seed is reached; 0 is none.
func (c *Campaign) Run(ctx context.Context, r *Report, until uint64) error {
	r.Arch = runtime.GOARCH
	began, before := time.Now(), r.Elapsed
	var mu sync.Mutex
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil || until > 0 && r.Next >= until {
			return 0, false
		}
		r.Next++
		return r.Next - 1, true
	}
	done := func(seed uint64, res *Result, cpu time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		r.Elapsed = before + time.Since(began).Seconds()
		r.CPU += cpu.Seconds()
		var hung *hungError
		switch {
		case errors.As(err, &hung):
			r.Hung = append(r.Hung, seed)
		case err != nil:
			r.Crashed = append(r.Crashed, seed)
		}
		if err != nil {
			fmt.Fprintf(c.Log, "seed %d: %v\n", seed, err)
		}
		if res != nil {
			first := r.add(res)
			if res.Invalid != "" {
				fmt.Fprintf(c.Log, "seed %d: %s\n", seed, res.Invalid)
			}
			if res.Finding != nil {
				fmt.Fprintf(c.Log, "seed %d: %s (%s), %d bytes\n", seed, res.Finding.Kind, res.Finding.Where, len(res.Finding.Case))
				c.save(res.Finding, first)
			}
		}
		if c.Each != nil {
			c.Each(r)
		}
	}
	errs := make([]error, c.Workers)
	var wg sync.WaitGroup
	for i := range c.Workers {
		wg.Go(func() { errs[i] = c.work(take, done) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// work has a process check one seed after the other. What it is at when the campaign ends is
// brought to its end.
func (c *Campaign) work(take func() (uint64, bool), done func(uint64, *Result, time.Duration, error)) error {
	var w *worker
	defer func() {
		if w != nil {
			w.stop()
		}
	}()
	for n := 0; ; n++ {
		seed, ok := take()
		if !ok {
			return nil
		}
		if w == nil || n%perProcess == 0 {
			if w != nil {
				w.stop()
			}
			var err error
			if w, err = c.start(); err != nil {
				return err
			}
		}
		res, cpu, err := w.check(seed, c.Patience)
		done(seed, res, cpu, err)
		if err != nil {
			w.stop()
			w = nil
		}
	}
}

// perProcess is how many programs a process checks before another takes its place, so that what
// an engine does not free is.
const perProcess = 500

// save writes a finding to the directory if it is the first of its kind.
func (c *Campaign) save(f *Finding, first bool) {
	if c.Findings == "" || !first {
		return
	}
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(f.Kind), "-")
	name = fmt.Sprintf("%s-%d.wasm", strings.Trim(name[:min(len(name), 80)], "-"), f.Seed)
	if err := os.WriteFile(filepath.Join(c.Findings, name), f.Case, 0o644); err != nil {
		fmt.Fprintf(c.Log, "seed %d: %v\n", f.Seed, err)
	}
}

// worker is a process.
type worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	results chan reply // closed when the process has ended
	stderr  *tail
}

// reply is what a process says: of a seed, first what was found and then all.
type reply struct {
	Result *Result       `json:"result"`
	CPU    time.Duration `json:"cpu"`
	Done   bool          `json:"done"`
}

type hungError struct{ patience time.Duration }

func (e *hungError) Error() string { return fmt.Sprintf("did not end within %s", e.patience) }

func (c *Campaign) start() (*worker, error) {
	w := &worker{cmd: exec.Command(c.Worker[0], c.Worker[1:]...), results: make(chan reply, 2), stderr: new(tail)} //nolint:gosec,noctx // it is this program; stop ends it
	w.cmd.Stderr = w.stderr
	w.cmd.Env = append(os.Environ(), workerVariable+"=1")
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // it ends with the process, and stop waits for that
		defer close(w.results)
		d := json.NewDecoder(out)
		for {
			var r reply
			if d.Decode(&r) != nil {
				return
			}
			w.results <- r
		}
	}()
	return w, nil
}

// check has the process check a seed. With an error it is of no more use; the result is then what
// it had found until then, if anything.
func (w *worker) check(seed uint64, patience time.Duration) (res *Result, cpu time.Duration, err error) {
	if _, err := fmt.Fprintln(w.in, seed); err != nil {
		return nil, 0, fmt.Errorf("the worker has ended: %w: %s", err, w.stderr)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case r, ok := <-w.results:
			if !ok {
				_ = w.cmd.Wait() // then all of stderr is there
				return res, cpu, fmt.Errorf("the engine went down: %s", w.stderr)
			}
			if res, cpu = r.Result, r.CPU; r.Done {
				return res, cpu, nil
			}
		case <-timer.C:
			return res, cpu, &hungError{patience}
		}
	}
}

// stop ends the process and waits for it.
func (w *worker) stop() {
	_ = w.in.Close()
	_ = w.cmd.Process.Kill()
	for range w.results { //nolint:revive // until it is closed
	}
	_ = w.cmd.Wait()
}

// workerVariable is set in the environment of workers.
const workerVariable = "RESONHOST_DIFFER_WORKER"

// IsWorker reports whether this process is one of a campaign's.
func IsWorker() bool { return os.Getenv(workerVariable) != "" }

// Serve checks the seeds that come in, a line each, until there are none.
func Serve(ctx context.Context, in io.Reader, out io.Writer, opts Options) error {
	c, err := NewChecker(ctx, opts)
	if err != nil {
		return err
	}
	e := json.NewEncoder(out)
	var failed error
	for lines := bufio.NewScanner(in); failed == nil && lines.Scan(); {
		var seed uint64
		if _, err := fmt.Sscan(lines.Text(), &seed); err != nil {
			failed = err
			break
		}
		before := cpuTime()
		r := c.Check(ctx, seed, func(r *Result) {
			if err := e.Encode(reply{Result: r}); err != nil {
				failed = err
			}
		})
		if err := e.Encode(reply{Result: r, CPU: cpuTime() - before, Done: true}); err != nil {
			failed = err
		}
	}
	return errors.Join(failed, c.Close(ctx))
}

// tail keeps the beginning of what is written: of a crash, what it was.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailBytes = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := tailBytes - t.buf.Len(); room > 0 {
		t.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	first, _, _ := strings.Cut(strings.TrimSpace(t.buf.String()), "\n")
	return first
}
