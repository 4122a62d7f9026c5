// Package canary judges a version that does a share of its plugin's tasks, beside the one that
// does the others. It counts what both do, and knows neither.
package canary

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Limits are what a canary must keep to.
type Limits struct {
	// Time is how long a trial takes, if enough tasks come.
	Time time.Duration
	// Errors is the share of its tasks that it may fail, and Slowdown how many times as long
	// they may take.
	Errors, Slowdown float64
}

// Every is how often a trial is to be judged.
func (l Limits) Every() time.Duration { return max(l.Time/looks, time.Millisecond) }

// Trial counts what the two versions do until the canary is promoted or rolled back. Its
// methods may be called concurrently.
type Trial struct {
	share  float64
	began  time.Time
	seed   maphash.Seed
	sides  [2]side // of the version that was there, and of the canary
	failed atomic.Uint64
	alarm  chan struct{} // has a token when the trial is to be judged at once
}

// side is what one of the versions did meanwhile.
type side struct {
	tasks atomic.Uint64 // that came back from the guest
	given atomic.Uint64 // that their callers gave up while they ran
	// Of tasks without a stream, how many succeeded, and the sum of the logarithms of what
	// they took: a heavy stream stays with one side, and says nothing of the version.
	alike atomic.Uint64
	logs  atomic.Int64 // in 1/1024
}

// What it takes to judge a canary.
const (
	// fewFailures are not enough to end a trial before its time.
	fewFailures = 5
	// enough tasks must have come back from a canary before it is promoted, or patience
	// times its time be over.
	enough, patience = 20, 10
	// fewTasks of a side tell nothing of how fast it is.
	fewTasks = 100
	// looks is how often a trial is looked at in its time.
	looks = 20
)

// New begins a trial of a canary that does that share of the tasks.
func New(share float64) *Trial {
	return &Trial{share: share, began: time.Now(), seed: maphash.MakeSeed(), alarm: make(chan struct{}, 1)}
}

// Takes reports whether the canary does a task that has no stream.
func (t *Trial) Takes() bool {
	return t.takes(rand.Uint64()) //nolint:gosec // who guesses it gains nothing
}

// TakesStream reports whether it does the tasks of a stream: all or none.
func (t *Trial) TakesStream(key string) bool { return t.takes(maphash.String(t.seed, key)) }

func (t *Trial) takes(at uint64) bool { return float64(at) < t.share*math.MaxUint64 }

func (t *Trial) side(canary bool) *side {
	if canary {
		return &t.sides[1]
	}
	return &t.sides[0]
}

// Did takes note of tasks that a side did in that time. Those of a stream are not compared
// by it.
func (t *Trial) Did(canary bool, tasks int, took time.Duration, stream bool) {
	s := t.side(canary)
	s.tasks.Add(uint64(tasks))
	if !stream {
		s.alike.Add(uint64(tasks))
		s.logs.Add(int64(1024 * float64(tasks) * math.Log(max(1, float64(took)/float64(tasks)))))
	}
}

// GivenUp takes note of tasks whose callers gave them up while a side ran them.
func (t *Trial) GivenUp(canary bool, tasks int) {
	s := t.side(canary)
	s.given.Add(uint64(tasks))
	if canary {
		t.wake(s.given.Load())
	}
}

// Failed takes note of a task that the canary failed and the version beside it did.
func (t *Trial) Failed() { t.wake(t.failed.Add(1)) }

// wake has the trial judged, if so many have gone wrong that it may end.
func (t *Trial) wake(wrong uint64) {
	if wrong >= fewFailures {
		t.JudgeNow()
	}
}

// JudgeNow has the trial judged at once.
func (t *Trial) JudgeNow() {
	select {
	case t.alarm <- struct{}{}:
	default:
	}
}

// Alarm has a token when the trial is to be judged at once.
func (t *Trial) Alarm() <-chan struct{} { return t.alarm }

// Stats is a snapshot of a trial.
type Stats struct {
	// Share is the canary's share of the tasks, and Since when it began.
	Share float64
	Since time.Time
	// Tasks is how many tasks came back from the canary, and Failed how many of its tasks
	// only the version beside it did.
	Tasks, Failed uint64
	// Slowdown is how much longer its tasks take, by the geometric mean, which few heavy ones
	// hardly change; 0 if that is not known.
	Slowdown float64
}

// Stats returns a snapshot.
func (t *Trial) Stats() Stats {
	return Stats{t.share, t.began, t.sides[1].tasks.Load(), t.failed.Load(), t.slowdown()}
}

func (t *Trial) slowdown() float64 {
	var mean [2]float64
	for i := range t.sides {
		n := t.sides[i].alike.Load()
		if n < fewTasks {
			return 0
		}
		mean[i] = float64(t.sides[i].logs.Load()) / 1024 / float64(n)
	}
	return math.Exp(mean[1] - mean[0])
}

// Verdict is what is to become of a canary.
type Verdict int

// Verdicts.
const (
	Undecided Verdict = iota
	Promote
	RollBack
)

// Judge returns what is to become of the canary, and why.
func (t *Trial) Judge(l Limits) (v Verdict, why string) {
	tasks, age := t.sides[1].tasks.Load(), time.Since(t.began)
	ended := age >= l.Time && (tasks >= enough || age >= patience*l.Time)
	if why := t.Fault(l, ended); why != "" {
		return RollBack, why
	}
	if ended {
		return Promote, fmt.Sprintf("%d tasks in %v, %d failed", tasks, age.Round(time.Millisecond), t.failed.Load())
	}
	return Undecided, ""
}

// Fault says what is wrong with the canary so far; "" if nothing is. Before the end of
// its time few failures are none.
func (t *Trial) Fault(l Limits, ended bool) string {
	failed, given := t.failed.Load(), t.sides[1].given.Load()
	// A task that failed may have come back from the guest, too.
	tasks := max(t.sides[1].tasks.Load(), failed) + given
	before := t.sides[0].given.Load()
	usual := float64(before) / float64(max(1, t.sides[0].tasks.Load()+before)) * float64(tasks)
	wrong := float64(failed) + max(0, float64(given)-usual)
	if wrong > 0 && (ended || wrong >= fewFailures) && wrong > l.Errors*float64(tasks) {
		return fmt.Sprintf("since of about %d tasks it failed %d that the version beside it did, and callers gave up %d as it ran them, against %.0f by the other: more than %.3g %%",
			tasks, failed, given, usual, 100*l.Errors)
	}
	if s := t.slowdown(); s > l.Slowdown {
		return fmt.Sprintf("since its tasks take %.2f times as long, more than %.3g times", s, l.Slowdown)
	}
	return ""
}
