package sched_test

import (
	"context"
	"errors"
	"testing"

	"github.com/resonhost/resonhost/host/internal/sched"
)

func TestTasksWaitForATurnThatIsOccupied(t *testing.T) {
	s := sched.New(sched.Config{Slots: 2, Capacity: 8})
	g := group(s, 2)
	var serial sched.Serial
	serial.Occupy()
	first, second := submit(t, s, g, &serial), submit(t, s, g, &serial)
	other := submit(t, s, g, nil)
	wantHeld(t, other) // a turn that is occupied takes no slot
	wantWaiting(t, first, second)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if err := first.Wait(ctx); !errors.Is(err, gone) {
		t.Errorf("a task that is withdrawn has %v, want %v", err, gone)
	}
	s.Close()
	s.Vacate(&serial)
	wantHeld(t, second)
	second.Release()
	other.Release()
	<-s.Drained()
}

func TestFailEndsTheWaitingForATurn(t *testing.T) {
	s := sched.New(sched.Config{Slots: 2, Capacity: 2})
	g := group(s, 2)
	var serial sched.Serial
	serial.Occupy()
	waiting := []*sched.Ticket{submit(t, s, g, &serial), submit(t, s, g, &serial), submit(t, s, g, &serial)}
	if !waiting[2].Blocked() {
		t.Fatal("the last task has room in a full queue")
	}
	fault := errors.New("no state")
	s.Fail(&serial, fault)
	for i, ticket := range waiting {
		if err := ticket.Room(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := ticket.Wait(t.Context()); !errors.Is(err, fault) {
			t.Errorf("task %d has %v, want %v", i, err, fault)
		}
	}
	later := submit(t, s, g, &serial)
	wantHeld(t, later)
	later.Release()
	if st := s.Stats(); st.Depth != 0 || st.Blocked != 0 || st.Active != 0 {
		t.Errorf("stats %+v, want nothing left", st)
	}
	s.Close()
	<-s.Drained()
}
