package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []float64
		want    float64
	}{{[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.samples); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.samples, got, c.want)
		}
	}
}

func TestMeasureGivesTurns(t *testing.T) {
	turns := make(map[string]int)
	contend := func(name string) *contender {
		return &contender{name: name, run: func(_ context.Context, n int) error {
			turns[name] += n
			return nil
		}}
	}
	measured, err := measure(t.Context(), []*contender{contend("a"), contend("b")}, 5, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range measured {
		if len(m.samples) != 5 || turns[m.name] < 6*batch {
			t.Errorf("%s: %d samples of %d tasks", m.name, len(m.samples), turns[m.name])
		}
	}
	failure := errors.New("cannot")
	broken := &contender{name: "broken", run: func(context.Context, int) error { return failure }}
	if _, err := measure(t.Context(), []*contender{broken}, 1, 1); !errors.Is(err, failure) || !strings.HasPrefix(err.Error(), "broken: ") {
		t.Errorf("err %v", err)
	}
}

func TestReport(t *testing.T) {
	r := newReport(3)
	r.add("a title", []measurement{
		{name: "first", what: "how", samples: []float64{2000, 1000, 3000}}, {name: "second", samples: []float64{5000, 5000, 5000}},
	})
	var table, doc bytes.Buffer
	if err := errors.Join(r.writeHead(&table), r.Sections[0].writeTable(&table), r.writeJSON(&doc)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| first ", "2.0 µs (1.0 µs–3.0 µs)", "| 1.00 ", "| second", "| 2.50 "} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
	var got report
	if err := json.Unmarshal(doc.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if want := (result{"first", "how", 2000, 1000, 3000, 1}); got.Rounds != 3 || got.Sections[0].Results[0] != want || got.Sections[0].Results[1].Ratio != 2.5 {
		t.Errorf("the JSON is %s", doc.String())
	}
}

func TestCheckFindsAnotherResult(t *testing.T) {
	a := nativeContender()
	b := *a
	b.name, b.one = "other", func(context.Context, []byte) ([]byte, error) { return []byte("other"), nil }
	if err := check(t.Context(), []*contender{a, a}); err != nil {
		t.Error(err)
	}
	if err := check(t.Context(), []*contender{a, &b}); err == nil || !strings.HasPrefix(err.Error(), "other has another result than native") {
		t.Errorf("err %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-rounds", "0"}, {"-benchtime", "-1s"}, {"extra"}, {"-nonsense"}} {
		var out, err bytes.Buffer
		if code := run(args, &out, &err); code != 2 || err.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, err.String())
		}
	}
	var out, err bytes.Buffer
	if code := run([]string{"-plugins", t.TempDir()}, &out, &err); code != 1 || !strings.Contains(err.String(), "make guests builds it") {
		t.Errorf("exit code %d, %q", code, err.String())
	}
}
