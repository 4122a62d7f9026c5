package devloop

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/terminal"
)

// columns is how wide what is written is at most, but for the output of builds.
const columns = 80

// maxRows is how many tasks are written whose outcome is the same.
const maxRows = 40

// Colours, by what they are for.
const (
	plain = ""
	good  = "\x1b[32m"
	bad   = "\x1b[31m"
	other = "\x1b[33m"
	faint = "\x1b[2m"
)

// Printer writes reports for people.
type Printer struct {
	W io.Writer
	// Colour has it use colours, for a terminal.
	Colour bool
}

// page is a report under way.
type page struct {
	bytes.Buffer

	colour bool
}

func (p *page) in(colour, text string) string {
	if !p.colour || colour == plain {
		return text
	}
	return colour + text + "\x1b[0m"
}

// linef writes a line of text that may be foreign, cut to the width.
func (p *page) linef(colour, indent, format string, args ...any) {
	text := terminal.Printable(fmt.Sprintf(format, args...))
	fmt.Fprintf(p, "%s%s\n", indent, p.in(colour, terminal.Cut(text, columns-len(indent))))
}

// wrapped writes text that is to be read whole, in lines.
func (p *page) wrapped(colour, indent, text string) {
	for line := range strings.Lines(text) {
		line = terminal.Printable(strings.TrimRight(line, "\r\n"))
		for {
			head, rest := split(line, columns-len(indent))
			fmt.Fprintf(p, "%s%s\n", indent, p.in(colour, head))
			if line = rest; line == "" {
				break
			}
		}
	}
}

// split breaks text at the last space within a width, or else at the width.
func split(s string, width int) (head, rest string) {
	head, rest = terminal.Split(s, width)
	if at := strings.LastIndexByte(head, ' '); at > 0 && rest != "" && rest[0] != ' ' {
		head, rest = s[:at], s[at:]
	}
	return head, strings.TrimLeft(rest, " ")
}

// Print writes a report.
func (pr *Printer) Print(r *Report) error {
	p := &page{colour: pr.Colour}
	switch {
	case r.Result == Gone:
		p.wrapped(bad, "", "there is no project any more: "+r.Error.Detail)
	case r.Result == BuildFailed:
		p.buildFailed(r.Build)
	case r.Result == Refused && r.Error.Step != "":
		p.wrapped(bad, "", fmt.Sprintf("%s is refused, at the step %s:", r.Plugin, r.Error.Step))
		p.wrapped(plain, "  ", r.Error.Detail)
	case r.Result == Refused:
		p.wrapped(bad, "", fmt.Sprintf("%s: %s", r.Plugin, r.Error.Detail))
	default:
		p.deployed(r)
	}
	if !r.deployed() {
		if r.Serving.Hash == "" {
			p.linef(other, "", "no version serves")
		} else {
			p.linef(good, "", "%s keeps serving", r.Serving.name())
		}
	}
	_, err := pr.W.Write(p.Bytes())
	return err
}

func (p *page) buildFailed(b *Build) {
	if b.Error != "" {
		p.wrapped(bad, "", fmt.Sprintf("the build could not be run: %s: %s", b.Command, b.Error))
		return
	}
	p.linef(bad, "", "the build failed after %s with exit code %d: %s", seconds(b.Seconds), b.ExitCode, b.Command)
	for line := range strings.Lines(b.Output) { // not cut: compilers point at columns
		fmt.Fprintf(p, "  %s\n", terminal.Printable(strings.TrimRight(line, "\r\n")))
	}
}

func (p *page) deployed(r *Report) {
	switch host.DeployResult(r.Result) {
	case host.DeployUnchanged:
		p.linef(plain, "", "%s serves, unchanged", r.Serving.name())
	case host.DeploySwapped:
		p.linef(good, "", "%s serves, after %s", r.Serving.name(), strings.TrimPrefix(r.Before.name(), r.Serving.Plugin+" "))
	default:
		p.linef(good, "", "%s serves", r.Serving.name())
	}
	if r.Build != nil {
		p.linef(plain, "", "built in %s, deployed in %s", seconds(r.Build.Seconds), seconds(r.Seconds))
	}
	if r.Error != nil {
		p.wrapped(bad, "", r.Error.Detail)
	}
	if len(r.Tasks) > 0 {
		p.tasks(r.Tasks)
	}
	memory := "memory of an instance " + humanize.IBytes(r.Serving.Memory)
	if b := r.Before; b.Hash != "" {
		memory += ", " + byteChange(b.Memory, r.Serving.Memory)
	}
	p.linef(plain, "", "%s", memory)
}

// Widths of the table's columns. With the spaces between they take 79.
const (
	wideName    = 31
	wideOutput  = 12
	wideTime    = 9
	wideFuel    = 11
	wideChanged = 6
)

func (p *page) tasks(tasks []Task) {
	fmt.Fprintf(p, "\n%s\n", p.in(faint, fmt.Sprintf("%s %s %*s %*s %*s",
		terminal.Pad("input", wideName), terminal.Pad("output", wideOutput),
		wideTime, "time", wideChanged, "", wideFuel, "fuel")))
	left, most := 0, 0
	for i := range tasks {
		t := &tasks[i]
		most = max(most, t.Runs)
		if i >= maxRows && t.Change == Same {
			left++
			continue
		}
		p.task(t)
	}
	if left > 0 {
		p.linef(faint, "", "and %d more, whose output is the same", left)
	}
	if most > 0 {
		p.linef(faint, "", "time: as a caller of the host sees it, median of up to %d runs", most)
	}
}

func (p *page) task(t *Task) {
	colour, output := plain, t.Change
	switch {
	case t.Misbehaved():
		colour = bad
	case t.Change == Changed:
		colour = other
	}
	if t.Error != nil && t.Change != Changed {
		output += " error"
	}
	spent := "–"
	if t.Runs > 0 {
		spent = duration(t.Nanoseconds)
	}
	row := fmt.Sprintf("%s %s %s %s %s %s",
		terminal.Pad(terminal.Printable(t.Name), wideName), p.in(colour, terminal.Pad(output, wideOutput)),
		right(spent, wideTime), right(changeOf(float64(t.NanosecondsBefore), float64(t.Nanoseconds)), wideChanged),
		right(units(t.Fuel), wideFuel), right(changeOf(float64(t.FuelBefore), float64(t.Fuel)), wideChanged))
	fmt.Fprintf(p, "%s\n", strings.TrimRight(row, " "))
	switch {
	case t.Difference != "":
		p.linef(colour, "  ", "%s", t.Difference)
	case t.Error != nil && (t.Change == New || t.Misbehaved()):
		p.linef(colour, "  ", "%s", told(t.Error))
	case t.Change == New:
		p.linef(faint, "  ", "%s", t.Output)
	}
}

func right(s string, width int) string {
	return strings.Repeat(" ", max(width-terminal.Width(s), 0)) + s
}

// changeOf is by how much a figure differs from what it was, in percent.
func changeOf(before, now float64) string {
	switch {
	case before == 0 || now == 0:
		return ""
	case before == now:
		return "="
	}
	percent := (now - before) / before * 100
	switch {
	case now >= 9999*before:
		return ">×9999"
	case percent >= 1000:
		return fmt.Sprintf("×%.0f", now/before)
	case percent >= 10, percent <= -10:
		return fmt.Sprintf("%+.0f%%", percent)
	}
	return fmt.Sprintf("%+.1f%%", percent)
}

func byteChange(before, now uint64) string {
	switch {
	case now > before:
		return humanize.IBytes(now-before) + " more than before"
	case now < before:
		return humanize.IBytes(before-now) + " less than before"
	}
	return "as before"
}

// units are fuel; 0 is what is not counted.
func units(n uint64) string {
	switch {
	case n == 0:
		return "–"
	case n < 1_000_000_000:
		return humanize.Comma(int64(n))
	}
	return fmt.Sprintf("%.4gG", float64(n)/1e9)
}

func duration(nanoseconds int64) string {
	d := time.Duration(nanoseconds)
	switch {
	case d < time.Microsecond:
		return d.String()
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }
