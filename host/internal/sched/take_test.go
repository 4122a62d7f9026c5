package sched_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host/internal/sched"
)

// take takes all jobs that it can, and returns them.
func take(t *sched.Ticket, accept func(any) bool) (jobs []any) {
	for {
		next, ok := t.Next(accept)
		if !ok {
			return jobs
		}
		jobs = append(jobs, next.Job)
		next.Done()
	}
}

func wantJobs(t *testing.T, got []any, want ...any) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
}

func TestNextTakesTheNextInTurn(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 100, Age: time.Hour})
	mine, others := group(s, 1), group(s, 1)
	leader := submit(t, s, mine, nil)
	wantHeld(t, leader)
	offer := func(g *sched.Group, tenant string, job any) *sched.Ticket {
		ticket := request(t, s, sched.Request{Group: g, Level: sched.Normal, Tenant: tenant, Weight: 1})
		ticket.Offer(job)
		return ticket
	}
	first := offer(mine, "a", 1)
	other := offer(others, "", "other")
	second := offer(mine, "b", 2)
	big := offer(mine, "a", 30)
	silent := submit(t, s, mine, nil)
	last := offer(mine, "a", 4)
	wantJobs(t, take(leader, func(job any) bool { return job.(int) < 10 }), 1, 2)
	for _, ticket := range []*sched.Ticket{first, second} {
		if err := ticket.Wait(t.Context()); !errors.Is(err, sched.ErrTaken) {
			t.Errorf("err %v, want ErrTaken", err)
		}
	}
	wantJobs(t, take(leader, nil), 30) // and not what stands behind one that offers nothing
	wantWaiting(t, other, silent, last)
	if err := big.Wait(t.Context()); !errors.Is(err, sched.ErrTaken) {
		t.Errorf("err %v, want ErrTaken", err)
	}

	// Those of a higher level go first.
	urgent := request(t, s, sched.Request{Group: others, Level: sched.Urgent, Weight: 1})
	withdrawn, cancel := context.WithCancel(t.Context())
	cancel()
	if err := silent.Wait(withdrawn); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wantJobs(t, take(leader, nil))
	leader.Release()
	wantHeld(t, urgent)
	urgent.Release()
	wantHeld(t, other)
	other.Release()
	wantHeld(t, last)
	last.Release()
	if st := s.Stats(); st.Active != 0 || st.Depth != 0 {
		t.Errorf("stats %+v", st)
	}
}

// TestATakenTaskIsNotWithdrawn has its context end between the taking and the doing.
func TestATakenTaskIsNotWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sched.New(sched.Config{Slots: 1, Capacity: 100, Age: time.Hour, Timeout: time.Second})
		g := group(s, 1)
		leader, follower := submit(t, s, g, nil), submit(t, s, g, nil)
		follower.Offer("job")
		next, ok := leader.Next(nil)
		if !ok {
			t.Fatal("took nothing")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ended := make(chan error, 1)
		go func() { ended <- follower.Wait(ctx) }()
		time.Sleep(2 * time.Second) // past the timeout, too
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("ended with %v before the job was done", err)
		default:
		}
		next.Done()
		if err := <-ended; !errors.Is(err, sched.ErrTaken) {
			t.Errorf("err %v, want ErrTaken", err)
		}
		leader.Release()
		s.Close()
		<-s.Drained()
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sched.New(sched.Config{Slots: 1, Capacity: 2, Policy: sched.Block, Age: time.Hour, Timeout: time.Second})
		g := group(s, 1)
		began := time.Now()
		running := submit(t, s, g, nil)
		var serial sched.Serial
		tickets := []*sched.Ticket{submit(t, s, g, &serial), submit(t, s, g, &serial)}
		time.Sleep(500 * time.Millisecond)
		tickets = append(tickets, submit(t, s, g, nil), submit(t, s, g, nil)) // both before the queue
		for i, ticket := range tickets {
			want := time.Second
			if i >= 2 {
				want = 1500 * time.Millisecond
			}
			if err := ticket.Room(t.Context()); err != nil {
				t.Error(err)
			}
			err := ticket.Wait(t.Context())
			if took := time.Since(began); !errors.Is(err, sched.ErrTimeout) || took != want {
				t.Errorf("task %d: err %v after %v, want a timeout after %v", i, err, took, want)
			}
		}
		if st := s.Stats(); st.Depth != 0 || st.Blocked != 0 || s.Lines() != 0 {
			t.Errorf("stats %+v, %d lines", st, s.Lines())
		}
		running.Release()
		wantHeld(t, submit(t, s, g, &serial))
	})
}

// TestTimeoutBeforeTheQueue has a task wait for room while younger ones, which could
// run, go before it into the queue and stay there.
func TestTimeoutBeforeTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sched.New(sched.Config{Slots: 2, Capacity: 1, Policy: sched.Block, Age: time.Hour, Timeout: time.Second})
		g, other := group(s, 2), group(s, 2)
		var serial sched.Serial
		first, running := submit(t, s, g, &serial), submit(t, s, other, nil)
		wantHeld(t, first, running)
		urgent := request(t, s, sched.Request{Group: other, Level: sched.Urgent, Weight: 1})
		queued, blocked := submit(t, s, g, &serial), submit(t, s, g, &serial)
		time.Sleep(100 * time.Millisecond)
		younger := submit(t, s, g, nil)
		running.Release() // admits the younger, and gives the slot to the urgent task
		wantHeld(t, urgent)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := queued.Wait(gone); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		began := time.Now()
		if err := blocked.Room(t.Context()); err != nil {
			t.Error(err)
		}
		if err := blocked.Wait(t.Context()); !errors.Is(err, sched.ErrTimeout) {
			t.Errorf("err %v, want a timeout", err)
		}
		if waited := time.Since(began); waited != 900*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
		if err := younger.Wait(t.Context()); !errors.Is(err, sched.ErrTimeout) {
			t.Errorf("err %v, want a timeout", err)
		}
		first.Release()
		urgent.Release()
		s.Close()
		<-s.Drained()
	})
}
