package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []time.Duration
		want    time.Duration
	}{{[]time.Duration{7}, 7}, {[]time.Duration{9, 1, 5}, 5}, {[]time.Duration{4, 1, 2, 9}, 3}} {
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

func TestReportRatios(t *testing.T) {
	var out bytes.Buffer
	report(&out, 3, []measurement{
		{name: "first", samples: []time.Duration{2000, 1000, 3000}}, {name: "second", samples: []time.Duration{5000, 5000, 5000}},
	})
	for _, want := range []string{"| first ", "2.0 µs (1.0 µs–3.0 µs)", "| 1.00 ", "| second", "| 2.50 "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, out.String())
		}
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
