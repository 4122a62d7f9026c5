package pool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host/internal/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// factory makes numbered values and counts those that are alive.
type factory struct {
	next, alive, most atomic.Int64
	fail              atomic.Bool
}

var errMake = errors.New("cannot make one")

func (f *factory) config(minimum, maximum int) pool.Config[int64] {
	return pool.Config[int64]{
		Min: minimum, Max: maximum,
		Create: func(context.Context) (int64, error) {
			if f.fail.Load() {
				return 0, errMake
			}
			for alive := f.alive.Add(1); ; {
				if most := f.most.Load(); alive <= most || f.most.CompareAndSwap(most, alive) {
					return f.next.Add(1), nil
				}
			}
		},
		Destroy: func(int64) { f.alive.Add(-1) },
	}
}

func open(tb testing.TB, cfg pool.Config[int64]) *pool.Pool[int64] {
	tb.Helper()
	p, err := pool.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.Start(tb.Context(), 0); err != nil {
		tb.Fatal(err)
	}
	return p
}

func get(tb testing.TB, p *pool.Pool[int64]) *pool.Instance[int64] {
	tb.Helper()
	in, err := p.Get(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

// TestMostRecentlyUsedFirst lends the one that was given back last, nearly always: what a
// processor remembers of it is lost to one that the goroutine moves to, and to the race
// detector, which makes [sync.Pool] forget one time in four.
func TestMostRecentlyUsedFirst(t *testing.T) {
	const rounds = 1000
	var f factory
	p := open(t, f.config(2, 2))
	defer p.Close()
	same := 0
	first, last := get(t, p), get(t, p)
	for range rounds {
		p.Put(first)
		p.Put(last)
		again := get(t, p)
		if again == last {
			same++
		}
		first, last = again, get(t, p) // so that neither's place decides
	}
	if same < rounds*6/10 {
		t.Errorf("got the last one %d times of %d", same, rounds)
	}
	p.Put(first)
	p.Put(last)
}

func TestReadyIsNotLent(t *testing.T) {
	var f factory
	p := open(t, f.config(0, 2))
	defer p.Close()
	a, b := get(t, p), get(t, p)
	for i, step := range []struct {
		do   func()
		want pool.Stats
	}{
		{func() {}, pool.Stats{Size: 2, Lent: 2}},
		{func() { p.Put(a) }, pool.Stats{Size: 2, Lent: 1}},
		{func() { p.Put(b) }, pool.Stats{Size: 2, Lent: 0}},
		{func() { a = p.TryGet() }, pool.Stats{Size: 2, Lent: 1}},
		{func() { p.Remove(a, pool.Broken) }, pool.Stats{Size: 1, Lent: 0}},
		{func() { b = p.TryGet() }, pool.Stats{Size: 1, Lent: 1}},
		{func() { p.Remove(b, pool.Broken) }, pool.Stats{Size: 0, Lent: 0}},
	} {
		step.do()
		if st := p.Stats(); st.Size != step.want.Size || st.Lent != step.want.Lent {
			t.Errorf("step %d: stats %+v, want size %d, lent %d", i, st, step.want.Size, step.want.Lent)
		}
	}
	if in := p.TryGet(); in != nil {
		t.Errorf("instance %d was lent after it was removed", in.Value)
	}
	if n := p.Places(); n != 0 {
		t.Errorf("%d places of no instances", n)
	}
}

// TestManyLieReady has more instances than lie ready outside puddle.
func TestManyLieReady(t *testing.T) {
	const most = 70
	var f factory
	p := open(t, f.config(0, most))
	defer p.Close()
	for range 2 {
		var lent []*pool.Instance[int64]
		seen := map[int64]bool{}
		for range most {
			in := p.TryGet()
			if in == nil {
				in = get(t, p)
			}
			lent, seen[in.Value] = append(lent, in), true
		}
		if len(seen) != most || f.next.Load() != most {
			t.Errorf("%d instances lent, %d made, want %d", len(seen), f.next.Load(), most)
		}
		for _, in := range lent {
			p.Put(in)
		}
		if st := p.Stats(); st.Size != most || st.Lent != 0 {
			t.Errorf("stats %+v, want %d and none lent", st, most)
		}
	}
}

// TestWaitersGetWhatIsGivenBack one by one, and the next who comes what one left that
// waits no longer.
func TestWaitersGetWhatIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiters = 4
		var f factory
		p := open(t, f.config(1, 1))
		defer p.Close()
		in := get(t, p)
		served := make(chan *pool.Instance[int64], waiters)
		for range waiters {
			go func() { served <- get(t, p) }()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := p.Get(ctx)
			gone <- err
		}()
		for range waiters {
			synctest.Wait()
			if n := len(served); n != 0 {
				t.Fatalf("%d got an instance while it is lent", n)
			}
			p.Put(in)
			if in := p.TryGet(); in != nil {
				t.Error("lent past those who wait")
			}
			synctest.Wait()
			if len(served) != 1 {
				t.Fatalf("%d got the instance that was given back", len(served))
			}
			in = <-served
		}
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("err %v, want canceled", err)
		}
		p.Put(in)
		if in = p.TryGet(); in == nil {
			t.Fatal("the instance is not to be had")
		}
		p.Put(in)
		if f.next.Load() != 1 {
			t.Errorf("%d instances made, want 1", f.next.Load())
		}
	})
}

// TestNoWakeIsLost gives an instance back in the moment in which the only other borrower
// begins to wait, or Close: if they miss each other, the bubble is found to be stuck.
func TestNoWakeIsLost(t *testing.T) {
	const rounds = 4096
	for name, c := range map[string]struct {
		renew bool
		other func(t *testing.T, p *pool.Pool[int64]) *pool.Instance[int64]
	}{
		"Get": {false, func(t *testing.T, p *pool.Pool[int64]) *pool.Instance[int64] { t.Helper(); return get(t, p) }},
		"Close": {true, func(_ *testing.T, p *pool.Pool[int64]) *pool.Instance[int64] {
			p.Close()
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f factory
				p := open(t, f.config(0, 1))
				in := get(t, p)
				// Both spin while they wait, so that they stay on two processors: to be
				// woken takes longer than the moment that they are to meet in.
				var mine, others atomic.Int64
				meet := func(me, other *atomic.Int64, round int64, late int64) {
					me.Store(round)
					for spins := 1; other.Load() < round; spins++ {
						if spins%200 == 0 {
							runtime.Gosched()
						}
					}
					for range late {
						other.Load()
					}
				}
				got := make(chan *pool.Instance[int64], 1)
				receive := func() *pool.Instance[int64] {
					for spins := range 100_000 {
						select {
						case in := <-got:
							return in
						default:
						}
						if spins%200 == 199 {
							runtime.Gosched()
						}
					}
					return <-got // or stuck
				}
				go func() {
					for round := int64(1); round <= rounds; round++ {
						meet(&others, &mine, round, round/64%64)
						got <- c.other(t, p)
					}
				}()
				for round := int64(1); round <= rounds; round++ {
					meet(&mine, &others, round, round%64)
					p.Put(in)
					in = receive()
					if c.renew {
						if n := f.alive.Load(); n != 0 {
							t.Fatalf("%d instances alive after Close", n)
						}
						p = open(t, f.config(0, 1))
						in = get(t, p)
					}
				}
				p.Put(in)
				p.Close()
			})
		})
	}
}

func TestGetWaitsUntilContextEnds(t *testing.T) {
	var f factory
	p := open(t, f.config(0, 1))
	defer p.Close()
	in := get(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want canceled", err)
	}
	p.Put(in)
}

func TestDiscardedIsReplacedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f factory
		p := open(t, f.config(1, 2))
		defer p.Close()
		in := get(t, p)
		p.Remove(in, pool.Broken)
		synctest.Wait()
		if st := p.Stats(); st.Size != 1 || st.Created != 2 || st.Left[pool.Broken] != 1 {
			t.Errorf("stats %+v, want a new instance", st)
		}
		if next := get(t, p); next.Value == in.Value {
			t.Error("the discarded instance was lent again")
		} else {
			p.Put(next)
		}
	})
}

func TestReplacementThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f factory
		p := open(t, f.config(1, 1))
		defer p.Close()
		f.fail.Store(true)
		p.Remove(get(t, p), pool.Broken)
		synctest.Wait()
		if _, err := p.Get(t.Context()); !errors.Is(err, errMake) {
			t.Errorf("err %v, want that of making one", err)
		}
		f.fail.Store(false)
		p.Put(get(t, p))
		if st := p.Stats(); st.Failed != 2 {
			t.Errorf("stats %+v, want 2 failed", st)
		}
	})
}

func TestRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f factory
		cfg := f.config(1, 1)
		cfg.Retire = func(_ int64, calls int, made time.Time) bool { return calls >= 3 || time.Since(made) >= time.Hour }
		p := open(t, cfg)
		defer p.Close()
		first := get(t, p)
		p.Put(first)
		p.Put(get(t, p))
		p.Put(get(t, p))
		synctest.Wait()
		second := get(t, p)
		if second.Value == first.Value {
			t.Error("not retired after 3 calls")
		}
		time.Sleep(2 * time.Hour) // of the bubble's clock
		p.Put(second)
		synctest.Wait()
		if st := p.Stats(); st.Left[pool.Retired] != 2 || st.Size != 1 {
			t.Errorf("stats %+v, want 2 retired and 1 there", st)
		}
	})
}

func TestEvictsIdleDownToMin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f factory
		cfg := f.config(1, 4)
		cfg.IdleTimeout = time.Minute
		var looks atomic.Int64
		cfg.Look = func() { looks.Add(1) }
		p := open(t, cfg)
		defer p.Close()
		ins := []*pool.Instance[int64]{get(t, p), get(t, p), get(t, p)}
		for _, in := range ins {
			p.Put(in)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if st := p.Stats(); st.Size != 1 || st.Left[pool.Evicted] != 2 {
			t.Errorf("stats %+v, want 2 evicted and 1 left", st)
		}
		if n := looks.Load(); n != 8 {
			t.Errorf("%d looks in two minutes, want 8", n)
		}
	})
}

// TestEvictsOnlyWhatIsIdle keeps what is lent all the time, or again and again.
func TestEvictsOnlyWhatIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f factory
		cfg := f.config(0, 6)
		cfg.IdleTimeout = time.Minute
		p := open(t, cfg)
		defer p.Close()
		var ins []*pool.Instance[int64]
		for range 6 {
			ins = append(ins, get(t, p))
		}
		for _, in := range ins[1:] {
			p.Put(in)
		}
		used := p.TryGet()
		for range 100 {
			p.Put(used)
			time.Sleep(7 * time.Second) // of the bubble's clock
			if used = p.TryGet(); used == nil {
				t.Fatal("the one in use was evicted")
			}
		}
		if st := p.Stats(); st.Size != 2 || st.Lent != 2 || st.Created != 6 || st.Left[pool.Evicted] != 4 {
			t.Errorf("stats %+v, want 4 of 6 evicted", st)
		}
		p.Put(used)
		p.Put(ins[0])
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := p.Stats(); st.Size != 2 {
			t.Errorf("stats %+v, want none evicted before its time", st)
		}
		time.Sleep(time.Minute / 2)
		synctest.Wait()
		if st := p.Stats(); st.Size != 0 || st.Left[pool.Evicted] != 6 {
			t.Errorf("stats %+v, want all evicted", st)
		}
		if n := p.Places(); n != 0 {
			t.Errorf("%d places of no instances", n)
		}
	})
}

func TestStartFails(t *testing.T) {
	var f factory
	f.fail.Store(true)
	p, err := pool.New(f.config(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context(), 0); !errors.Is(err, errMake) {
		t.Errorf("err %v, want that of making one", err)
	}
	p.Close()
}

func TestCloseWaitsForWhatIsLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f factory
		p := open(t, f.config(1, 1))
		in := get(t, p)
		closed := make(chan struct{})
		go func() {
			p.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("closed while an instance is lent")
		default:
		}
		p.Put(in)
		<-closed
		p.Close()
		if n := f.alive.Load(); n != 0 {
			t.Errorf("%d instances alive after Close", n)
		}
		if _, err := p.Get(t.Context()); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("err %v, want ErrClosed", err)
		}
	})
}

func TestCloseDestroysWhatLiesReady(t *testing.T) {
	var f factory
	p := open(t, f.config(0, 3))
	a, b := get(t, p), get(t, p)
	p.Put(a)
	p.Put(b)
	p.Close()
	if n := f.alive.Load(); n != 0 {
		t.Errorf("%d instances alive after Close", n)
	}
	if p.TryGet() != nil {
		t.Error("lent after Close")
	}
	if st := p.Stats(); st.Size != 0 || st.Lent != 0 {
		t.Errorf("stats %+v, want nothing", st)
	}
}

// cell is an instance that knows whether it is lent.
type cell struct {
	lent, gone atomic.Bool
	writes     int // by its borrowers, for the race detector
}

// TestHammer has many borrowers of few instances, in all the ways that there are, until the
// pool is closed under them: waiting often, or hardly ever, so that nearly all instances go
// by way of puddle, or lie ready. In a bubble those who wait are found to be stuck if they
// wait for nothing.
func TestHammer(t *testing.T) {
	for _, c := range []struct{ callers, most, waits int }{
		{16, 1, 3},
		{16, 3, 3},
		{2, 1, 64},
		{8, 4, 64},
	} {
		name := fmt.Sprintf("%d of %d,%d", c.callers, c.most, c.waits)
		t.Run(name, func(t *testing.T) {
			hammer(t, c.callers, c.most, c.waits, func(int) { runtime.Gosched() })
		})
		t.Run(name+",bubble", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hammer(t, c.callers, c.most, c.waits, func(n int) { time.Sleep(time.Duration(n%5) * time.Millisecond) })
			})
		})
	}
}

// hammer has 2 of so many lends wait for an instance, and some of them pause with it.
func hammer(t *testing.T, callers, most, waits int, pause func(n int)) {
	t.Helper()
	const lends = 20_000
	var alive, lent atomic.Int64
	p, err := pool.New(pool.Config[*cell]{
		Min: 1, Max: most, IdleTimeout: 4 * time.Millisecond,
		Create: func(context.Context) (*cell, error) {
			if n := alive.Add(1); n > int64(most) {
				t.Errorf("%d instances at once, limit %d", n, most)
			}
			return new(cell), nil
		},
		Destroy: func(c *cell) {
			if c.lent.Load() || c.gone.Swap(true) {
				t.Error("destroyed while it was lent, or twice")
			}
			alive.Add(-1)
		},
		Retire: func(_ *cell, calls int, _ time.Time) bool { return calls >= 70 },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	start, enough := make(chan struct{}), make(chan struct{})
	borrow := func(n int) (*pool.Instance[*cell], error) {
		ctx := context.Background()
		switch n % waits {
		case 0:
		case 1:
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
		default:
			in := p.TryGet()
			if in == nil {
				runtime.Gosched()
			}
			return in, nil
		}
		in, err := p.Get(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		return in, err
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			<-start
			for n := i; ; n++ {
				in, err := borrow(n)
				if errors.Is(err, pool.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if in == nil {
					continue
				}
				if lent.Add(1) == lends {
					close(enough)
				}
				if in.Value.gone.Load() || in.Value.lent.Swap(true) {
					t.Error("lent twice, or after it was destroyed")
				}
				in.Value.writes++
				if n%61 < 9 {
					pause(n)
				}
				if st := p.Stats(); st.Lent < 0 || st.Lent > st.Size || st.Size > most {
					t.Errorf("stats %+v, limit %d", st, most)
				}
				in.Value.lent.Store(false)
				if n%101 == 0 {
					p.Remove(in, pool.Broken)
				} else {
					p.Put(in)
				}
			}
		})
	}
	close(start)
	<-enough
	p.Close()
	if n := alive.Load(); n != 0 {
		t.Errorf("%d instances alive after Close", n)
	}
	wg.Wait()
}
