// Package pool keeps instances ready to be lent: between a minimum and a
// maximum, the most recently used first, replaced in the background when one is
// lost and retired when it has served long enough.
package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/puddle/v2"
)

// ErrClosed is returned by [Pool.Get] once the pool is closed.
var ErrClosed = puddle.ErrClosedPool

// Reason says why an instance left the pool.
type Reason int

// Reasons.
const (
	Broken   Reason = iota // it failed in a way that it cannot be trusted after
	Replaced               // it is not fit for another borrower, through no fault
	Retired                // it reached a limit of Config.Retire
	Evicted                // it was idle for too long
	Reasons                // how many there are
)

func (r Reason) String() string { return [...]string{"broken", "replaced", "retired", "evicted"}[r] }

// Config is the shape of a pool. Create, Destroy and Max must be set.
type Config[T any] struct {
	// Create makes an instance. For a borrower, ctx carries values only: its end
	// does not end the making, since another borrower can use the instance. For
	// Start and the upkeep it ends with them.
	Create func(ctx context.Context) (T, error)
	// Destroy frees an instance. It runs in a goroutine that Close waits for.
	Destroy func(T)
	// Retire reports whether an instance that is given back in good health has
	// served long enough, for so many calls since it was made; nil keeps all.
	Retire func(v T, calls int, made time.Time) bool
	// Min instances are kept ready, idle or lent; Max exist at most.
	Min, Max int
	// IdleTimeout is how long an instance beyond Min may lie idle; 0 is for
	// ever.
	IdleTimeout time.Duration
}

// Pool keeps instances. Its methods may be called concurrently.
type Pool[T any] struct {
	cfg     Config[T]
	inner   *puddle.Pool[*Instance[T]]
	lost    chan struct{} // has a token when Min may be undercut
	cancel  context.CancelFunc
	done    chan struct{}
	closing sync.Once
	idle    atomic.Int64 // instances that were given back and lie idle
	created atomic.Uint64
	left    [Reasons]atomic.Uint64
	failed  atomic.Uint64
}

// Instance is one instance of the pool, lent by [Pool.Get].
type Instance[T any] struct {
	Value T

	calls int
	idle  bool // counted in Pool.idle
	res   *puddle.Resource[*Instance[T]]
}

// New returns an empty pool. [Pool.Start] fills it.
func New[T any](cfg Config[T]) (*Pool[T], error) {
	p := &Pool[T]{cfg: cfg, lost: make(chan struct{}, 1)}
	inner, err := puddle.NewPool(&puddle.Config[*Instance[T]]{
		MaxSize: int32(cfg.Max),
		Constructor: func(ctx context.Context) (*Instance[T], error) {
			v, err := cfg.Create(ctx)
			if err != nil {
				p.failed.Add(1)
				return nil, err
			}
			p.created.Add(1)
			return &Instance[T]{Value: v}, nil
		},
		Destructor: func(in *Instance[T]) { cfg.Destroy(in.Value) },
	})
	if err != nil {
		return nil, err
	}
	p.inner = inner
	return p, nil
}

// Start makes the first instances, Min, and further ones as far as warm, which is at most
// Max, if there is room; and keeps the pool in shape until Close. If one of Min cannot be
// made it returns the error; Close is still to be called.
func (p *Pool[T]) Start(ctx context.Context, warm int) error {
	if err := p.fill(ctx, p.cfg.Min); err != nil {
		return err
	}
	if err := p.fill(ctx, warm); err != nil && ctx.Err() != nil {
		return err
	}
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.done = make(chan struct{})
	go p.maintain(ctx)
	return nil
}

// fill makes instances until there are n.
func (p *Pool[T]) fill(ctx context.Context, n int) error {
	for int(p.inner.Stat().TotalResources()) < n {
		if err := p.inner.CreateResource(ctx); err != nil {
			if errors.Is(err, puddle.ErrNotAvailable) { // borrowers came first
				return nil
			}
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (p *Pool[T]) maintain(ctx context.Context) {
	defer close(p.done)
	var tick <-chan time.Time
	if p.cfg.IdleTimeout > 0 {
		t := time.NewTicker(max(p.cfg.IdleTimeout/4, time.Millisecond))
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.lost:
			// A failure is counted, and met again, with its error, by the
			// borrower who finds no instance.
			_ = p.fill(ctx, p.cfg.Min)
		case <-tick:
			p.evict()
		}
	}
}

func (p *Pool[T]) evict() {
	spare := int(p.inner.Stat().TotalResources()) - p.cfg.Min
	if spare <= 0 {
		return
	}
	for _, res := range p.inner.AcquireAllIdle() {
		if spare > 0 && res.IdleDuration() >= p.cfg.IdleTimeout {
			spare--
			p.left[Evicted].Add(1)
			p.wake(res.Value())
			res.Destroy()
			continue
		}
		res.ReleaseUnused()
	}
}

// Get lends an instance, making one if none is idle and fewer than Max exist,
// else waiting until ctx is done. Give it back with [Pool.Put] or
// [Pool.Remove].
func (p *Pool[T]) Get(ctx context.Context) (*Instance[T], error) {
	res, err := p.inner.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return p.lend(res), nil
}

// TryGet lends an idle instance, or returns nil. It overlooks those that were never
// lent.
func (p *Pool[T]) TryGet() *Instance[T] {
	if p.idle.Load() <= 0 {
		return nil // TryAcquire would make one
	}
	res, err := p.inner.TryAcquire(context.Background())
	if err != nil {
		return nil
	}
	return p.lend(res)
}

func (p *Pool[T]) lend(res *puddle.Resource[*Instance[T]]) *Instance[T] {
	in := res.Value()
	in.res = res
	p.wake(in)
	return in
}

// wake takes an instance out of the count of those that lie idle.
func (p *Pool[T]) wake(in *Instance[T]) {
	if in.idle {
		in.idle = false
		p.idle.Add(-1)
	}
}

// Put takes back an instance that works.
func (p *Pool[T]) Put(in *Instance[T]) {
	in.calls++
	if p.cfg.Retire != nil && p.cfg.Retire(in.Value, in.calls, in.res.CreationTime()) {
		p.Remove(in, Retired)
		return
	}
	in.idle = true
	p.idle.Add(1)
	in.res.Release()
}

// Remove takes back an instance that is never to be lent again, and has it replaced
// in the background.
func (p *Pool[T]) Remove(in *Instance[T], why Reason) {
	p.left[why].Add(1)
	// Destroyed here and not by puddle's own goroutine: the instance's memory is
	// free, and its room in the pool too, before its successor is made.
	p.cfg.Destroy(in.Value)
	in.res.Hijack()
	select {
	case p.lost <- struct{}{}:
	default:
	}
}

// Close ends the pool: it waits for what is lent out, then destroys all
// instances. Calling it again is fine.
func (p *Pool[T]) Close() {
	p.closing.Do(func() {
		if p.cancel != nil {
			p.cancel()
			<-p.done
		}
	})
	p.inner.Close()
}

// Stats is a snapshot of a pool.
type Stats struct {
	// Size is how many instances there are: Lent, idle or being made.
	Size, Lent, Max int
	// Created is how many were made so far, Failed how many could not be.
	Created, Failed uint64
	// Left is how many left the pool, by [Reason].
	Left [Reasons]uint64
}

// Stats returns a snapshot.
func (p *Pool[T]) Stats() Stats {
	st := p.inner.Stat()
	s := Stats{
		Size:    int(st.TotalResources()),
		Lent:    int(st.AcquiredResources()),
		Max:     p.cfg.Max,
		Created: p.created.Load(),
		Failed:  p.failed.Load(),
	}
	for i := range s.Left {
		s.Left[i] = p.left[i].Load()
	}
	return s
}
