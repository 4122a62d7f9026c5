package row

import (
	"testing"
	"time"
)

func TestRow(t *testing.T) {
	const longest = 64
	var warned []int
	r := Row{Max: longest, Warn: func(size int, _ time.Duration) { warned = append(warned, size) }}
	r.SetTarget(100 * time.Microsecond)
	now := time.Unix(0, 0)
	waited := true
	feed := func(took time.Duration, tasks, times int, every time.Duration) {
		for range times {
			now = now.Add(every)
			r.Observe(now, took, tasks, waited)
		}
	}
	if r.Size() != 1 {
		t.Errorf("size %d before the first task, want 1", r.Size())
	}
	for _, c := range []struct {
		took  time.Duration
		tasks int
		want  int
	}{
		{10 * time.Microsecond, 1, 10},
		{80 * time.Microsecond, 4, 5},
		{time.Second, 1, 1},
		{time.Nanosecond, 1, longest},
		{0, 1, longest},
		{100 * time.Microsecond, 1, 1},
		{51 * time.Microsecond, 1, 1},
	} {
		feed(c.took, c.tasks, 300, time.Millisecond)
		if got := r.Size(); got != c.want {
			t.Errorf("tasks of %v: %d in a row, want %d", c.took/time.Duration(c.tasks), got, c.want)
		}
	}
	// At a bound for five minutes, twice, with a time between.
	feed(time.Second, 1, 20, time.Minute)
	feed(20*time.Microsecond, 1, 300, time.Minute)
	feed(time.Nanosecond, 1, 4, time.Minute)
	if len(warned) != 1 || warned[0] != 1 {
		t.Errorf("warned of %v, want of 1", warned)
	}
	feed(time.Nanosecond, 1, 300, time.Minute)
	if len(warned) != 2 || warned[1] != longest {
		t.Errorf("warned of %v, want of 1 and %d", warned, longest)
	}
	// Nothing waits; or there are few tasks; or it is at one bound and then at the other.
	waited = false
	feed(time.Second, 1, 300, time.Minute)
	waited = true
	feed(time.Second, 1, 2, 10*time.Minute)
	feed(time.Second, 1, 4, time.Minute)
	feed(time.Nanosecond, 1, 300, time.Millisecond)
	feed(time.Nanosecond, 1, 3, time.Minute)
	if len(warned) != 2 {
		t.Errorf("warned of %v, want of nothing more", warned[2:])
	}
}

func TestNoRow(t *testing.T) {
	var r Row
	r.Observe(time.Unix(0, 0), time.Nanosecond, 1, true)
	if r.Size() != 1 {
		t.Errorf("size %d, want 1", r.Size())
	}
}
