package sched_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/sched"
)

// TestRetire retires a group that has a task with a slot, one that waits and one that
// gives up.
func TestRetire(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 10, Age: time.Hour})
	class := s.NewClass(1)
	g := s.NewGroup(class, 1)
	submit := func() (sched.Ticket, error) { return s.Place(sched.Request{Group: g, Level: sched.Normal, Weight: 1}) }
	var tickets [3]sched.Ticket
	for i := range tickets {
		var err error
		if tickets[i], err = submit(); err != nil {
			t.Fatal(err)
		}
	}
	ended := s.Retire(g)
	if again := s.Retire(g); again != ended {
		t.Error("retired again, it has another end")
	}
	if _, err := submit(); !errors.Is(err, sched.ErrRetired) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tickets[2].Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	tickets[0].Release()
	if err := tickets[1].Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Error("has ended with a task that has a slot")
	default:
	}
	tickets[1].Release()
	<-ended
	s.RemoveClass(class)
	if <-s.Retire(s.NewGroup(s.NewClass(1), 1)); s.Stats().Depth != 0 { // of which there were no tasks
		t.Error(s.Stats())
	}
	s.Close()
	<-s.Drained()
}

// TestSetLimit has waiting tasks begin at once when their class may have more, and none when it may
// have fewer until enough have ended.
func TestSetLimit(t *testing.T) {
	s := sched.New(sched.Config{Slots: 3, Capacity: 10, Age: time.Hour})
	class := s.NewClass(1)
	g := s.NewGroup(class, 1)
	var tickets [4]sched.Ticket
	for i := range tickets {
		var err error
		if tickets[i], err = s.Place(sched.Request{Group: g, Level: sched.Normal, Weight: 1}); err != nil {
			t.Fatal(err)
		}
	}
	running := func(want int) {
		t.Helper()
		if n := s.Stats().Active; n != want {
			t.Errorf("%d run, want %d", n, want)
		}
	}
	running(1)
	s.SetLimit(class, 3)
	running(3)
	s.SetLimit(class, 1)
	for i := range 3 {
		if err := tickets[i].Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tickets[0].Release()
	running(2)
	tickets[1].Release()
	running(1)
	tickets[2].Release()
	running(1)
	if err := tickets[3].Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	tickets[3].Release()
	s.Close()
	<-s.Drained()
}
