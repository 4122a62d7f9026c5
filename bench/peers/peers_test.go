package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
	"github.com/resonhost/resonhost/resonance/cascade"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNative has the native contender agree with what was recorded, over the protocol.
func TestNative(t *testing.T) {
	e, err := expect(theInputs(), "../../testdata/vectors", 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.states) < 200 || e.recorded != 6 {
		t.Fatalf("%d results, %d of them recorded", len(e.states), e.recorded)
	}
	a := ask(t, &request{Op: opCheck, Mode: modeRun, States: e.states, Ticks: true, Echo: echo1k})
	for i := range e.results {
		if err := compare("", a.Results[i], e.results[i]); err != nil {
			t.Errorf("%+v: %v", e.states[i], err)
		}
	}
	if err := e.ticked.compare(a.Nodes); err != nil {
		t.Error(err)
	}
}

// ask has a native child do one request.
func ask(t *testing.T, r *request) *answer {
	t.Helper()
	var stdin, stdout bytes.Buffer
	for _, r := range []*request{{Op: opInputs, Inputs: theInputs()}, r} {
		if err := json.NewEncoder(&stdin).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := runChild(t.Context(), kindNative, options{workers: 2}, &stdin, &stdout); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(&stdout)
	var a answer
	for range 2 {
		a = answer{}
		if err := answers.Decode(&a); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := answers.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("a third answer, err %v", err)
	}
	return &a
}

func TestChildRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		r    request
		want string
	}{
		"operation":     {request{Op: "dance", Workload: noop}, `there is no operation "dance"`},
		"mixed lines":   {request{Op: opClosed, Workload: mixed, Mode: modeLines}, "JSON lines are of cascades alone"},
		"mixed batches": {request{Op: opClosed, Workload: mixed, Mode: modeBatch}, "a mixed workload has no batches"},
	} {
		if got := ask(t, &c.r).Error; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := open(t.Context(), "abacus", options{}); err == nil || err.Error() != `there is no contender "abacus"` {
		t.Errorf("err %v", err)
	}
}

func TestEveryWorkloadRuns(t *testing.T) {
	for _, w := range workloads {
		a := ask(t, &request{Op: opClosed, Workload: w.name, Mode: modeRun, Callers: 3, MS: 1})
		if a.Error != "" || a.Calls < 3 || a.Seconds <= 0 {
			t.Errorf("%s: %+v", w.name, a)
		}
	}
	if a := ask(t, &request{Op: opOpen, Workload: mixed, Mode: modeRun, Rate: 10_000, MS: 20}); a.Error != "" || a.Calls < 10 || a.P50 <= 0 || a.P999 < a.P99 || a.P99 < a.P50 {
		t.Errorf("open: %+v", a)
	}
	if a := ask(t, &request{Op: opAgain, States: []cascade.State{theInputs().State}}); a.Error != "" || a.Seconds <= 0 {
		t.Errorf("again: %+v", a)
	}
}

func TestClosedCountsBatches(t *testing.T) {
	var calls atomic.Int64
	l := &load{tasks: []task{{function: transform.Noop}}, each: batch, run: func(context.Context, task, []byte) ([]byte, error) {
		calls.Add(1)
		return nil, nil
	}}
	a, err := l.closed(t.Context(), 2, time.Millisecond)
	if err != nil || int64(a.Calls) != batch*calls.Load() {
		t.Errorf("%d tasks of %d calls, err %v", a.Calls, calls.Load(), err)
	}
}

func TestLoadsFail(t *testing.T) {
	broken := errors.New("broken")
	l := &load{tasks: []task{{function: transform.Noop}}, each: 1, run: func(context.Context, task, []byte) ([]byte, error) {
		return nil, broken
	}}
	if _, err := l.closed(t.Context(), 2, time.Hour); !errors.Is(err, broken) {
		t.Errorf("closed: err %v", err)
	}
	if _, err := l.open(t.Context(), 1000, time.Hour); !errors.Is(err, broken) {
		t.Errorf("open: err %v", err)
	}
}

// TestOffer is on time on average: at the rate, and none before it is due.
func TestOffer(t *testing.T) {
	start := time.Now()
	n := 0
	if err := offer(20_000, 50*time.Millisecond, func(due time.Duration) bool {
		if early := due - time.Since(start); early > 0 {
			t.Errorf("%v early", early)
		}
		n++
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if n < 800 || n > 1200 { // the same random moments each time
		t.Errorf("%d tasks, want about 1000", n)
	}
}

func TestCompareSays(t *testing.T) {
	for name, c := range map[string]struct{ got, want, err string }{
		"alike":     {`{"a":[1,"x",true]}`, `{"a":[1.0000000000001,"x",true]}`, ""},
		"number":    {`{"a":[1]}`, `{"a":[1.00001]}`, ".a[0] is 1, want 1.00001"},
		"no number": {`{"a":[null]}`, `{"a":[1]}`, ".a[0] is <nil>, want 1"},
		"text":      {`{"a":"x"}`, `{"a":"y"}`, ".a is x, want y"},
		"entries":   {`{"a":[1]}`, `{"a":[1,2]}`, ".a is [1], want 2 entries"},
		"members":   {`{"a":1,"b":1}`, `{"a":1}`, " is map[a:1 b:1], want 1 members"},
		"another":   {`{"b":1}`, `{"a":1}`, ".a is <nil>, want 1"},
	} {
		var got, want any
		if err := errors.Join(json.Unmarshal([]byte(c.got), &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
			t.Fatal(err)
		}
		said := ""
		if err := compare("", got, want); err != nil {
			said = err.Error()
		}
		if said != c.err {
			t.Errorf("%s: %q, want %q", name, said, c.err)
		}
	}
	if near(math.NaN(), math.NaN()) {
		t.Error("NaN is near NaN")
	}
	n := nodesResult{Strength: []float64{1}, Progress: []int{0}}
	for _, c := range []struct {
		got  *nodesResult
		want string
	}{
		{nil, "no result"},
		{&nodesResult{}, "other strengths"},
		{&nodesResult{Strength: []float64{1}, Pattern: []float64{1}}, "patterns are [1], want []"},
		{&nodesResult{Strength: []float64{1}}, "progress of [], want [0]"},
	} {
		if err := n.compare(c.got); err == nil || err.Error() != c.want {
			t.Errorf("err %v, want %s", err, c.want)
		}
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{short(0), "0 ns"}, {short(712), "712 ns"}, {short(1234), "1.23 µs"}, {short(45.6e6), "45.6 ms"}, {short(2e9), "2.00 s"},
		{count(950), "950"}, {count(4321), "4321"}, {count(43_210), "43.2k"}, {count(3e6), "3.00M"},
		{spread(nil, short), "–"}, {spread([]float64{5}, count), "5.00"}, {spread([]float64{100, 90, 105}, count), "100 ±10 %"}, {spread([]float64{100, 40, 105}, count), "100 (40.0–105)"},
		{fmt.Sprint(median([]float64{4, 1, 2, 9})), "3"}, {fmt.Sprint(ratio([]float64{2, 9, 8}, []float64{1, 3, 2})), "3"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// made are measurements of every contender, alike but for a factor.
func made() *measurements {
	m := &measurements{
		Rounds: 2, Workers: 2, Contenders: contenders, MillionNodesMS: []float64{30, 20}, MillionNodesSIMD: []float64{26, 25}, MillionNodesNative: []float64{22, 24},
		Closed: make(map[string]map[string]*closedResult), Alone: make(map[string]map[string]*closedResult),
		Callers: make(map[string][]*closedResult), Open: make(map[string]map[string]*openResult),
		OneWorker: make(map[string]*closedResult), TwoWorkers: make(map[string]*closedResult), Processes: make(map[string]*processResult),
	}
	result := func(rate float64) *closedResult {
		list := []float64{rate, rate * 1.5}
		return &closedResult{Rate: list, CPU: []float64{1e9 / rate, 1e9 / rate}, Allocs: []float64{3, 3}, Bytes: []float64{700, 700}}
	}
	for _, w := range workloads {
		m.Closed[w.name], m.Alone[w.name], m.Open[w.name] = make(map[string]*closedResult), make(map[string]*closedResult), make(map[string]*openResult)
	}
	for i, k := range contenders {
		rate := 1e6 / float64(i+1)
		for _, w := range workloads {
			m.Closed[w.name][k.Name], m.Alone[w.name][k.Name] = result(rate), result(rate/2)
			if k.single() {
				took := []float64{1e9 / rate}
				m.Open[w.name][k.Name] = &openResult{Offered: []float64{rate / 2}, P50: took, P99: took, P999: took, LateP99: took}
			}
		}
		for range callerCounts {
			m.Callers[k.Name] = append(m.Callers[k.Name], result(rate))
		}
		m.OneWorker[k.Name], m.TwoWorkers[k.Name] = result(rate), result(1.9*rate)
		m.Processes[k.Process] = &processResult{Resident: 5e7, Anonymous: 4e7, ColdMS: []float64{900}, WarmMS: []float64{600}}
	}
	return m
}

func TestFindings(t *testing.T) {
	var b strings.Builder
	made().writeFindings(&b)
	for _, want := range []string{
		"| **MISSED** | full cascade, pristine, throughput to Piscina's with eight octaves | 4.8 × (by processor time 4.8 ×) | ≥ 25 × |",
		"| met | full cascade, pristine, p99 at half load, with the kernel's own time slices | 4.00 µs (Piscina at half of its own: 19.0 µs) | ≤ 1 ms |",
		"| met | full cascade, pristine, p99 at half load, into the caller's memory, with the kernel's own time slices | 5.00 µs (Piscina at half of its own: 19.0 µs) | ≤ 1 ms |",
		"| **MISSED** | full cascade, frames of 64, metered, with the host around it, to native, both into the caller's memory, one caller | 9.00 × (frame, batched, into new memory: 8.00 ×) | ≤ 1.8 × |",
		"| met | no-op, pristine, one caller | 6.40 µs | ≤ 10.0 µs |",
		"| met | full cascade, pristine, throughput from one worker to two | 1.90 × (native 1.90 ×) | ≥ 1.8 × |",
		"| met | full cascade, pristine, processor time a task from 1 to 256 callers, largest over smallest | +0 % (native, whose callers take turns as well: +0 %) | ≤ +10 % |",
		"| met | tick of 1,000,000 nodes of a network, processor time | 25.0 ms (native Go in the guest's place: 23.0 ms) | ≤ 25 ms of one core |",
		"| **MISSED** | tick of 1,000,000 nodes, the guest in Rust with SIMD, processor time | 25.5 ms | ≤ 25 ms of one core |",
		"| **MISSED** | full cascade, shared, one by one, metered, with the host around it, to native, both into the caller's memory, one caller | 12.00 × (shared, into new memory: 11.00 ×) | ≤ 1.8 × |",
		"| **MISSED** | no-op, frames of 64, throughput with 8 callers to waPC's pool | 3.0 × (by processor time 3.0 ×) | ≥ 5 × |",
		"| **MISSED** | no-op, a command, how much less than a new instance of wazero's | 1.0 × (by processor time 1.0 ×) | ≥ 20 × |",
		"| met | full cascade, pristine, batches of 64, processor time a task from 1 to 256 callers, largest over smallest | +0 % | ≤ +10 % |",
		"| met | full cascade, frames of 64, processor time a task from 1 to 256 callers, largest over smallest | +0 % | ≤ +10 % |",
		"| **MISSED** | full cascade, shared, one by one, the guest in Rust with SIMD, to native, likewise | 16.00 × (pristine, SIMD guest, into new memory: 14.00 ×) | ≤ 1.8 × |",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("the findings lack %s:\n%s", want, b.String())
		}
	}

	m := made() // of which two figures would read like what is aimed at
	m.TwoWorkers[ofPristine].Rate = []float64{1.797 * m.OneWorker[ofPristine].Rate[0], 1.797 * m.OneWorker[ofPristine].Rate[1]}
	m.Open[full][ofPristine].P99 = []float64{1e6 + 1}
	b.Reset()
	m.writeFindings(&b)
	for _, want := range []string{
		"| **MISSED** | full cascade, pristine, throughput from one worker to two | 1.797 × (native 1.90 ×) | ≥ 1.8 × |",
		"| **MISSED** | full cascade, pristine, p99 at half load, with the kernel's own time slices | 1.000001 ms (Piscina at half of its own: 19.0 µs) | ≤ 1 ms |",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("the findings lack %s:\n%s", want, b.String())
		}
	}
}

// TestRender has whole reports, and those of what little a smoke run measures.
func TestRender(t *testing.T) {
	few := &measurements{Contenders: contenders[:2], Closed: made().Closed}
	for name, m := range map[string]*measurements{"all": made(), "few": few} {
		files := m.render()
		for d := xml.NewDecoder(bytes.NewReader(files[chartFile])); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: the chart: %v", name, err)
			}
		}
		for _, f := range files {
			for _, bad := range []string{"NaN", "Inf", "%!"} {
				if bytes.Contains(f, []byte(bad)) {
					t.Errorf("%s: has %s", name, bad)
				}
			}
		}
		for _, k := range m.Contenders {
			if !bytes.Contains(files[reportFile], []byte("| "+k.Name+" |")) {
				t.Errorf("%s: the report lacks %s", name, k.Name)
			}
		}
	}
	var b strings.Builder
	made().readme(&b)
	if lines := strings.Count(b.String(), "\n"); lines != 13 {
		t.Errorf("%d lines for a README:\n%s", lines, b.String())
	}
	{
		text := "before\n" + readmeBegin + "an old one\n" + readmeEnd + "after\n"
		got, err := made().intoReadme([]byte(text))
		if want := "before\n" + readmeBegin + b.String() + readmeEnd + "after\n"; err != nil || string(got) != want {
			t.Errorf("a README, err %v:\n%s", err, got)
		}
	}
	if _, err := made().intoReadme([]byte(readmeEnd + readmeBegin)); err == nil || !strings.HasPrefix(err.Error(), "has no place for a table") {
		t.Errorf("err %v", err)
	}
}

func TestScale(t *testing.T) {
	rows := []row{{values: []float64{118}}, {values: []float64{2.3e6}}}
	for bars, want := range map[bool]scale{true: {1, 7}, false: {2, 7}} {
		if got := scaleOf(rows, bars); got != want {
			t.Errorf("bars %t: %v, want %v", bars, got, want)
		}
	}
	if got, want := scaleOf([]row{{values: []float64{0.5}}}, true), (scale{0, 1}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	d := &drawing{}
	d.rows(rows, short, false)
	if want := "; bars begin at 10 ns, not at 0<"; !strings.Contains(d.b.String(), want) {
		t.Errorf("the axis lacks %q:\n%s", want, d.b.String())
	}
}

func TestUsage(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"rounds":   {[]string{"-rounds", "0"}, 2, "peers: -rounds, -benchtime and -workers must be positive\n"},
		"argument": {[]string{"all"}, 2, "peers: unexpected argument \"all\"\n"},
		"only":     {[]string{"-only", "("}, 2, "peers: -only: error parsing regexp: missing closing ): `(`\n"},
		"nothing":  {[]string{"-only", "abacus"}, 1, "peers: -only: leaves nothing\n"},
		"no node":  {[]string{"-node", none + "/node", "-only", "Piscina"}, 1, "peers: Piscina needs Node.js: fork/exec " + none + "/node: no such file or directory; install nodejs (20 or newer) and npm, of Debian for instance, or name one with -node\n"},
		"no guest": {[]string{childCommand, "-kind", kindExtism, "-guests", none}, 1, "peers: open " + none + "/extism.wasm: no such file or directory; make bench-peers builds it\n"},
		"no data":  {[]string{"-from", none}, 1, "peers: open " + none + ": no such file or directory\n"},
		"help":     {[]string{"-h"}, 0, ""},
	} {
		var stdout, stderr bytes.Buffer
		code := run(c.args, strings.NewReader(""), &stdout, &stderr)
		if code != c.code || c.want != "" && stderr.String() != c.want {
			t.Errorf("%s: exit code %d, %q; want %d, %q", name, code, stderr.String(), c.code, c.want)
		}
	}
}
