package workload

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, GOMAXPROCS=%d\n\n", r.Title, r.CPUs)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(r.Columns, "\t"))
	for _, row := range r.Rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	_ = table.Flush() // to memory
	b.WriteByte('\n')
	r.plot(&b)
	b.WriteByte('\n')
	for _, f := range r.Findings {
		met := "met"
		switch {
		case !f.Measured:
			met = "?"
		case !f.Met:
			met = "MISSED"
		}
		fmt.Fprintf(&b, "%-6s  %s: %s (aim: %s)\n", met, f.What, f.Got, f.Aim)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// marks tell the series of a plot apart: there are more than a plot has series.
const marks = "●○■□▲△◆◇★☆▼▽+×abcdefghijklmnopqrstuvwxyz"

func mark(series int) rune {
	all := []rune(marks)
	return all[series%len(all)]
}

const (
	plotColumns = 72
	plotRows    = 16
)

// plot draws latencies over shares: downwards the latency, in powers of ten, and to the
// right ever closer to the slowest.
func (r *Report) plot(b *strings.Builder) {
	a := r.axes()
	if a.empty() {
		return
	}
	grid := make([][]rune, plotRows)
	for i := range grid {
		grid[i] = []rune(strings.Repeat(" ", plotColumns))
	}
	for i, s := range r.Series {
		for x := range plotColumns {
			took := s.at(a.share(float64(x) / (plotColumns - 1)))
			y := int(math.Round((1 - a.y(took)) * (plotRows - 1)))
			grid[y][x] = mark(i)
		}
	}
	for y, line := range grid {
		label := ""
		if y%5 == 0 || y == plotRows-1 {
			label = short(a.took(1 - float64(y)/(plotRows-1)))
		}
		fmt.Fprintf(b, "%10s │%s\n", label, strings.TrimRight(string(line), " "))
	}
	fmt.Fprintf(b, "%10s └%s\n%12s", "", strings.Repeat("─", plotColumns), "")
	position := 0
	for _, share := range a.labels() {
		label := percent(share)
		at := int(a.x(share) * (plotColumns - 1))
		if pad := at - position; pad >= 0 {
			fmt.Fprintf(b, "%s%s", strings.Repeat(" ", pad), label)
			position = at + len([]rune(label))
		}
	}
	b.WriteString("\n\n")
	for i, s := range r.Series {
		fmt.Fprintf(b, "%12c %s\n", mark(i), s.Name)
	}
}

func percent(share float64) string { return fmt.Sprintf("%.4g%%", 100*share) }

// axes map shares and durations to what is from 0 to 1.
type axes struct {
	last     float64 // -log10 of what is left beyond the last share
	from, to float64 // log10 of durations
}

func (r *Report) axes() axes {
	a := axes{last: 1, from: math.Inf(1), to: math.Inf(-1)}
	for _, s := range r.Series {
		for _, p := range s.Points {
			if p.Share < 1 {
				a.last = max(a.last, -math.Log10(1-p.Share))
			}
			took := math.Log10(float64(max(p.Took, 1)))
			a.from, a.to = min(a.from, took), max(a.to, took)
		}
	}
	a.from, a.to = math.Floor(a.from*5)/5, math.Ceil(a.to*5)/5
	return a
}

func (a axes) empty() bool { return !(a.from < a.to) }

// x is where a share stands: 90 %, 99 % and so on at equal distances.
func (a axes) x(share float64) float64 {
	if share >= 1 {
		return 1
	}
	return min(1, -math.Log10(1-share)/a.last)
}

func (a axes) share(x float64) float64 { return 1 - math.Pow(10, -x*a.last) }

func (a axes) y(took time.Duration) float64 {
	return (math.Log10(float64(max(took, 1))) - a.from) / (a.to - a.from)
}

func (a axes) took(y float64) time.Duration {
	return time.Duration(math.Pow(10, a.from+y*(a.to-a.from)))
}

// labels are the shares to be marked.
func (a axes) labels() (list []float64) {
	for _, share := range [...]float64{0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999} {
		if share == 0 || -math.Log10(1-share) <= a.last {
			list = append(list, share)
		}
	}
	return list
}

// at is what a share took, between the points on a line.
func (s *Series) at(share float64) time.Duration {
	for i, p := range s.Points {
		if p.Share < share {
			continue
		}
		if i == 0 || p.Share == share {
			return p.Took
		}
		before := s.Points[i-1]
		part := (share - before.Share) / (p.Share - before.Share)
		return before.Took + time.Duration(part*float64(p.Took-before.Took))
	}
	if len(s.Points) == 0 {
		return 0
	}
	return s.Points[len(s.Points)-1].Took
}

// WriteHTML writes the report as a page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error {
	a := r.axes()
	type line struct{ Name, Colour, Path string }
	type label struct {
		At   float64
		Text string
	}
	data := struct {
		*Report

		Lines []line
		X, Y  []label
	}{Report: r}
	if !a.empty() {
		for i, s := range r.Series {
			var path strings.Builder
			for j, p := range s.Points {
				fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], 70+800*a.x(p.Share), 20+360*(1-a.y(p.Took)))
			}
			data.Lines = append(data.Lines, line{s.Name, fmt.Sprintf("hsl(%d 70%% 45%%)", (205+i*137)%360), path.String()})
		}
		for _, share := range a.labels() {
			data.X = append(data.X, label{70 + 800*a.x(share), percent(share)})
		}
		for i := range 6 {
			y := float64(i) / 5
			data.Y = append(data.Y, label{20 + 360*(1-y), short(a.took(y))})
		}
	}
	return page.Execute(w, data)
}

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"plus": func(a float64, b int) float64 { return a + float64(b) },
}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>resonhost bench: {{.Title}}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1em 0; display: block; overflow-x: auto }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto }
.series { white-space: nowrap; margin-right: 1.2em }
.series svg { width: .7em }
.missed { color: #b00020; font-weight: 600 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #161616 } th, td { border-color: #444 } .missed { color: #ff7b8a } }
</style>
<h1>{{.Title}}</h1>
<p>GOMAXPROCS={{.CPUs}}</p>
<table>
<tr>{{range .Columns}}<th>{{.}}</th>{{end}}</tr>
{{- range .Rows}}
<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{- end}}
</table>
{{- if .Lines}}
<svg viewBox="0 0 900 430" role="img" aria-label="latency by share of the ticks or tasks">
{{- range .Y}}
<line x1="70" x2="870" y1="{{.At}}" y2="{{.At}}" stroke="currentColor" stroke-opacity=".15"/><text x="62" y="{{plus .At 4}}" font-size="12" text-anchor="end" fill="currentColor">{{.Text}}</text>
{{- end}}
{{- range .X}}
<line x1="{{.At}}" x2="{{.At}}" y1="20" y2="380" stroke="currentColor" stroke-opacity=".15"/><text x="{{.At}}" y="400" font-size="12" text-anchor="middle" fill="currentColor">{{.Text}}</text>
{{- end}}
<text x="470" y="422" font-size="12" text-anchor="middle" fill="currentColor">share that took at most so long</text>
{{- range .Lines}}
<path d="{{.Path}}" fill="none" stroke="{{.Colour}}" stroke-width="2"/>
{{- end}}
</svg>
<p>{{range .Lines}}<span class="series"><svg viewBox="0 0 10 10"><rect width="10" height="10" fill="{{.Colour}}"/></svg> {{.Name}}</span> {{end}}</p>
{{- end}}
<ul>
{{- range .Findings}}
<li{{if not .Met}} class="missed"{{end}}>{{.What}}: {{.Got}} (aim: {{.Aim}}{{if and .Measured (not .Met)}}, missed{{end}})</li>
{{- end}}
</ul>
</html>
`))
