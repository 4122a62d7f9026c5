package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/timeslice"
)

// Files of a report.
const (
	reportFile = "REPORT.md"
	chartFile  = "report.svg"
)

// render returns the files of the report.
func (m *measurements) render() map[string][]byte {
	return map[string][]byte{reportFile: []byte(m.markdown()), chartFile: []byte(m.chart())}
}

func (c *config) write(m *measurements, files map[string][]byte, stdout io.Writer) error {
	if c.report != "" {
		for name, b := range files {
			if err := os.WriteFile(filepath.Join(c.report, name), b, 0o644); err != nil {
				return err
			}
		}
	}
	if c.readme != "" {
		text, err := os.ReadFile(c.readme)
		if err == nil {
			text, err = m.intoReadme(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.readme, err)
		}
		if err := os.WriteFile(c.readme, text, 0o644); err != nil { //nolint:gosec // the file that was named
			return err
		}
	}
	var b strings.Builder
	m.writeFindings(&b)
	_, err := io.WriteString(stdout, b.String())
	return err
}

// Remarks around the table of a README.
const (
	readmeBegin = "<!-- Written by make bench-peers. -->\n"
	readmeEnd   = "<!-- End. -->\n"
)

// intoReadme puts the short table in its place.
func (m *measurements) intoReadme(text []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(text, []byte(readmeBegin))
	_, after, closed := bytes.Cut(rest, []byte(readmeEnd))
	if !ok || !closed {
		return nil, fmt.Errorf("has no place for a table, between %q and %q", strings.TrimSpace(readmeBegin), strings.TrimSpace(readmeEnd))
	}
	var b strings.Builder
	m.readme(&b)
	return slices.Concat(before, []byte(readmeBegin), []byte(b.String()), []byte(readmeEnd), after), nil
}

// table writes a Markdown table.
func table(b *strings.Builder, rows ...[]string) {
	for i, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|%s\n", strings.Repeat(" --- |", len(row)))
		}
	}
	b.WriteByte('\n')
}

func (m *measurements) markdown() string {
	b := &strings.Builder{}
	b.WriteString("# resonhost beside others\n\nWritten by `make bench-peers`; what counts are the ratios.\n\n")
	m.writeMachine(b)
	b.WriteString("\n![Throughput, latency, the cost of a call, and cost by callers](report.svg)\n\n## Findings\n\n")
	m.writeFindings(b)
	m.writeContenders(b)
	m.writeThroughput(b)
	m.writeAlone(b)
	m.writeLatency(b)
	m.writeAllocations(b)
	m.writeCallers(b)
	m.writeWorkers(b)
	m.writeProcesses(b)
	b.WriteString(strings.TrimPrefix(method, "\n"))
	return b.String()
}

func (m *measurements) writeMachine(b *strings.Builder) {
	k := m.Machine
	fmt.Fprintf(b, "Measured on %s: %s, %d cores, %.0f GiB, %s; %s", k.Date, k.CPU, k.Cores, k.MemoryGB, k.OS, k.Go)
	if k.Node != "" {
		fmt.Fprintf(b, ", Node.js %s", k.Node)
	}
	for _, v := range k.Modules {
		fmt.Fprintf(b, ", %s %s", v[0], strings.TrimPrefix(v[1], "v"))
	}
	fmt.Fprintf(b, ". %d workers; %d rounds in turns, in which each contender has each load for %.3g s altogether. ", m.Workers, m.Rounds, m.BenchtimeS)
	fmt.Fprintf(b, "Figures are medians of the rounds, ± how far the farthest round is, or the range where that is wide. Before anything was measured, %d full cascades and summaries of every contender were compared, %d of them with what the original answered, the others with native Go: all within 1e-9; and so were a tick of 4096 nodes and the echoes.\n", m.Checked, m.Recorded)
	m.writeDisturbed(b)
}

// writeDisturbed says if the machine had other things to do shortly before.
func (m *measurements) writeDisturbed(b *strings.Builder) {
	if k := &m.Machine; !idle(k.Load, k.Cores) {
		fmt.Fprintf(b, "\n**Preliminary: the machine was not idle before the start (load average %.1f).**\n", k.Load)
	}
}

func (m *measurements) writeFindings(b *strings.Builder) {
	rows := [][]string{{"", "what", "figure", "aim"}}
	for _, f := range m.findings() {
		met := "met"
		if !f.met {
			met = "**MISSED**"
		}
		rows = append(rows, []string{met, f.what, f.got, f.aim})
	}
	table(b, rows...)
}

func (m *measurements) writeContenders(b *strings.Builder) {
	b.WriteString("## Who is compared, and what each is given\n\n")
	rows := [][]string{{"contender", "what", "fresh memory each task?", "interruptible?"}}
	for _, k := range m.Contenders {
		rows = append(rows, []string{k.Name, k.What, k.Fresh, k.Stops})
	}
	table(b, rows...)
	b.WriteString(given)
}

const given = `Like is to be compared with like: Extism, waPC and Piscina keep a task's memory for the
next, as resonhost's ` + "`shared`" + ` does; a fresh memory for each have ` + "`pristine`" + `
and a new instance of wazero. Only resonhost's metered modes and Extism with a timeout end
a guest that does not return and keep the process; Extism's instance is gone then, and
Piscina ends a thread. go-plugin and native Go have no sandbox: a child process that
crashes harms no other, and can do whatever its user may.

Every peer is used as its documentation advises for speed: plugins are compiled once,
instances, threads and connections are used again, as many as there are workers. All guests
but those with SIMD are built from the same Go code of the transforms, with the same flags; Extism's with its
PDK, waPC's by the guest half of its protocol, which has a library for TinyGo alone. wazero
is one version for all. waPC's is the last version whose engine is released with it, and a
semaphore keeps callers from its pool while that is empty, where they would spin. Clients of
HTTP and of go-plugin have 64 calls under way at most, the others wait before them: with
thousands, gRPC's two ends were seen to wait for each other for ever.
Piscina takes a state and gives a result as objects, as the original did, and nodes and
echoes as typed arrays; large ones go back by handing over their memory. Its options are
the defaults: several tasks a thread, and other atomics, made it no faster.

`

// spread writes a median and how far the farthest round is from it, or the range if that
// is wide.
func spread(samples []float64, write func(float64) string) string {
	if len(samples) == 0 {
		return "–"
	}
	mid := median(samples)
	off := max(slices.Max(samples)-mid, mid-slices.Min(samples))
	if mid == 0 || len(samples) == 1 {
		return write(mid)
	}
	if off > mid/2 {
		return fmt.Sprintf("%s (%s–%s)", write(mid), write(slices.Min(samples)), write(slices.Max(samples)))
	}
	return fmt.Sprintf("%s ±%.0f %%", write(mid), 100*off/mid)
}

func (m *measurements) writeThroughput(b *strings.Builder) {
	fmt.Fprintf(b, "## Throughput: tasks a second, %d callers on %d workers\n\n", callersPerWorker*m.Workers, m.Workers)
	m.writeClosed(b, func(r *closedResult) string { return spread(r.Rate, count) })
	fmt.Fprintf(b, "Mixed is, of %d tasks, %s.\n\n", len(theInputs().Mixed), mixture(theInputs().Mixed))
	b.WriteString("## Processor time a task in the same loads\n\n")
	m.writeClosed(b, func(r *closedResult) string { return spread(r.CPU, short) })
	b.WriteString("It is that of the contender's process and of its children, with the load's own: of all\nfigures what least depends on whether the machine has other things to do.\n\n")
}

// writeClosed writes a table of a figure of closed loads by contender and workload.
func (m *measurements) writeClosed(b *strings.Builder, figure func(*closedResult) string) {
	head := []string{"contender"}
	for _, w := range workloads {
		head = append(head, w.title)
	}
	rows := [][]string{head}
	for _, k := range m.Contenders {
		row := []string{k.Name}
		for _, w := range workloads {
			cell := "–"
			if r := m.Closed[w.name][k.Name]; r != nil {
				cell = figure(r)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	table(b, rows...)
}

func mixture(list []string) string {
	var parts []string
	for _, w := range workloads {
		n := 0
		for _, l := range list {
			if l == w.name {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d × %s", n, w.title))
		}
	}
	return strings.Join(parts, "; ")
}

func (m *measurements) writeAlone(b *strings.Builder) {
	shown := [...]string{full, noop, echo1k, ticks}
	b.WriteString("## Time of a task with one caller\n\n")
	head := []string{"contender"}
	for _, w := range shown {
		head = append(head, titleOf(w), "to native")
	}
	rows := [][]string{head}
	for _, k := range m.Contenders {
		row := []string{k.Name}
		for _, w := range shown {
			r, native := m.Alone[w][k.Name], m.Alone[w][ofNative]
			if r == nil {
				row = append(row, "–", "–")
				continue
			}
			row = append(row, spread(inverse(r.Rate), short))
			if native == nil {
				row = append(row, "–")
				continue
			}
			row = append(row, digits(ratio(native.Rate, r.Rate))+" ×")
		}
		rows = append(rows, row)
	}
	table(b, rows...)
}

// inverse turns rates in 1/s into times in ns.
func inverse(rates []float64) []float64 {
	list := make([]float64, len(rates))
	for i, r := range rates {
		list[i] = nanosecondsS / r
	}
	return list
}

func (m *measurements) writeLatency(b *strings.Builder) {
	b.WriteString("## Latency at half of each one's own capacity\n\n")
	for _, w := range openWorkloads {
		if m.Open[w] == nil {
			continue
		}
		title := titleOf(w)
		if w == fullShort {
			title = titleOf(full) + ", short time slices"
		}
		rows := [][]string{{title, "offered/s", "p50", "p99", "p99.9", "the load's own p99"}}
		for _, k := range m.Contenders {
			if r := m.Open[w][k.Name]; r != nil {
				rows = append(rows, []string{
					k.Name, count(median(r.Offered)), spread(r.P50, short), spread(r.P99, short), spread(r.P999, short), short(median(r.LateP99)),
				})
			}
		}
		table(b, rows...)
	}
	fmt.Fprintf(b, "Latencies count from when a task was due, at random moments; the last column is how late\nthe load was to begin tasks, which is part of them. No more than %s/s are offered.\n\n", count(maxOffered))
	if m.Open[fullShort] != nil {
		fmt.Fprintf(b, `With short time slices is the same once more with the contender's threads scheduled as those of
resonhost's command are by default, and those of who calls timeslice.Set: in turns of %v.
Otherwise a kernel that packs threads onto as few processors as it can has two of them take
turns, for 1.4 ms each, while a processor is idle.

`, timeslice.Default)
	}
}

func (m *measurements) writeAllocations(b *strings.Builder) {
	shown := [...]string{full, noop, echo1k, echo64k}
	b.WriteString("## Allocations and bytes a task, in Go, in the process that calls\n\n")
	head := []string{"contender"}
	for _, w := range shown {
		head = append(head, titleOf(w))
	}
	rows := [][]string{head}
	for _, k := range m.Contenders {
		if isNode(k.Process) {
			continue
		}
		row := []string{k.Name}
		for _, w := range shown {
			cell := "–"
			if r := m.Closed[w][k.Name]; r != nil {
				// Fractions are of what tasks share, or of the load itself.
				cell = fmt.Sprintf("%.0f, %s", median(r.Allocs), size(median(r.Bytes)))
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	table(b, rows...)
}

// size writes a number of bytes.
func size(n float64) string {
	switch {
	case n >= 1e6:
		return digits(n/1e6) + " MB"
	case n >= 1e4:
		return digits(n/1e3) + " kB"
	}
	return fmt.Sprintf("%.0f B", n)
}

func (m *measurements) writeCallers(b *strings.Builder) {
	if len(m.Callers) == 0 {
		return
	}
	b.WriteString("## Processor time of a full cascade by callers\n\n")
	head := []string{"contender"}
	for _, n := range callerCounts {
		head = append(head, fmt.Sprint(n))
	}
	rows := [][]string{append(head, "largest over smallest", "tasks/s with 256")}
	for _, k := range m.Contenders {
		row, costs := []string{k.Name}, []float64(nil)
		for _, r := range m.Callers[k.Name] {
			row = append(row, spread(r.CPU, short))
			costs = append(costs, median(r.CPU))
		}
		row = append(row, fmt.Sprintf("%+.0f %%", 100*(slices.Max(costs)/slices.Min(costs)-1)),
			count(median(m.Callers[k.Name][len(callerCounts)-1].Rate)))
		rows = append(rows, row)
	}
	table(b, rows...)
}

func (m *measurements) writeWorkers(b *strings.Builder) {
	if len(m.OneWorker) == 0 {
		return
	}
	b.WriteString("## Full cascades a second with one worker and with two\n\n")
	rows := [][]string{{"contender", "one", "two", "ratio"}}
	for _, k := range m.Contenders {
		one, two := m.OneWorker[k.Name], m.TwoWorkers[k.Name]
		rows = append(rows, []string{k.Name, spread(one.Rate, count), spread(two.Rate, count), fmt.Sprintf("%.2f ×", ratio(two.Rate, one.Rate))})
	}
	table(b, rows...)
	b.WriteString("Inline has one worker in any case. A worker is not all that computes: HTTP, gRPC and\nPiscina have threads beside it, which are what the second core does with one worker.\n\n")
}

func (m *measurements) writeProcesses(b *strings.Builder) {
	b.WriteString("## Memory and starts\n\n")
	rows := [][]string{{"process of", "resident", "of it no file's", "cold start", "warm start"}}
	seen := make(map[string]bool)
	for _, k := range m.Contenders {
		p := m.Processes[k.Process]
		if seen[k.Process] || p == nil {
			continue
		}
		seen[k.Process] = true
		rows = append(rows, []string{
			k.Name, mib(p.Resident), mib(p.Anonymous), spread(inNS(p.ColdMS), short), spread(inNS(p.WarmMS), short),
		})
	}
	table(b, rows...)
	b.WriteString("Memory is that of the process and its children after full cascades, with all plugins loaded.\nA cold start is from a new process to its first answer, with the plugin cascade alone; a warm\none is another contender in a process that has one. Neither is from a cache of compiled code.\n\n")
	if len(m.MillionNodesMS) > 0 {
		fmt.Fprintf(b, "## A million nodes\n\nA tick of a network of 1,000,000 nodes with a pattern each takes %s of processor time, of\nthe whole process with host and network, in resonhost's default isolation",
			spread(inNS(m.MillionNodesMS), short))
		if len(m.MillionNodesSIMD) > 0 {
			fmt.Fprintf(b, ";\nwith the guest in Rust %s", spread(inNS(m.MillionNodesSIMD), short))
		}
		if len(m.MillionNodesNative) > 0 {
			fmt.Fprintf(b, ";\nwith native Go in the guest's place %s", spread(inNS(m.MillionNodesNative), short))
		}
		b.WriteString(".\n\n")
	}
}

func inNS(ms []float64) []float64 {
	out := make([]float64, len(ms))
	for i, v := range ms {
		out[i] = v * 1e6
	}
	return out
}

func mib(size float64) string { return fmt.Sprintf("%.0f MiB", size/(1<<20)) }

const method = `
## How it is measured

Each contender is a process of its own, which waits on its stdin between its turns; the
program that drives them all only reads clocks. A closed load has callers that call one task
after the other. An open load begins tasks when they are due, however long those before
take; it waits by an alarm of the kernel and then by letting others run, in Node.js by
turns of its event loop, since the timers of either are a millisecond late. The load is
part of the contender's process, as the callers of a service are, and so of its time.
Throughput is to be read with care where that is not much more than the task: of a no-op.

Every process in Go has 64 MiB on its heap that it never touches, as resonhost's command
does, so that how often garbage is collected does not hang on whether the memory of guests
is on the heap too. Node.js has its defaults.

On a machine with more cores than workers, ` + "`taskset`" + ` keeps all on as many.

Ratios are medians over the rounds of the ratio within a round. Contenders have their turns
in another order each round. Before a load is measured each has a turn to warm up.
`

// readme is a short table.
func (m *measurements) readme(b *strings.Builder) {
	shown := [...]struct{ contender, name string }{
		{ofNative, ofNative},
		{ofPristine, "resonhost, " + ofPristine},
		{ofFrame, "resonhost, " + ofFrame},
		{ofPiscina, ofPiscina},
		{ofExtism, ofExtism},
		{ofWapc, ofWapc},
		{"go-plugin", "go-plugin"},
		{"wazero, a new instance each", "wazero, a new instance each"},
	}
	fmt.Fprintf(b, "%s, %d cores, %s, Node.js %s; medians of %d rounds in turns\n", m.Machine.CPU, m.Machine.Cores, m.Machine.Go, m.Machine.Node, m.Rounds)
	m.writeDisturbed(b)
	b.WriteByte('\n')
	rows := [][]string{{"", "full cascades/s", "p99 at half load, short time slices", "no-op, one caller", "fresh memory each task?", "interruptible?"}}
	for _, c := range shown {
		i := slices.IndexFunc(m.Contenders, func(k contender) bool { return k.Name == c.contender })
		if i < 0 {
			continue
		}
		k := m.Contenders[i]
		row := []string{c.name, "–", "–", "–", k.Fresh, k.Stops}
		if r := m.Closed[full][k.Name]; r != nil {
			row[1] = count(median(r.Rate))
		}
		if r := m.Open[fullShort][k.Name]; r != nil { // as resonhost run has it
			row[2] = short(median(r.P99))
		}
		if r := m.Alone[noop][k.Name]; r != nil {
			row[3] = short(nanosecondsS / median(r.Rate))
		}
		rows = append(rows, row)
	}
	table(b, rows...)
}
