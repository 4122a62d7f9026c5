package fleet

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/internal/wait"
	"github.com/resonhost/resonhost/state"
)

// WorkerOptions are how a host does the fleet's frames. The zero value of a field is its default.
type WorkerOptions struct {
	// Codecs translate between the media types of frames and of transforms; default [codec.New].
	Codecs *codec.Set
	// Frames is how many frames without streams the host has at a time at most, beside which it has one of each partition; default its workers and half as many again, so that the next
	// frame is there when a worker has done one.
	Frames int
	// StreamAge is how long the state of a stream is kept after the last task that has changed it; default
	// [host.DefaultStreamAge], below 0 for ever.
	StreamAge time.Duration
	// States seals the states of streams; default nothing does. All hosts of a fleet have the same keys.
	States state.Codec
	// Trace, if set, is asked of each frame that says which trace it is part of, with that in the form of traceparent, which is not to be trusted. It returns the
	// context of the frame's tasks, and what is called once they are done.
	Trace func(ctx context.Context, parent, transform string) (context.Context, func(error))
	// Logger receives what goes wrong; default the fleet's.
	Logger *slog.Logger
}

// Worker has a host do frames of the fleet.
type Worker struct {
	fleet   *Fleet
	host    *host.Host
	opts    WorkerOptions
	log     *slog.Logger
	queues  []*queue
	ackWait time.Duration

	taking context.Context // ends when no more frames are taken
	stop   context.CancelFunc
	work   context.Context // ends when frames under way are given up
	tear   context.CancelCauseFunc
	group  sync.WaitGroup // of all but signs of life
	watch  sync.WaitGroup

	counts   counts
	mu       sync.Mutex
	underWay map[*delivery]struct{} // guarded by mu
	restart  chan struct{}          // guarded by mu; closed to have pulls begin anew
	admits   chan struct{}          // guarded by mu; nil but while the worker drains, closed when it no longer does
	pulls    outage.Outage          // guarded by mu: frames cannot be asked for
}

// NewWorker returns a worker, which is to be started.
func (f *Fleet) NewWorker(h *host.Host, o WorkerOptions) *Worker {
	if o.Codecs == nil {
		o.Codecs = codec.New()
	}
	o.Frames = cmp.Or(max(0, o.Frames), h.Workers()+spare(h))
	if o.StreamAge = cmp.Or(o.StreamAge, host.DefaultStreamAge); o.StreamAge < 0 {
		o.StreamAge = 0
	}
	w := &Worker{
		fleet: f, host: h, opts: o, log: cmp.Or(o.Logger, f.log),
		underWay: make(map[*delivery]struct{}), restart: make(chan struct{}),
	}
	w.taking, w.stop = context.WithCancel(context.Background())
	w.work, w.tear = context.WithCancelCause(context.Background())
	return w
}

// spare is how many tasks may wait in a host that asks for more.
func spare(h *host.Host) int { return max(1, h.Workers()/2) }

// errClosing is why frames under way end that took too long when a worker was closed.
var errClosing = errors.New("the worker of the fleet is closed")

// Start makes the consumers if they are not there, and begins to take frames. Who starts a worker closes it, also after an error.
func (w *Worker) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for partition := noPartition; partition < Partitions; partition++ {
		c, err := w.fleet.openConsumer(ctx, partition)
		if err != nil {
			return err
		}
		cfg := c.CachedInfo().Config
		q := &queue{w: w, consumer: c, partition: partition, most: deliveriesOf(&cfg)}
		if partition != noPartition {
			q.states = w.fleet.newStates(partition, w.opts.States, w.opts.StreamAge)
		}
		w.queues = append(w.queues, q)
		if w.ackWait = cmp.Or(w.ackWait, cfg.AckWait); cfg.AckWait < w.ackWait {
			w.ackWait = cfg.AckWait
		}
	}
	if err := w.listen(); err != nil {
		return err
	}
	for _, q := range w.queues {
		for range q.pulls() {
			w.group.Go(q.take)
		}
	}
	w.group.Go(w.watchPulls)
	w.watch.Go(w.keepAlive)
	return nil
}

// Close takes no more frames, and waits for those under way. When ctx ends first, it gives them up, and other hosts do them once
// they count as dead; it still waits until their tasks have ended, and returns ctx's cause. Calling it again is fine.
func (w *Worker) Close(ctx context.Context) (err error) {
	w.stop()
	defer context.AfterFunc(ctx, func() { w.tear(errClosing) })()
	w.group.Wait()
	if w.work.Err() != nil {
		err = context.Cause(ctx)
	}
	w.tear(errClosing)
	w.watch.Wait()
	return err
}

// pullFailed counts that frames could not be asked for. The log is told once, until one has come.
func (w *Worker) pullFailed(err error) {
	w.counts.pullFailed.Add(1)
	w.mu.Lock()
	begins := w.pulls.Begin()
	w.mu.Unlock()
	if begins {
		w.log.Warn("frames cannot be asked for; it is tried again", "fleet", w.fleet.cfg.Fleet, "error", err)
	}
}

// mayTake waits until the host has room for a frame: while more tasks wait in it than are spare, it takes none, but for one that
// it is always to have.
func (w *Worker) mayTake(ctx context.Context) error {
	for w.host.Waiting() >= spare(w.host) && w.inHand() > 0 {
		if err := wait.For(ctx, busyPoll); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *Worker) inHand() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.underWay)
}

// keepAlive says of all frames under way that they are, three times in the time that the server waits for it.
func (w *Worker) keepAlive() {
	tick := time.NewTicker(w.ackWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-w.work.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		list := make([]*delivery, 0, len(w.underWay))
		for d := range w.underWay {
			list = append(list, d)
		}
		w.mu.Unlock()
		for _, d := range list {
			w.counts.progress.Add(1)
			if err := d.msg.InProgress(); err != nil {
				w.log.Debug("the server was not told that a frame is under way", "frame", d.name(), "error", err)
			}
		}
	}
}
