package fleet

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/internal/wait"
)

// How frames are asked for. A pull that waits is renewed after pullExpiry, and the server shows every pullBeat that it
// has not forgotten it.
const (
	pullExpiry = 5 * time.Second
	pullBeat   = time.Second
	// stalledAfter is for how long frames may wait while hosts ask and get none. Then the pulls are begun anew.
	stalledAfter = 4 * time.Second
	// busyPoll is how often a host with much to do looks whether it may ask again.
	busyPoll = 5 * time.Millisecond
)

// WorkerOptions are how a host does the fleet's frames. The zero value of a field is its default.
type WorkerOptions struct {
	// Codecs translate between the media types of frames and of transforms; default [codec.New].
	Codecs *codec.Set
	// Frames is how many frames the host has at a time at most; default its workers and half as many again, so that the next
	// frame is there when a worker has done one.
	Frames int
	// Logger receives what goes wrong; default the fleet's.
	Logger *slog.Logger
}

// Worker has a host do frames of the fleet.
type Worker struct {
	fleet    *Fleet
	host     *host.Host
	opts     WorkerOptions
	log      *slog.Logger
	consumer jetstream.Consumer
	ackWait  time.Duration
	most     uint64 // deliveries

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
	asking   int                    // guarded by mu: pulls that wait
	cameLast time.Time              // guarded by mu
	pulls    outage.Outage          // guarded by mu: frames cannot be asked for
}

// NewWorker returns a worker, which is to be started.
func (f *Fleet) NewWorker(h *host.Host, o WorkerOptions) *Worker {
	if o.Codecs == nil {
		o.Codecs = codec.New()
	}
	o.Frames = cmp.Or(max(0, o.Frames), h.Workers()+spare(h))
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
	var err error
	w.consumer, err = w.fleet.openConsumer(ctx)
	if err != nil {
		return err
	}
	cfg := w.consumer.CachedInfo().Config
	w.ackWait, w.most = cfg.AckWait, deliveriesOf(&cfg)
	if err := w.listen(); err != nil {
		return err
	}
	w.cameLast = time.Now()
	for range w.opts.Frames {
		w.group.Go(w.take)
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

// take takes one frame after the other.
func (w *Worker) take() {
	for {
		restart, ok := w.admitted()
		if !ok {
			return
		}
		it, err := w.consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullExpiry),
			jetstream.PullHeartbeat(pullBeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
		if err == nil {
			err = w.takeFrom(it, restart)
		}
		if err == nil || w.taking.Err() != nil {
			continue
		}
		w.pullFailed(err)
		_ = wait.For(w.taking, reconnectWait)
	}
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

// takeFrom does the frames that come by one pull after the other, until they fail or are to begin anew.
func (w *Worker) takeFrom(it jetstream.MessagesContext, restart <-chan struct{}) error {
	defer w.drain(it)
	ctx, cancel := context.WithCancel(w.taking)
	defer cancel()
	defer watchFor(restart, cancel)()
	for {
		if err := w.mayTake(ctx); err != nil {
			return nil // it is to end
		}
		w.ask(1)
		msg, err := it.Next(jetstream.NextContext(ctx))
		w.ask(-1)
		switch {
		case err == nil:
			w.came()
			w.do(msg)
		case ctx.Err() != nil:
			return nil
		default:
			return err
		}
	}
}

// watchFor calls a function once a channel is closed, unless what it returns is called before.
func watchFor(closed <-chan struct{}, f func()) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() { // until stop
		defer close(done)
		select {
		case <-closed:
			f()
		case <-ended:
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}

// drain ends pulls. A frame that has come meanwhile is done: to give it back would spend one of its deliveries.
func (w *Worker) drain(it jetstream.MessagesContext) {
	defer it.Stop()
	it.Drain()
	for {
		msg, err := it.Next(jetstream.NextMaxWait(callTimeout))
		if err != nil {
			return
		}
		w.do(msg)
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

func (w *Worker) ask(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asking == 0 {
		w.cameLast = time.Now() // from which on none came
	}
	w.asking += n
}

func (w *Worker) came() {
	w.mu.Lock()
	w.cameLast = time.Now()
	lasted, ended := w.pulls.End()
	w.mu.Unlock()
	if ended {
		w.log.Info("frames come again", "fleet", w.fleet.cfg.Fleet, "outage", lasted)
	}
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

// watchPulls has pulls begin anew that have stalled. It asks the server, which may take long: signs of life must not wait for it.
func (w *Worker) watchPulls() {
	tick := time.NewTicker(stalledAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-w.taking.Done():
			return
		case <-w.fleet.gone:
			w.stop()
			return
		case <-tick.C:
		}
		w.mu.Lock()
		idle := w.asking > 0 && time.Since(w.cameLast) > stalledAfter
		w.mu.Unlock()
		if idle {
			w.unstall()
		}
	}
}

// unstall has pulls begin anew if frames wait that do not come.
func (w *Worker) unstall() {
	ctx, cancel := context.WithTimeout(w.taking, callTimeout)
	defer cancel()
	info, err := w.consumer.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.cameLast) <= stalledAfter {
		return
	}
	w.counts.stalled.Add(1)
	w.log.Warn("frames wait and do not come; they are asked for anew", "fleet", w.fleet.cfg.Fleet, "waiting", info.NumPending)
	w.cameLast = time.Now()
	close(w.restart)
	w.restart = make(chan struct{})
}
