package sched_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host/internal/sched"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// group returns the only group of a new class.
func group(s *sched.Scheduler, limit int) *sched.Group { return s.NewGroup(s.NewClass(limit), 1) }

func submit(t *testing.T, s *sched.Scheduler, g *sched.Group, serial *sched.Serial) *sched.Ticket {
	t.Helper()
	return request(t, s, sched.Request{Group: g, Serial: serial, Level: sched.Normal, Weight: 1})
}

func request(t *testing.T, s *sched.Scheduler, r sched.Request) *sched.Ticket {
	t.Helper()
	ticket, err := s.Place(r)
	if err != nil {
		t.Fatal(err)
	}
	return &ticket
}

// wantHeld waits for tickets that must have a slot, in any order.
func wantHeld(t *testing.T, tickets ...*sched.Ticket) {
	t.Helper()
	for _, ticket := range tickets {
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// wantWaiting checks that tickets have no slot: decisions are made before the
// call that brings them about returns.
func wantWaiting(t *testing.T, tickets ...*sched.Ticket) {
	t.Helper()
	for i, ticket := range tickets {
		if ticket.Decided() {
			t.Fatalf("ticket %d has a slot", i)
		}
	}
}

func TestOldestFirst(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 8})
	a, b := group(s, 1), group(s, 1)
	t1 := submit(t, s, a, nil)
	t2, t3, t4 := submit(t, s, b, nil), submit(t, s, a, nil), submit(t, s, b, nil)
	wantHeld(t, t1)
	wantWaiting(t, t2, t3, t4)
	t1.Release()
	wantHeld(t, t2)
	wantWaiting(t, t3, t4)
	t2.Release()
	wantHeld(t, t3)
	t3.Release()
	wantHeld(t, t4)
	if st := s.Stats(); st.Active != 1 || st.Depth != 0 {
		t.Errorf("stats %+v", st)
	}
	t4.Release()
}

func TestClassLimitHoldsUpNobodyElse(t *testing.T) {
	s := sched.New(sched.Config{Slots: 2, Capacity: 8})
	narrow, wide := group(s, 1), group(s, 2)
	t1, t2 := submit(t, s, narrow, nil), submit(t, s, narrow, nil)
	t3 := submit(t, s, wide, nil)
	wantHeld(t, t1, t3)
	wantWaiting(t, t2)
	t3.Release()
	wantWaiting(t, t2)
	t1.Release()
	wantHeld(t, t2)
	t2.Release()
}

func TestSerialKeepsOrder(t *testing.T) {
	s := sched.New(sched.Config{Slots: 4, Capacity: 8})
	c := group(s, 4)
	var serial, other sched.Serial
	t1, t2, t3 := submit(t, s, c, &serial), submit(t, s, c, &serial), submit(t, s, c, &serial)
	t4 := submit(t, s, c, &other)
	wantHeld(t, t1, t4)
	wantWaiting(t, t2, t3)
	t1.Release()
	wantHeld(t, t2)
	wantWaiting(t, t3)
	t2.Release()
	wantHeld(t, t3)
	t3.Release()
	t4.Release()
}

func TestWithdrawFromSerial(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 8})
	c := group(s, 1)
	var serial sched.Serial
	running := submit(t, s, c, nil)
	first, second := submit(t, s, c, &serial), submit(t, s, c, &serial)
	cause := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := first.Wait(ctx); !errors.Is(err, cause) {
		t.Fatalf("err %v, want the cause", err)
	}
	running.Release()
	wantHeld(t, second)
	second.Release()
}

func TestPolicies(t *testing.T) {
	t.Run("reject", func(t *testing.T) {
		s := sched.New(sched.Config{Slots: 1, Capacity: 1, Policy: sched.Reject})
		c, other := group(s, 1), group(s, 1)
		t1, t2 := submit(t, s, c, nil), submit(t, s, c, nil)
		if _, err := s.Place(sched.Request{Group: c, Serial: nil, Level: sched.Normal, Weight: 1}); !errors.Is(err, sched.ErrFull) {
			t.Errorf("err %v, want ErrFull", err)
		}
		t3 := submit(t, s, other, nil) // a full class refuses nobody else
		t1.Release()
		wantHeld(t, t2)
		t2.Release()
		wantHeld(t, t3)
		t3.Release()
	})
	t.Run("drop oldest", func(t *testing.T) {
		s := sched.New(sched.Config{Slots: 1, Capacity: 2, Policy: sched.DropOldest})
		c := group(s, 1)
		t1, t2, t3, t4 := submit(t, s, c, nil), submit(t, s, c, nil), submit(t, s, c, nil), submit(t, s, c, nil)
		if err := t2.Wait(t.Context()); !errors.Is(err, sched.ErrDropped) {
			t.Errorf("err %v, want ErrDropped", err)
		}
		t1.Release()
		wantHeld(t, t3)
		t3.Release()
		wantHeld(t, t4)
		t4.Release()
		if got := s.Stats().Dropped; got != 1 {
			t.Errorf("dropped %d, want 1", got)
		}
	})
	t.Run("block", func(t *testing.T) {
		s := sched.New(sched.Config{Slots: 1, Capacity: 1})
		c := group(s, 1)
		t1, t2, t3, t4 := submit(t, s, c, nil), submit(t, s, c, nil), submit(t, s, c, nil), submit(t, s, c, nil)
		if st := s.Stats(); st.Depth != 1 || st.Blocked != 2 {
			t.Fatalf("stats %+v, want one queued and two blocked", st)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := t3.Room(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("err %v, want canceled", err)
		}
		t1.Release()
		wantHeld(t, t2)
		if err := t4.Room(t.Context()); err != nil {
			t.Fatal(err)
		}
		t2.Release()
		wantHeld(t, t4)
		t4.Release()
	})
	t.Run("a queue full of one stream keeps out nobody who could run", func(t *testing.T) {
		s := sched.New(sched.Config{Slots: 2, Capacity: 1})
		c := group(s, 2)
		var serial sched.Serial
		t1, t2 := submit(t, s, c, &serial), submit(t, s, c, nil)
		t3 := submit(t, s, c, &serial) // fills the queue
		t4 := submit(t, s, c, nil)     // has no room
		t2.Release()
		wantHeld(t, t4)
		wantWaiting(t, t3)
		t5 := submit(t, s, c, &serial) // has no room, and could not run
		t4.Release()
		t6 := submit(t, s, c, nil) // could
		wantHeld(t, t6)
		wantWaiting(t, t3, t5)
		t1.Release()
		wantHeld(t, t3)
		t3.Release()
		wantHeld(t, t5)
		t5.Release()
		t6.Release()
	})
}

func TestCloseDrains(t *testing.T) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 1})
	c := group(s, 1)
	t1, t2, t3 := submit(t, s, c, nil), submit(t, s, c, nil), submit(t, s, c, nil)
	s.Close()
	s.Close()
	if _, err := s.Place(sched.Request{Group: c, Serial: nil, Level: sched.Normal, Weight: 1}); !errors.Is(err, sched.ErrClosed) {
		t.Errorf("err %v, want ErrClosed", err)
	}
	for _, ticket := range []*sched.Ticket{t1, t2, t3} {
		select {
		case <-s.Drained():
			t.Fatal("drained while a task is there")
		default:
		}
		wantHeld(t, ticket)
		ticket.Release()
	}
	<-s.Drained()
}

// TestHammer runs all ways of a task at once and checks that no limit is
// exceeded, no order broken and nothing lost.
func TestHammer(t *testing.T) {
	for name, policy := range map[string]sched.Policy{"block": sched.Block, "reject": sched.Reject, "drop": sched.DropOldest} {
		t.Run(name, func(t *testing.T) { hammer(t, policy) })
	}
}

func hammer(t *testing.T, policy sched.Policy) {
	const callers, loops, slots, reserve, limit, streams = 16, 500, 3, 1, 2, 5
	s := sched.New(sched.Config{
		Slots: slots, Reserve: reserve, Capacity: 3, Policy: policy, Age: time.Microsecond, Timeout: 200 * time.Microsecond,
	})
	classes := []*sched.Group{group(s, limit), group(s, slots+reserve), group(s, 1)}
	var active, done, refused atomic.Int64
	var perClass [3]atomic.Int64
	limits := []int64{limit + reserve, slots + reserve, 1 + reserve}
	tenants := [...]string{"", "a", "b"}
	type stream struct {
		serial    sched.Serial
		mu        sync.Mutex // makes taking a place and its number one step
		submitted int
		order     []int // guarded by the serial
		running   atomic.Bool
	}
	var all [streams]stream
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			<-start
			for range loops {
				i := rand.IntN(len(classes))
				var st *stream
				var serial *sched.Serial
				n := 0
				if rand.IntN(2) == 0 {
					st = &all[rand.IntN(streams)]
					serial, i = &st.serial, 1
					st.mu.Lock()
				}
				ticket, err := s.Place(sched.Request{
					Group: classes[i], Serial: serial, Level: sched.Level(rand.IntN(3)), Tenant: tenants[rand.IntN(3)], Weight: 1,
				})
				if st != nil {
					n = st.submitted
					st.submitted++
					st.mu.Unlock()
				}
				ctx, cancel := context.WithCancel(context.Background())
				if rand.IntN(4) == 0 {
					cancel()
				}
				if err == nil {
					if rand.IntN(2) == 0 {
						err = ticket.Room(ctx)
					}
					offered := 0
					if err == nil && rand.IntN(2) == 0 {
						ticket.Offer(&offered)
					}
					if err == nil {
						err = ticket.Wait(ctx)
					}
					if want := errors.Is(err, sched.ErrTaken); want != (offered == 1) {
						t.Errorf("err %v of a job that was done %d times", err, offered)
					}
				}
				cancel()
				if errors.Is(err, sched.ErrTaken) {
					done.Add(1)
					continue
				}
				if err != nil {
					refused.Add(1)
					continue
				}
				if got := active.Add(1); got > slots+reserve {
					t.Errorf("%d tasks active, %d slots", got, slots)
				}
				if got := perClass[i].Add(1); got > limits[i] {
					t.Errorf("%d tasks of class %d active, limit %d", got, i, limits[i])
				}
				if st != nil {
					if st.running.Swap(true) {
						t.Error("two tasks of a stream at once")
					}
					st.order = append(st.order, n)
					st.running.Store(false)
				}
				for st == nil && rand.IntN(4) > 0 {
					next, ok := ticket.Next(time.Hour, nil)
					if !ok {
						break
					}
					*next.Job.(*int)++
					ticket.Done(next, 0)
				}
				perClass[i].Add(-1)
				active.Add(-1)
				done.Add(1)
				ticket.Release()
			}
		})
	}
	close(start)
	wg.Wait()
	s.Close()
	<-s.Drained()
	if done.Load()+refused.Load() != callers*loops {
		t.Errorf("%d done and %d refused of %d", done.Load(), refused.Load(), callers*loops)
	}
	if st := s.Stats(); st.Active != 0 || st.Depth != 0 || st.Blocked != 0 {
		t.Errorf("stats %+v after the end", st)
	}
	for i := range all {
		if !slices.IsSorted(all[i].order) {
			t.Errorf("stream %d ran out of order", i)
		}
	}
}

func BenchmarkUncontended(b *testing.B) {
	s := sched.New(sched.Config{Slots: 1, Capacity: 1})
	c := group(s, 1)
	b.ReportAllocs()
	for b.Loop() {
		ticket, err := s.Place(sched.Request{Group: c, Level: sched.Normal, Weight: 1})
		if err != nil {
			b.Fatal(err)
		}
		ticket.Release()
	}
}
