package sched_test

import (
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/sched"
)

// simulation runs a scheduler of one slot on a clock of its own.
type simulation struct {
	t     *testing.T
	s     *sched.Scheduler
	now   time.Time
	tasks map[string]task // those that wait, by name
}

type task struct {
	ticket *sched.Ticket
	takes  time.Duration
}

func simulate(t *testing.T, cfg sched.Config) *simulation {
	sim := &simulation{t: t, now: time.Unix(0, 0), tasks: make(map[string]task)}
	sim.s = sched.New(cfg)
	sim.s.SetClock(func() time.Time { return sim.now })
	return sim
}

func (sim *simulation) add(name string, takes time.Duration, r sched.Request) {
	sim.t.Helper()
	if r.Weight == 0 {
		r.Weight = 1
	}
	sim.tasks[name] = task{request(sim.t, sim.s, r), takes}
}

// step runs the task that has the slot to its end, and returns its name.
func (sim *simulation) step() string {
	sim.t.Helper()
	for name, t := range sim.tasks {
		if !t.ticket.Decided() {
			continue
		}
		wantHeld(sim.t, t.ticket)
		sim.now = sim.now.Add(t.takes)
		delete(sim.tasks, name)
		t.ticket.Release()
		return name
	}
	sim.t.Fatal("no task has the slot")
	return ""
}

// steps runs n tasks and returns the first letters of their names.
func (sim *simulation) steps(n int) string {
	sim.t.Helper()
	var names strings.Builder
	for range n {
		names.WriteByte(sim.step()[0])
	}
	return names.String()
}
