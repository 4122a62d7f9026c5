package canary

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestJudge(t *testing.T) {
	limits := Limits{Time: time.Minute, Errors: 0.01, Slowdown: 2}
	for name, c := range map[string]struct {
		do    func(*Trial)
		after time.Duration
		want  Verdict
		why   string
	}{
		"nothing came":            {func(*Trial) {}, time.Minute, Undecided, ""},
		"and nothing comes":       {func(*Trial) {}, patience * time.Minute, Promote, "0 tasks in 10m0s, 0 failed"},
		"before its time":         {func(c *Trial) { c.Did(true, enough, 0, false) }, time.Minute - 1, Undecided, ""},
		"after its time":          {func(c *Trial) { c.Did(true, enough, 0, false) }, time.Minute, Promote, "20 tasks in 1m0s, 0 failed"},
		"too few tasks":           {func(c *Trial) { c.Did(true, enough-1, 0, false) }, time.Minute, Undecided, ""},
		"few failures wait":       {func(c *Trial) { fail(c, fewFailures-1) }, 0, Undecided, ""},
		"few failures at the end": {func(c *Trial) { c.Did(true, enough, 0, false); fail(c, 1) }, time.Minute, RollBack, "it failed 1 "},
		"many failures":           {func(c *Trial) { fail(c, fewFailures) }, 0, RollBack, "it failed 5 "},
		"a small share":           {func(c *Trial) { c.Did(true, 500, 0, false); fail(c, 5) }, 0, Undecided, ""},
		"callers give up":         {func(c *Trial) { c.GivenUp(true, fewFailures) }, 0, RollBack, "gave up 5 "},
		"as with the other":       {func(c *Trial) { c.GivenUp(true, fewFailures); c.GivenUp(false, fewFailures) }, 0, Undecided, ""},
		"slow":                    {func(c *Trial) { both(c, 3*time.Second, false) }, 0, RollBack, "3.00 times"},
		"slow in streams":         {func(c *Trial) { both(c, 3*time.Second, true) }, 0, Undecided, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trial := New(0.5)
				c.do(trial)
				time.Sleep(c.after)
				if got, why := trial.Judge(limits); got != c.want || !strings.Contains(why, c.why) {
					t.Errorf("verdict %v, %q; want %v, %q", got, why, c.want, c.why)
				}
			})
		})
	}
}

func fail(c *Trial, tasks int) {
	for range tasks {
		c.Failed()
	}
}

// both has the canary's tasks take so long, and the other's a second.
func both(c *Trial, took time.Duration, stream bool) {
	for range fewTasks {
		c.Did(false, 1, time.Second, stream)
		c.Did(true, 1, took, stream)
	}
}

// TestShare has a canary do about its share, and of a stream all or nothing.
func TestShare(t *testing.T) {
	trial, taken := New(0.25), 0
	for range 10_000 {
		if trial.Takes() {
			taken++
		}
	}
	if taken < 2000 || taken > 3000 {
		t.Errorf("a quarter of 10,000 tasks were %d", taken)
	}
	first := trial.TakesStream("a")
	for range 100 {
		if trial.TakesStream("a") != first {
			t.Fatal("a stream's tasks are divided")
		}
	}
	if all, none := New(1), New(0); !all.Takes() || none.Takes() {
		t.Error("all are not all, or none not none")
	}
}
