package pool_test

import (
	"context"
	"errors"
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

func open(t *testing.T, cfg pool.Config[int64]) *pool.Pool[int64] {
	t.Helper()
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return p
}

func get(t *testing.T, p *pool.Pool[int64]) *pool.Instance[int64] {
	t.Helper()
	in, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestMostRecentlyUsedFirst(t *testing.T) {
	var f factory
	p := open(t, f.config(2, 2))
	defer p.Close()
	a, b := get(t, p), get(t, p)
	p.Put(b)
	p.Put(a)
	if again := get(t, p); again != a {
		t.Errorf("got instance %d, want %d", again.Value, a.Value)
	}
	p.Put(a)
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

func TestHammer(t *testing.T) {
	const callers, loops, most = 16, 500, 3
	var f factory
	cfg := f.config(1, most)
	cfg.IdleTimeout = 4 * time.Millisecond
	cfg.Retire = func(_ int64, calls int, _ time.Time) bool { return calls >= 7 }
	p := open(t, cfg)
	start := make(chan struct{})
	var lent sync.Map
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			<-start
			for j := range loops {
				in, err := p.Get(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				v := in.Value
				if _, twice := lent.LoadOrStore(v, true); twice {
					t.Errorf("instance %d lent twice", v)
				}
				lent.Delete(v)
				if (i+j)%5 == 0 {
					p.Remove(in, pool.Broken)
				} else {
					p.Put(in)
				}
			}
		})
	}
	close(start)
	wg.Wait()
	p.Close()
	if n := f.alive.Load(); n != 0 {
		t.Errorf("%d instances alive after Close", n)
	}
	if n := f.most.Load(); n > most {
		t.Errorf("%d instances at once, limit %d", n, most)
	}
}
