//go:build unix

package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// round is a fault, and how long it took until all streams had answers to what was submitted after it began, and after it ended.
type round struct {
	what        string
	took, after time.Duration
}

// write writes a report with its plot beside it.
func write(file string, done []round, l *load) error {
	plot := strings.TrimSuffix(file, filepath.Ext(file)) + ".svg"
	var b strings.Builder
	fmt.Fprintf(&b, "# A fleet under faults\n\nWritten by `make fleet-chaos`: %d rounds, `-seed %d`, %s, %d processors.\n\n", len(done), *seed, runtime.Version(), runtime.NumCPU())
	fmt.Fprintf(&b, "Three hosts and three servers of NATS are processes of one machine, and the streams have three replicas. In each round one of them is killed, stopped for %v, or cut off for %v. ", lasts, lasts)
	fmt.Fprintf(&b, "A host counts as dead after %v (`--fleet-ack-wait`). Meanwhile tasks of %d streams, and tasks without, are submitted. Each answer of a stream depends on all of its tasks before.\n\n", ackWait, streams)
	fmt.Fprintf(&b, "- %d tasks were submitted, in %d frames. %d were answered, each once, and as if one host had done all in order.\n", l.tasks, l.frames, l.answered)
	slow := 0
	for _, r := range done {
		if r.took > recovery {
			slow++
		}
	}
	fmt.Fprintf(&b, "- Recovery is the time until all streams have answers to tasks that were submitted after the fault began. It took more than %v in %d rounds.\n", recovery, slow)
	fmt.Fprintf(&b, "- The longest time from a frame's submission to its answer was %.1f s.\n\n", l.longest.Seconds())
	b.WriteString("| fault | rounds | recovery, median | 90 % | longest | after its end, longest |\n| --- | --- | --- | --- | --- | --- |\n")
	kinds := make(map[string][]round)
	for _, r := range done {
		kinds[r.what] = append(kinds[r.what], r)
	}
	for _, what := range slices.Sorted(maps.Keys(kinds)) {
		list := kinds[what]
		slices.SortFunc(list, func(a, b round) int { return cmp.Compare(a.took, b.took) })
		at := func(share float64) float64 { return list[int(share*float64(len(list)-1)+0.5)].took.Seconds() }
		after := slices.MaxFunc(list, func(a, b round) int { return cmp.Compare(a.after, b.after) }).after.Seconds()
		fmt.Fprintf(&b, "| %s | %d | %.1f s | %.1f s | %.1f s | %.1f s |\n", what, len(list), at(0.5), at(0.9), at(1), after)
	}
	fmt.Fprintf(&b, "\n![Recovery of each round](%s)\n", filepath.Base(plot))
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(plot, []byte(drawn(done)), 0o600)
}

// drawn is the plot: a point a round, by kind of fault.
func drawn(done []round) string {
	const left, top, width, row = 190, 20, 640, 34
	kinds := make(map[string]int)
	for _, r := range done {
		kinds[r.what] = 0
	}
	names := slices.Sorted(maps.Keys(kinds))
	for i, name := range names {
		kinds[name] = i
	}
	most := recovery.Seconds() + 2
	for _, r := range done {
		most = max(most, r.took.Seconds())
	}
	x := func(seconds float64) float64 { return left + width*seconds/most }
	bottom := top + row*len(names)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", left+width+30, bottom+50)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n")
	for s := 0.0; s <= most; s += 2 {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#d0d0d0"/><text x="%.1f" y="%d" text-anchor="middle">%.0f s</text>`+"\n", x(s), top, x(s), bottom, x(s), bottom+18, s)
	}
	fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#b00020" stroke-dasharray="4 3"/>`+"\n", x(recovery.Seconds()), top, x(recovery.Seconds()), bottom)
	for i, name := range names {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-10, top+row*i+row/2+4, name)
	}
	for i, r := range done {
		y := float64(top+row*kinds[r.what]+row/2) + float64(i%7-3)*3
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="#1f5fbf" fill-opacity="0.6"/>`+"\n", x(r.took.Seconds()), y)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">recovery of each round; the dashed line is %v</text>`+"\n</svg>\n", left+width/2, bottom+40, recovery)
	return b.String()
}
