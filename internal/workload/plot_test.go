package workload

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// report has two series, of which one is ten times the other.
func report() *Report {
	r := newReport("a <trial>", "load", "took")
	r.row("light", 1500*time.Microsecond)
	r.row("heavy", 12345.0)
	for name, step := range map[string]time.Duration{"light": time.Microsecond, "heavy": 10 * time.Microsecond} {
		d := newDistribution()
		for n := range 1000 {
			d.observe(time.Duration(n+1) * step)
		}
		r.Series = append(r.Series, d.series(name))
	}
	slices.SortFunc(r.Series, func(a, b Series) int { return strings.Compare(b.Name, a.Name) }) // the light one first
	r.finding(true, "this", "1", "≤ 2")
	r.finding(false, "that", "3", "≤ 2")
	r.unmeasured("another", "≤ 2")
	return r
}

func TestSeries(t *testing.T) {
	s := report().Series[0]
	last := Point{}
	for _, p := range s.Points {
		if p.Share < last.Share || p.Took < last.Took {
			t.Errorf("point %+v after %+v", p, last)
		}
		if want := time.Duration(p.Share*1000) * time.Microsecond; p.Share > 0 && (p.Took < want*98/100 || p.Took > want*102/100) {
			t.Errorf("share %v took %v, want %v", p.Share, p.Took, want)
		}
		last = p
	}
	if last.Share != 1 {
		t.Errorf("the slowest is not there: %+v", last)
	}
	if got := newDistribution().series("nothing"); len(got.Points) != 1 || got.at(0.5) != 0 {
		t.Errorf("series of nothing %+v", got)
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := report().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a <trial>, GOMAXPROCS=", "\nlight  1.5ms\nheavy  12345\n", "50%", "99%", "● light", "○ heavy",
		"\nmet     this: 1 (aim: ≤ 2)\n", "\nMISSED  that: 3 (aim: ≤ 2)\n",
		"\n?       another: not measured (aim: ≤ 2)\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	// The heavier is above the lighter in every column that has both.
	lines := strings.Split(b.String(), "\n")
	top := func(mark rune) int {
		for i, line := range lines {
			if strings.Contains(line, "│") && strings.ContainsRune(line, mark) {
				return i
			}
		}
		return -1
	}
	if heavy, light := top('○'), top('●'); heavy < 0 || heavy >= light {
		t.Errorf("the heavier begins in line %d, the lighter in line %d", heavy, light)
	}
	b.Reset()
	if err := newReport("empty").WriteText(&b); err != nil || strings.Contains(b.String(), "│") {
		t.Errorf("err %v, a plot of nothing: %s", err, b.String())
	}
}

// TestMarks has more series than any trial, the names of which are numbers.
func TestMarks(t *testing.T) {
	const most = 20 // of load, with 11
	r := newReport("many")
	for i := range most {
		d := newDistribution()
		d.observe(time.Duration(i+1) * time.Millisecond)
		r.Series = append(r.Series, d.series(fmt.Sprint(i)))
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	of := make(map[string]string)
	for line := range strings.Lines(b.String()) {
		fields := strings.Fields(line)
		if len(fields) != 2 || len([]rune(fields[0])) != 1 {
			continue
		}
		if other, ok := of[fields[0]]; ok {
			t.Errorf("series %s and %s are both drawn by %s", other, fields[1], fields[0])
		}
		of[fields[0]] = fields[1]
	}
	if len(of) != most {
		t.Errorf("%d series in the legend, want %d:\n%s", len(of), most, b.String())
	}
}

func TestHTML(t *testing.T) {
	var b strings.Builder
	if err := report().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<title>resonhost bench: a &lt;trial&gt;</title>", "<path d=\"M70.0 ", `fill="hsl(205 70% 45%)"`, `<li class="missed">that: 3`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "ZgotmplZ") {
		t.Error("the template refuses a value")
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		123456789: "123ms", 12345678: "12.35ms", 1234567: "1.23ms", 123456: "123.46µs", 999: "999ns", 0: "0s",
	} {
		if got := short(d); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}
