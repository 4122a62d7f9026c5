package differ

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

var workers = flag.Int("workers", 2, "how many processes check programs; 0 checks them in this one, as an emulator that cannot start others needs")

var update = flag.Bool("update", false, "have the cases of the corpus say what is so on this architecture")

func TestMain(m *testing.M) {
	if IsWorker() {
		if err := serveTest(os.Getenv(testWorker), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// testWorker says in the environment how a worker of a test behaves.
const testWorker = "RESONHOST_DIFFER_TEST"

func serveTest(mode string, in io.Reader, out io.Writer) error {
	if mode == "frail" {
		var seed uint64
		for {
			if _, err := fmt.Fscanln(in, &seed); errors.Is(err, io.EOF) {
				return nil
			}
			switch seed {
			case 3:
				return fmt.Errorf("fault: seed %d", seed)
			case 5:
				select {}
			}
			fmt.Fprintf(out, `{"result": {"seed": %d, "functions": 2, "runs": 4}, "done": true}`+"\n", seed)
		}
	}
	return Serve(context.Background(), in, out, Options{Guards: meter.GuardsFor(runtime.GOARCH), Shrink: 10 * time.Second})
}

// TestPrograms is the short run of make fuzz-engine: the same programs each time.
func TestPrograms(t *testing.T) {
	n := uint64(240)
	if testing.Short() || racing {
		n = 40
	}
	var log bytes.Buffer
	r := &Report{Guards: "on"}
	if *workers == 0 {
		c := newTestChecker(t, Options{Guards: meter.GuardsFor(runtime.GOARCH)})
		for seed := range n {
			res := c.Check(t.Context(), seed, func(*Result) {})
			r.add(res)
			if res.Finding != nil {
				fmt.Fprintf(&log, "seed %d: %s\n", seed, res.Finding.Where)
			}
		}
		r.Arch = runtime.GOARCH
	} else {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := &Campaign{Worker: []string{self}, Workers: *workers, Patience: time.Minute, Log: &log}
		if err := c.Run(t.Context(), r, n); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(r)
	if r.Failed() || len(r.Crashed)+len(r.Hung) > 0 {
		t.Errorf("see CONTRIBUTING.md, Fuzzing the engine:\n%s", &log)
	}
	if r.Programs != int(n) || r.Traps == 0 || r.Runs < 6*callsOf*int(n)/2 {
		t.Errorf("%d programs, %d traps, %d runs", r.Programs, r.Traps, r.Runs)
	}
}

func newTestChecker(t *testing.T, opts Options) *Checker {
	t.Helper()
	c, err := NewChecker(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestCorpus runs what was found before. Each says for which architectures the engine is wrong
// without a guard: when it no longer is, the guard may go.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.wasm")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus: ", err)
	}
	c := newTestChecker(t, Options{})
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".wasm"), func(t *testing.T) {
			wasm, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			mod, info, err := decodeCase(wasm)
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(4) { // each choice of the rewriter's parts
				different, where, err := c.compare(t.Context(), setups(seed, meter.GuardsFor(runtime.GOARCH)), mod, new(Result))
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range different {
					if d.name != bare {
						t.Errorf("%s: %s", info.About, where)
					}
				}
			}
			different, _, err := c.compare(t.Context(), setups(0, 0), mod, new(Result))
			if err != nil {
				t.Fatal(err)
			}
			wrong := slices.Contains(info.Wrong, runtime.GOARCH)
			if *update && wrong != (len(different) > 0) {
				list := slices.DeleteFunc(info.Wrong, func(s string) bool { return s == runtime.GOARCH })
				if !wrong {
					list = slices.Sorted(slices.Values(append(list, runtime.GOARCH)))
				}
				if wasm, err = encodeCase(mod, info.About, list...); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, wasm, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if wrong && len(different) == 0 {
				t.Errorf("%s: the engine is right without a guard: see Guards in package meter, and run the test with -update", info.About)
			}
		})
	}
}

// TestInstructions checks that programs have every instruction, and follow from their seed.
func TestInstructions(t *testing.T) {
	ops := newOpTable()
	seen := make(map[string]bool)
	for seed := range uint64(1000) {
		p := generate(ops, seed, none)
		for _, f := range p.funcs {
			walk(f.body, func(n *node) { seen[n.name()] = true })
		}
		if seed%50 > 0 {
			continue
		}
		first, err := p.encode()
		if err != nil {
			t.Fatal(err)
		}
		if second, _ := generate(ops, seed, none).encode(); !bytes.Equal(first, second) {
			t.Fatalf("seed %d: another program each time", seed)
		}
		if third, _ := p.clone().encode(); !bytes.Equal(first, third) {
			t.Fatalf("seed %d: the clone is another program", seed)
		}
	}
	for _, o := range parseInstructions() {
		if !seen[o.name] {
			t.Errorf("no program has %s", o.name)
		}
	}
	for _, name := range codeNames {
		if name != "" && name != "select" && !seen[name] {
			t.Errorf("no program has %s", name)
		}
	}
}

// TestShrink has a compiler that takes one instruction for another, and looks whether that is
// found, made small, and blamed.
func TestShrink(t *testing.T) {
	c := newTestChecker(t, Options{})
	for _, tt := range []struct{ right, wrong, in string }{
		{"f64.max", "f64.min", "DD"},
		{"i32.rotl", "i32.rotr", "ii"},
		{"i8x16.avgr_u", "i8x16.max_u", "vv"},
		{"i64.trunc_sat_f64_u", "i64.trunc_sat_f64_s", "D"},
	} {
		t.Run(tt.right, func(t *testing.T) {
			right, wrong := c.ops.byName[tt.right+" "+tt.in], c.ops.byName[tt.wrong+" "+tt.in]
			s := setup{name: "wrong", engine: interpreted, change: func(n *node) {
				if n.op == right {
					n.op = wrong
				}
			}}
			for seed := range uint64(2000) {
				tr := c.trialOf(seed)
				if !slices.ContainsFunc(tr.p.funcs, func(f *function) bool { return f.has(right) }) {
					continue
				}
				sh := &shrinker{trial: tr, m: c.machine, s: s}
				if !sh.differs(t.Context(), nil) {
					continue
				}
				before := tr.p.nodes()
				sh.shrink(t.Context(), time.Hour)
				if sh.tries > 2000 { // of 70 to 180
					t.Errorf("seed %d: %d tries", seed, sh.tries)
				}
				blamed := sh.blame(t.Context())
				// It is wrong in a function of its own as well, so there is no telling it from its like.
				if !strings.Contains(strings.Join(blamed, ""), tt.right) || strings.Count(blamed[0], ",") > 6 {
					t.Errorf("seed %d: %q is blamed", seed, blamed)
				}
				if after := tr.p.nodes(); after > 40 {
					t.Errorf("seed %d: %d of %d nodes are left", seed, after, before)
				}
				return
			}
			t.Error("not found")
		})
	}
}

func (f *function) has(o *op) bool {
	found := false
	walk(f.body, func(n *node) { found = found || n.op == o })
	return found
}

// TestWorkers checks that a program which takes the process down costs no other.
func TestWorkers(t *testing.T) {
	if *workers == 0 {
		t.Log("the emulator cannot start processes: what this tests does not depend on the architecture")
		return
	}
	t.Setenv(testWorker, "frail")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	r := new(Report)
	each := 0
	c := &Campaign{Worker: []string{self}, Workers: 2, Patience: 10 * time.Second, Log: &log, Each: func(*Report) { each++ }}
	if err := c.Run(t.Context(), r, 8); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Crashed, []uint64{3}) || !slices.Equal(r.Hung, []uint64{5}) || r.Programs != 6 || r.Functions != 12 || r.Runs != 24 || r.Next != 8 || each != 8 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"seed 3: the engine went down: fault: seed 3\n", "seed 5: did not end within 10s\n"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("log %q, want %q once", &log, want)
		}
	}
}

func TestReport(t *testing.T) {
	r := &Report{Arch: "amd64", Guards: "on"}
	if r.Failed() {
		t.Error("it failed with nothing found")
	}
	for _, bad := range []Report{{Crashed: []uint64{1}}, {Hung: []uint64{1}}, {Invalid: []uint64{1}}} {
		if !bad.Failed() {
			t.Errorf("%+v has not failed", bad)
		}
	}
	r.add(&Result{Seed: 1, Functions: 3, Runs: 36, Traps: 1, Bare: true, Finding: &Finding{Seed: 1, Kind: "f64.max; off", Case: make([]byte, 90)}})
	r.add(&Result{Seed: 2, Functions: 3, Runs: 36, Finding: &Finding{Seed: 2, Kind: "f64.max; off", Case: make([]byte, 80)}})
	r.add(&Result{Seed: 3, Invalid: "a fault"})
	want := `amd64, guards on: 3 programs with 6 functions, 72 runs (1 traps in the interpreter), 0.00 CPU-hours, next seed 0
1 programs differ when they are compiled without being rewritten
2 mismatches of 1 kinds
     2  f64.max; off (first: seed 1, after 0 s; smallest: 80 bytes)
1 were invalid: [3]
`
	if r.String() != want {
		t.Errorf("%s, want\n%s", r, want)
	}
}
