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
		next, ok := t.Next(time.Hour, accept)
		if !ok {
			return jobs
		}
		jobs = append(jobs, next.Job)
		t.Done(next, 0)
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
		next, ok := leader.Next(time.Hour, nil)
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
		leader.Done(next, 0)
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
		if st := s.Stats(); st.Depth != 0 || st.Blocked != 0 || s.Queues() != 0 {
			t.Errorf("stats %+v, %d queues", st, s.Queues())
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

// TestNextIsBounded has the owner of a slot go on for as long as it may, while nobody
// else's turn has come.
func TestNextIsBounded(t *testing.T) {
	const most = 10 * time.Millisecond
	for name, c := range map[string]struct {
		before func(s *sched.Scheduler, now *time.Time, mine, others *sched.Group, leader *sched.Ticket)
		want   bool
	}{
		"nothing else": {func(*sched.Scheduler, *time.Time, *sched.Group, *sched.Group, *sched.Ticket) {}, true},
		"another group's older task": {func(s *sched.Scheduler, _ *time.Time, _, others *sched.Group, _ *sched.Ticket) {
			submit(t, s, others, nil)
		}, true},
		"another group that is behind": {func(s *sched.Scheduler, _ *time.Time, mine, others *sched.Group, leader *sched.Ticket) {
			submit(t, s, others, nil)
			submit(t, s, mine, nil).Offer("first")
			first, ok := leader.Next(most, nil)
			if !ok {
				t.Fatal("took nothing")
			}
			leader.Done(first, 2*most)
		}, false},
		"time is over": {func(_ *sched.Scheduler, now *time.Time, _, _ *sched.Group, _ *sched.Ticket) {
			*now = now.Add(most)
		}, false},
		"a lower level": {func(s *sched.Scheduler, _ *time.Time, _, others *sched.Group, _ *sched.Ticket) {
			request(t, s, sched.Request{Group: others, Level: sched.Bulk, Weight: 1})
		}, true},
		"a lower level that is too old": {func(s *sched.Scheduler, now *time.Time, _, others *sched.Group, _ *sched.Ticket) {
			request(t, s, sched.Request{Group: others, Level: sched.Bulk, Weight: 1})
			*now = now.Add(2 * time.Millisecond)
		}, false},
		"a higher level": {func(s *sched.Scheduler, _ *time.Time, _, others *sched.Group, _ *sched.Ticket) {
			request(t, s, sched.Request{Group: others, Level: sched.Urgent, Weight: 1})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := sched.New(sched.Config{Slots: 1, Capacity: 100, Age: time.Millisecond}), time.Unix(0, 0)
			s.SetClock(func() time.Time { return now })
			mine, others := group(s, 1), group(s, 1)
			leader := submit(t, s, mine, nil)
			wantHeld(t, leader)
			c.before(s, &now, mine, others, leader)
			submit(t, s, mine, nil).Offer("job")
			if _, ok := leader.Next(most, nil); ok != c.want {
				t.Errorf("took %v, want %v", ok, c.want)
			}
		})
	}
}

// TestJobsPayForThemselves has a tenant's long tasks done with the slots of another.
func TestJobsPayForThemselves(t *testing.T) {
	sim := simulate(t, sched.Config{Slots: 1, Capacity: 1000, Age: time.Hour})
	g := group(sim.s, 1)
	leader := submit(t, sim.s, g, nil) // has no queue
	wantHeld(t, leader)
	of := func(tenant string) sched.Request {
		return sched.Request{Group: g, Level: sched.Normal, Tenant: tenant, Weight: 1}
	}
	request(t, sim.s, of("dear")).Offer("job")
	for i := range 20 {
		sim.add("dear"+string(rune(i)), time.Millisecond, of("dear"))
		sim.add("other"+string(rune(i)), time.Millisecond, of("other"))
	}
	next, ok := leader.Next(time.Hour, nil)
	if !ok {
		t.Fatal("took nothing")
	}
	sim.now = sim.now.Add(10 * time.Millisecond)
	leader.Done(next, 10*time.Millisecond)
	leader.Release()
	if got, want := sim.steps(8), "oooooooo"; got != want {
		t.Errorf("after one tenant has had 10 ms the order is %s, want %s", got, want)
	}
	for len(sim.tasks) > 0 {
		sim.step()
	}
	if n := sim.s.Queues(); n != 0 {
		t.Errorf("%d queues are left", n)
	}
}

// TestLeadersPayForThemselves has tenants do one another's tasks, which take one twenty
// times as long as the other's.
func TestLeadersPayForThemselves(t *testing.T) {
	s, now := sched.New(sched.Config{Slots: 1, Capacity: 10000, Age: time.Hour}), time.Unix(0, 0)
	s.SetClock(func() time.Time { return now })
	g := group(s, 1)
	takes := map[string]time.Duration{"cheap": time.Millisecond, "dear": 20 * time.Millisecond}
	used := make(map[string]time.Duration)
	var waiting []*sched.Ticket
	whose := make(map[*sched.Ticket]string)
	for range 3000 {
		for tenant := range takes {
			ticket := request(t, s, sched.Request{Group: g, Level: sched.Normal, Tenant: tenant, Weight: 1})
			ticket.Offer(tenant)
			whose[ticket] = tenant
			waiting = append(waiting, ticket)
		}
	}
	run := func(tenant string) (took time.Duration) {
		took = takes[tenant]
		now = now.Add(took)
		used[tenant] += took
		return took
	}
	for end := now.Add(2 * time.Second); now.Before(end); {
		var leader *sched.Ticket
		waiting = slices.DeleteFunc(waiting, func(ticket *sched.Ticket) bool {
			if !ticket.Decided() {
				return false
			}
			if ticket.Wait(t.Context()) == nil {
				leader = ticket
			}
			return true
		})
		run(whose[leader])
		for range 3 {
			next, ok := leader.Next(time.Hour, nil)
			if !ok {
				break
			}
			leader.Done(next, run(next.Job.(string)))
		}
		leader.Release()
	}
	if d := used["dear"] - used["cheap"]; d.Abs() > 100*time.Millisecond {
		t.Errorf("used %v, want it shared evenly", used)
	}
}
