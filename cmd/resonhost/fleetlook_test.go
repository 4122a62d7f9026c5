package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
)

// TestFleetRate has a host say something, nothing new, something, and after a long time something again.
func TestFleetRate(t *testing.T) {
	var e fleetEye
	began := time.Unix(1000, 0)
	for i, c := range []struct {
		after, age float64 // of the look and of the sign of life, in seconds
		tasks      uint64
		want       float64 // -1 for none
	}{
		{0, 1, 10, -1}, {2, 1, 30, 10}, {3, 2, 30, 10}, {4, 1, 35, 2.5}, {90, 0, 1000, -1}, {92, 0, 1200, 100}, {94, 0, 5, 2.5},
	} {
		f := &api.Fleet{Time: began.Add(time.Duration(c.after * float64(time.Second))), Hosts: []api.FleetHost{{Instance: "a", Tasks: c.tasks, Age: c.age}}}
		e.rate(f)
		got := -1.0
		if r := f.Hosts[0].Rate; r != nil {
			got = *r
		}
		if got != c.want {
			t.Errorf("look %d: %v tasks a second, want %v", i, got, c.want)
		}
	}
	f := &api.Fleet{Time: began.Add(96 * time.Second), Hosts: []api.FleetHost{{Instance: "b", Tasks: 7}}}
	if e.rate(f); f.Hosts[0].Rate != nil || len(e.before) != 1 {
		t.Errorf("another process: %v, known are %v", f.Hosts[0].Rate, e.before)
	}
}

// TestFleetSeen asks while another look is under way, and while what was seen is fresh: nobody looks again, also after an error.
func TestFleetSeen(t *testing.T) {
	s := newFleetSeen(nil, "default") // which cannot look
	s.turn <- struct{}{}
	gone, cancel := context.WithCancelCause(t.Context())
	left := errors.New("left")
	cancel(left)
	if _, err := s.Look(gone); !errors.Is(err, left) {
		t.Errorf("who has left waits for another's look: error %v", err)
	}
	<-s.turn
	s.last, s.at = &api.Fleet{}, time.Now().Add(time.Hour)
	if f, err := s.Look(t.Context()); f != s.last || err != nil {
		t.Errorf("%v, error %v", f, err)
	}
	s.last, s.err = nil, errNoNATS
	if _, err := s.Look(t.Context()); !errors.Is(err, errNoNATS) {
		t.Errorf("error %v", err)
	}
}
