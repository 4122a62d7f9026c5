package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Colours by whose a contender is.
const (
	colourLimit   = "#767676"
	colourOurs    = "#1f6fc4"
	colourPiscina = "#c8501e"
	colourPeers   = "#7a4fa3"
)

func (k *contender) colour() string {
	switch k.Process {
	case kindNative, kindWazero, kindInline:
		return colourLimit
	case kindPiscina, kindPiscinaOnce:
		return colourPiscina
	case kindExtism, kindExtismStop, kindWapc, kindGoPlugin, kindPerCall, kindCommandPerCall:
		return colourPeers
	}
	return colourOurs
}

// Sizes of the chart in its own units.
const (
	chartWidth  = 960
	chartLabels = 230 // the width of the names at the left
	chartValues = 110 // and of the figures at the right
	rowHeight   = 22
)

// drawing is an SVG that grows downwards.
type drawing struct {
	b strings.Builder
	y float64
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

func (d *drawing) text(x, y float64, class, s string) {
	d.printf(`<text x="%.1f" y="%.1f" class="%s">%s</text>`, x, y, class, html.EscapeString(s))
}

func (d *drawing) title(title, note string) {
	d.y += 34
	d.text(20, d.y, "title", title)
	d.y += 18
	d.text(20, d.y, "note", note)
	d.y += 12
}

// chart draws the measurements as an SVG that needs nothing else.
func (m *measurements) chart() string {
	d := &drawing{}
	d.legend()
	d.title("Full cascades a second", fmt.Sprintf("%d callers on %d workers; more is better", callersPerWorker*m.Workers, m.Workers))
	d.rows(m.rowsOf(m.Closed[full], func(r *closedResult) []float64 { return []float64{median(r.Rate)} }), count, true)
	d.title("Latency of a full cascade at half of each one's own capacity", "from when a task was due: p50, p99 (filled) and p99.9; less is better")
	var latencies []row
	for _, k := range m.Contenders {
		if r := m.Open[full][k.Name]; r != nil {
			latencies = append(latencies, row{k.Name, k.colour(), []float64{median(r.P50), median(r.P99), median(r.P999)}})
		}
	}
	d.rows(latencies, short, false)
	d.title("A task that does nothing", "one caller; less is better")
	d.rows(m.rowsOf(m.Alone[noop], func(r *closedResult) []float64 { return []float64{nanosecondsS / median(r.Rate)} }), short, false)
	if len(m.Callers) > 0 {
		d.title("Processor time of a full cascade by callers", "as a multiple of what it is with one caller; flat is better")
		d.lines(m.Callers, m.Contenders)
	}
	d.y += 16
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13">
<style>.title{font-size:16px;font-weight:600;fill:#111}.note,.tick{font-size:11.5px;fill:#555}.name,.value{fill:#222}.end,.name{text-anchor:end}.mid{text-anchor:middle}</style>
<rect width="100%%" height="100%%" fill="#fff"/>
%s</svg>
`, chartWidth, d.y, d.b.String())
}

func (d *drawing) legend() {
	x := 20.0
	d.y = 24
	for _, l := range [][2]string{{"resonhost", colourOurs}, {"Piscina", colourPiscina}, {"other peers", colourPeers}, {"limits, without a host or a sandbox", colourLimit}} {
		d.printf(`<rect x="%.1f" y="%.1f" width="12" height="12" rx="2" fill="%s"/>`, x, d.y-11, l[1])
		d.text(x+18, d.y, "value", l[0])
		x += 48 + 7*float64(len(l[0]))
	}
}

// row is a contender: its figures, of which the first is drawn as a bar if it is the
// only one.
type row struct {
	name, colour string
	values       []float64
}

func (m *measurements) rowsOf(in map[string]*closedResult, of func(*closedResult) []float64) (rows []row) {
	for _, k := range m.Contenders {
		if r := in[k.Name]; r != nil {
			rows = append(rows, row{k.Name, k.colour(), of(r)})
		}
	}
	return rows
}

// scale maps values to positions, logarithmically over whole powers of ten, of 1 or more.
type scale struct{ from, to float64 } // log10

// scaleOf has room for all values of rows. Bars have a length, which that of the smallest is
// to have, too: they begin a power of ten below it.
func scaleOf(rows []row, bars bool) scale {
	s := scale{math.Inf(1), math.Inf(-1)}
	for _, r := range rows {
		for _, v := range r.values {
			l := math.Log10(max(v, 1))
			s.from, s.to = min(s.from, math.Floor(l)), max(s.to, math.Ceil(l))
		}
	}
	if bars {
		s.from = max(s.from-1, 0)
	}
	s.to = max(s.to, s.from+1)
	return s
}

func (s scale) x(v float64) float64 {
	share := (math.Log10(max(v, 1)) - s.from) / (s.to - s.from)
	return chartLabels + share*(chartWidth-chartLabels-chartValues)
}

// rows draws a line for each contender, the best at the top; more says whether more is.
func (d *drawing) rows(rows []row, write func(float64) string, more bool) {
	if len(rows) == 0 {
		return
	}
	bars := len(rows[0].values) == 1
	s := scaleOf(rows, bars)
	slices.SortStableFunc(rows, func(a, b row) int {
		// By the p99, where there is one.
		at := min(1, len(a.values)-1)
		if more {
			a, b = b, a
		}
		return cmp.Compare(a.values[at], b.values[at])
	})
	top, bottom := d.y+4, d.y+4+float64(len(rows))*rowHeight
	tick := func(power float64) string {
		return strings.Replace(strings.Replace(write(math.Pow(10, power)), ".00", "", 1), ".0", "", 1)
	}
	for power := s.from; power <= s.to; power++ {
		x := s.x(math.Pow(10, power))
		d.printf(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#ddd"/>`, x, x, top, bottom)
		d.text(x, bottom+14, "tick mid", tick(power))
	}
	axis := "logarithmic: each line is ten times the one to its left"
	if bars {
		axis += "; bars begin at " + tick(s.from) + ", not at 0"
	}
	d.text((s.x(math.Pow(10, s.from))+s.x(math.Pow(10, s.to)))/2, bottom+30, "tick mid", axis)
	for i, r := range rows {
		y := top + (float64(i)+0.5)*rowHeight
		d.text(chartLabels-10, y+4.5, "name", r.name)
		last := r.values[len(r.values)-1]
		if bars {
			d.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="14" rx="2" fill="%s"/>`, s.x(math.Pow(10, s.from)), y-7, max(1, s.x(last)-s.x(math.Pow(10, s.from))), r.colour)
			d.text(s.x(last)+6, y+4.5, "value", write(last))
			continue
		}
		d.printf(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="3" stroke-opacity="0.45"/>`, s.x(r.values[0]), s.x(last), y, y, r.colour)
		for j, v := range r.values {
			// p99, which findings are about, is the filled one.
			fill := "#fff"
			if j == 1 {
				fill = r.colour
			}
			d.printf(`<circle cx="%.1f" cy="%.1f" r="5" fill="%s" stroke="%s" stroke-width="2"/>`, s.x(v), y, fill, r.colour)
		}
		d.text(chartWidth-chartValues+10, y+4.5, "value", "p99 "+write(r.values[1]))
	}
	d.y = bottom + 38
}

// shownByCallers are those of which lines are drawn; all would cover each other.
var shownByCallers = [...]string{ofPristine, ofShared, ofPiscina, ofExtism, ofWapc, "go-plugin", "HTTP, pristine"}

// lines draws processor time by callers.
func (d *drawing) lines(in map[string][]*closedResult, all []contender) {
	const height, dashes = 220, 3
	most, least := 1.2, 0.8
	type line struct {
		name, colour, dash string
		values             []float64
	}
	var lines []line
	used := make(map[string]int)
	for _, k := range all {
		results := in[k.Name]
		if !slices.Contains(shownByCallers[:], k.Name) || results == nil {
			continue
		}
		l := line{name: k.Name, colour: k.colour(), dash: [dashes]string{"", "7 4", "2 3"}[used[k.colour()]%dashes]}
		used[k.colour()]++
		for _, r := range results {
			v := median(r.CPU) / median(results[0].CPU)
			l.values = append(l.values, v)
			most, least = max(most, v), min(least, v)
		}
		lines = append(lines, l)
	}
	most, least = math.Ceil(most*5)/5, math.Floor(least*5)/5
	top := d.y + 8
	const left, right = 70.0, chartWidth - 210.0
	x := func(i int) float64 { return left + (right-left)*float64(i)/float64(len(callerCounts)-1) }
	y := func(v float64) float64 { return top + height*(most-v)/(most-least) }
	step := 0.2
	for (most-least)/step > 7 {
		step *= 2
	}
	for v := least; v < most+step/2; v += step {
		d.printf(`<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#ddd"/>`, left, right, y(v), y(v))
		d.text(left-8, y(v)+4, "tick end", fmt.Sprintf("%.1f ×", v))
	}
	d.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity="0.08"/>`, left, y(1.1), right-left, y(0.9)-y(1.1), colourOurs)
	for i, n := range callerCounts {
		unit := ""
		if i == len(callerCounts)-1 {
			unit = " callers"
		}
		d.text(x(i), top+height+16, "tick mid", fmt.Sprint(n)+unit)
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Compare(b.values[len(b.values)-1], a.values[len(a.values)-1])
	})
	at := math.Inf(-1) // of the name before: names keep off each other
	for _, l := range lines {
		var path strings.Builder
		for i, v := range l.values {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x(i), y(v))
		}
		d.printf(`<path d="%s" fill="none" stroke="%s" stroke-width="2.5" stroke-dasharray="%s"/>`, path.String(), l.colour, l.dash)
		end := y(l.values[len(l.values)-1])
		at = max(end, at+16)
		d.printf(`<path d="M%.1f %.1fL%.1f %.1fL%.1f %.1f" fill="none" stroke="%s" stroke-width="1.5" stroke-dasharray="%s"/>`, right+4, end, right+16, at, right+38, at, l.colour, l.dash)
		d.text(right+44, at+4.5, "value", l.name)
	}
	d.y = max(top+height, at) + 26
}
