package host

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/breaker"
	"github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// runner is what runs tasks: they and their clients know it, and not their host.
type runner struct {
	*life

	log     *slog.Logger
	events  *event.Bus
	trace   func(ctx context.Context) (context.Context, func(TaskTrace)) // nil if none is followed
	sched   *sched.Scheduler
	streams *stream.Store[sched.Serial]
	keeper  *keeper.Keeper[sched.Serial] // nil without Config.State
	pending sync.WaitGroup               // of goroutines of tasks, which begin before the close does or while one has a slot
	over    chan struct{}                // closed from the beginning: of tasks that are refused at once

	// names is which transform a name is; nil until the host has started.
	names atomic.Pointer[map[string]*transform]

	crossings sync.Pool // of *crossing, since what a guest is called with is of the heap
	offers    sync.Pool // of *offered
	frames    sync.Pool // of *frame

	retried, unknown, rerun, reset atomic.Uint64

	// loading returns the sources of plugins that are being loaded, sorted.
	loading func() []string
}

func newRunner(cfg *Config, l *life) *runner {
	r := &runner{
		life: l, log: cfg.Logger, events: cfg.Events, trace: cfg.Trace,
		sched: sched.New(sched.Config{
			Slots: cfg.Workers, Reserve: cfg.reserve(), Capacity: cfg.QueueCapacity, Policy: sched.Policy(cfg.QueuePolicy),
			Age: ageing, Timeout: cfg.QueueTimeout, InOrder: cfg.Mode == ModeInline,
		}),
		over: make(chan struct{}),
	}
	close(r.over)
	r.streams, r.keeper = newStreams(cfg, r.sched)
	return r
}

// ageing is how long a priority goes without a worker before higher ones step back.
const ageing = 100 * time.Millisecond

// pooled returns what one of a runner's pools has, new if it is empty.
func pooled[T any](pool *sync.Pool) *T {
	if used, ok := pool.Get().(*T); ok {
		return used
	}
	return new(T)
}

// lookup returns the transform of that name. n tasks are for it, which are
// counted if there is none.
func (r *runner) lookup(name string, n int) (*transform, *Error) {
	names := r.names.Load()
	if names == nil {
		if r.is(stageClosing) {
			return nil, fail(KindUnavailable, name, ErrClosed)
		}
		return nil, fail(KindUnavailable, name, ErrNotStarted)
	}
	if tr := (*names)[name]; tr != nil {
		return tr, nil
	}
	if loading := r.loading(); len(loading) > 0 {
		return nil, notYet(name, loading)
	}
	r.unknown.Add(uint64(n))
	return nil, unknownTransform(name)
}

// tell makes an event of what became of a version.
func (r *runner) tell(v label, change event.Change, detail string) {
	r.events.Publish(event.PluginChanged{Plugin: v.name, Version: v.release, Hash: v.hash, Change: change, Detail: detail})
}

// rested logs and tells that a version rests, or has recovered. A version that stays broken rests
// again and again, which is not logged. kind is how its last task ended.
func (r *runner) rested(v *version, change breaker.Change, kind Kind) {
	switch change {
	case breaker.Suspended:
		r.log.Warn("plugin is suspended: it breaks its instances (BreakAfter, --break-after)",
			v.label().attrs("failures", v.breaker.Limit, "kind", kind)...)
		fallthrough
	case breaker.Again:
		r.tell(v.label(), event.PluginSuspended, "")
	case breaker.Recovered:
		r.log.Info("plugin has recovered", v.label().attrs()...)
		r.tell(v.label(), event.PluginRecovered, "")
	}
}

// interrupt ends all tasks. If there are none it does nothing and returns nil.
func (r *runner) interrupt(cause error) error {
	select {
	case <-r.sched.Drained():
		return nil
	default:
		r.cancel(ErrClosed)
		return fmt.Errorf("tasks were interrupted: %w", cause)
	}
}

// stats are those of what runs tasks.
func (r *runner) stats() Stats {
	q, st := r.sched.Stats(), r.streams.Stats()
	s := Stats{
		Workers: q.Slots, Active: q.Active, Reserve: q.Reserve, Busy: q.Busy,
		QueueDepth: q.Depth, Blocked: q.Blocked, Dropped: q.Dropped,
		FramesRetried: r.retried.Load(), UnknownTransform: r.unknown.Load(),
		Streams: st.Streams, StreamBytes: st.Bytes, StreamsEvicted: st.Evicted, StreamsExpired: st.Expired,
		StreamsReset: r.reset.Load(), Rerun: r.rerun.Load(),
	}
	if r.keeper != nil {
		s.State = stateStats(r.keeper.Stats(), st)
	}
	return s
}

// recall has streams go on from the states that are stored, before the first task.
func (r *runner) recall(ctx context.Context) error {
	if r.keeper == nil {
		return nil
	}
	return r.keeper.Open(ctx)
}

// keep begins to save states, and settleStates ends that, after the last task.
func (r *runner) keep() {
	if r.keeper != nil {
		r.keeper.Start()
	}
}

func (r *runner) settleStates() error {
	if r.keeper == nil {
		return nil
	}
	return r.keeper.Close()
}
