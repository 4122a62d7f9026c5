// Package pool keeps instances ready to be lent: between a minimum and a
// maximum, to each processor first the one that it gave back last, replaced in the
// background when one is lost and retired when it has served long enough.
//
// Puddle has the life of instances: making them, the maximum, waiting, closing. One that is
// given back lies ready outside it, acquired still as puddle sees it, so that lending it
// again takes no lock, and writes to no memory that another processor writes to. It goes
// back to puddle if somebody waits there, and at each look for instances to evict: from then
// on puddle measures how long it is idle.
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
	// Look is called at each look for instances to evict, four times an IdleTimeout; nil is not.
	Look func()
}

// Pool keeps instances. Its methods may be called concurrently.
type Pool[T any] struct {
	cfg     Config[T]
	inner   *puddle.Pool[*Instance[T]]
	lost    chan struct{} // has a token when Min may be undercut
	cancel  context.CancelFunc
	done    chan struct{}
	closing sync.Once

	// wanted is how many want instances to go to puddle: who is in Get, and Close for good.
	// They raise it before they look at what is ready, and who makes an instance ready looks
	// at it afterwards; atomics have one order, so that one of the two sees the other and
	// takes the instance. If a third is faster, then it has the instance lent, and what it
	// does with that is seen to in the same way.
	wanted atomic.Int64
	// ready has the instances that may lie ready, each in its place.
	ready []atomic.Pointer[Instance[T]]
	hints sync.Pool // of *hint[T], of which each processor has one or so

	idle    atomic.Int64 // instances that were given back and lie idle in puddle
	created atomic.Uint64
	left    [Reasons]atomic.Uint64
	failed  atomic.Uint64
}

// Instance is one instance of the pool, lent by [Pool.Get].
type Instance[T any] struct {
	Value T

	// ready is whether it may be lent; who makes that false has the instance.
	ready atomic.Bool
	calls int
	idle  bool // counted in Pool.idle
	place int  // in Pool.ready, from 1; 0 without
	res   *puddle.Resource[*Instance[T]]
	_     [apart]byte
}

// take reports whether the instance lay ready, and is the caller's now.
func (in *Instance[T]) take() bool { return in.ready.Load() && in.ready.CompareAndSwap(true, false) }

// hint is the instance that a processor gave back last. That may be lent again, or gone, and
// then is never ready; until another takes its place here, the collector keeps it.
type hint[T any] struct {
	last *Instance[T]
	_    [apart]byte
}

const (
	// places is how many instances can lie ready, so many being looked through; others lie
	// idle in puddle.
	places = 64
	// apart keeps what two processors write out of one line of their caches.
	apart = 64
)

// New returns an empty pool. [Pool.Start] fills it.
func New[T any](cfg Config[T]) (*Pool[T], error) {
	p := &Pool[T]{
		cfg: cfg, lost: make(chan struct{}, 1),
		ready: make([]atomic.Pointer[Instance[T]], max(min(cfg.Max, places), 0)),
	}
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
			if p.cfg.Look != nil {
				p.cfg.Look()
			}
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
			p.leave(res.Value())
			res.Destroy()
			continue
		}
		res.ReleaseUnused()
	}
	// After those: else they would not be there to be lent for a moment.
	p.handBack()
}

// handBack gives to puddle what lies ready, that of the first place last, which thus is
// the first to be lent again.
func (p *Pool[T]) handBack() {
	for i := len(p.ready) - 1; i >= 0; i-- { //nolint:modernize // slices.Backward copies pointers that others swap
		if in := p.ready[i].Load(); in != nil && in.take() {
			p.release(in)
		}
	}
}

// Get lends an instance, making one if none is idle and fewer than Max exist,
// else waiting until ctx is done. Give it back with [Pool.Put] or
// [Pool.Remove].
func (p *Pool[T]) Get(ctx context.Context) (*Instance[T], error) {
	p.wanted.Add(1)
	defer p.wanted.Add(-1)
	if in := p.tryReady(); in != nil {
		return in, nil
	}
	res, err := p.inner.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return p.lend(res), nil
}

// TryGet lends an idle instance, or returns nil. It overlooks those that were never
// lent.
func (p *Pool[T]) TryGet() *Instance[T] {
	if in := p.tryReady(); in != nil {
		return in
	}
	if p.idle.Load() <= 0 {
		return nil // TryAcquire would make one
	}
	res, err := p.inner.TryAcquire(context.Background())
	if err != nil {
		return nil
	}
	return p.lend(res)
}

// tryReady lends an instance that lies ready: the one that this processor gave back last,
// else any. It returns nil if there is none.
func (p *Pool[T]) tryReady() *Instance[T] {
	if h, _ := p.hints.Get().(*hint[T]); h != nil {
		in := h.last
		p.hints.Put(h)
		if in.take() {
			return in
		}
	}
	for i := range p.ready {
		if in := p.ready[i].Load(); in != nil && in.take() {
			return in
		}
	}
	return nil
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
	if p.wanted.Load() == 0 && p.enter(in) {
		in.ready.Store(true)
		if p.wanted.Load() == 0 {
			p.remember(in)
			return
		}
		if !in.take() {
			return
		}
	}
	p.release(in)
}

// release gives an instance to puddle: to whoever waits there, or to lie idle.
func (p *Pool[T]) release(in *Instance[T]) {
	in.idle = true
	p.idle.Add(1)
	in.res.Release()
}

// remember makes an instance the first choice of this processor.
func (p *Pool[T]) remember(in *Instance[T]) {
	h, _ := p.hints.Get().(*hint[T])
	if h == nil {
		h = &hint[T]{}
	}
	h.last = in
	p.hints.Put(h)
}

// enter gives a lent instance a place to lie ready in, and reports whether it has one.
func (p *Pool[T]) enter(in *Instance[T]) bool {
	for i := range p.ready {
		if in.place != 0 {
			break
		}
		if p.ready[i].Load() == nil && p.ready[i].CompareAndSwap(nil, in) {
			in.place = i + 1
		}
	}
	return in.place != 0
}

// leave frees the place of an instance that is not ready, and never to be again.
func (p *Pool[T]) leave(in *Instance[T]) {
	if in.place != 0 {
		p.ready[in.place-1].Store(nil)
		in.place = 0
	}
}

// Remove takes back an instance that is never to be lent again, and has it replaced
// in the background.
func (p *Pool[T]) Remove(in *Instance[T], why Reason) {
	p.left[why].Add(1)
	p.leave(in)
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
		p.wanted.Add(1)
		p.handBack()
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
	// Before puddle looks: what is lent or given back meanwhile was lent at one moment of it,
	// and counts as such or not. Only what goes from here to puddle is subtracted wrongly.
	ready := 0
	for i := range p.ready {
		if in := p.ready[i].Load(); in != nil && in.ready.Load() {
			ready++
		}
	}
	st := p.inner.Stat()
	s := Stats{
		Size:    int(st.TotalResources()),
		Lent:    max(int(st.AcquiredResources())-ready, 0),
		Max:     p.cfg.Max,
		Created: p.created.Load(),
		Failed:  p.failed.Load(),
	}
	for i := range s.Left {
		s.Left[i] = p.left[i].Load()
	}
	return s
}
