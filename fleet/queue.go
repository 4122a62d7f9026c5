package fleet

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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

// queue is frames of a partition, which a worker asks for.
type queue struct {
	w         *Worker
	consumer  jetstream.Consumer
	partition int
	most      uint64  // deliveries
	states    *states // of the partition's streams; nil if it has none

	asking   int       // guarded by w.mu: pulls that wait
	cameLast time.Time // guarded by w.mu
}

// pulls is how many frames of the queue are asked for at a time.
func (q *queue) pulls() int {
	if q.partition == noPartition {
		return q.w.opts.Frames
	}
	return 1
}

// take takes one frame after the other.
func (q *queue) take() {
	w := q.w
	for {
		restart, ok := w.admitted()
		if !ok {
			return
		}
		it, err := q.consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(pullExpiry),
			jetstream.PullHeartbeat(pullBeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
		if err == nil {
			err = q.takeFrom(it, restart)
		}
		if err == nil || w.taking.Err() != nil {
			continue
		}
		w.pullFailed(err)
		_ = wait.For(w.taking, reconnectWait)
	}
}

// takeFrom does the frames that come by one pull after the other, until they fail or are to begin anew.
func (q *queue) takeFrom(it jetstream.MessagesContext, restart <-chan struct{}) error {
	w := q.w
	defer q.drain(it)
	ctx, cancel := context.WithCancel(w.taking)
	defer cancel()
	defer watchFor(restart, cancel)()
	for {
		if err := w.mayTake(ctx); err != nil {
			return nil // it is to end
		}
		q.ask(1)
		msg, err := it.Next(jetstream.NextContext(ctx))
		q.ask(-1)
		switch {
		case err == nil:
			q.came()
			q.do(msg)
		case ctx.Err() != nil:
			return nil
		default:
			return err
		}
	}
}

// drain ends pulls. A frame that has come meanwhile is done: to give it back would spend one of its deliveries. One that the server sends
// when the pull has just ended comes to nobody. The server gives it again at once, and counts that once however often it happens.
func (q *queue) drain(it jetstream.MessagesContext) {
	defer it.Stop()
	it.Drain()
	for {
		msg, err := it.Next(jetstream.NextMaxWait(callTimeout))
		if err != nil {
			return
		}
		q.do(msg)
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

func (q *queue) ask(n int) {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	if q.asking == 0 {
		q.cameLast = time.Now() // from which on none came
	}
	q.asking += n
}

func (q *queue) came() {
	w := q.w
	w.mu.Lock()
	q.cameLast = time.Now()
	lasted, ended := w.pulls.End()
	w.mu.Unlock()
	if ended {
		w.log.Info("frames come again", "fleet", w.fleet.cfg.Fleet, "outage", lasted)
	}
}

// idle reports whether frames were asked for in vain for so long that pulls may have stalled.
func (q *queue) idle() bool {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	return q.asking > 0 && time.Since(q.cameLast) > stalledAfter
}

// watchPulls has pulls begin anew that have stalled. It asks the server, which may take long: signs of life must not wait for it.
func (w *Worker) watchPulls() {
	tick := time.NewTicker(stalledAfter / 2)
	defer tick.Stop()
	var away outage.Outage
	for {
		select {
		case <-w.taking.Done():
			return
		case <-w.fleet.gone:
			w.stop()
			return
		case <-tick.C:
		}
		if err := w.unstall(); err == nil || !passes(err) {
			away.End()
			continue
		} else if !away.Begin() {
			w.fleet.unheard(time.Since(away.Since()), err)
		}
	}
}

// unstall has pulls begin anew if frames wait that do not come. It returns why that cannot be known.
func (w *Worker) unstall() (err error) {
	ctx, cancel := context.WithTimeout(w.taking, callTimeout)
	defer cancel()
	for _, q := range w.queues {
		if !q.idle() {
			continue
		}
		// Of a partition the next frame waits for the one before.
		info, e := q.consumer.Info(ctx)
		err = cmp.Or(err, e)
		if e != nil || info.NumPending == 0 || q.partition != noPartition && info.NumAckPending > 0 || !q.idle() {
			continue
		}
		w.counts.stalled.Add(1)
		w.log.Warn("frames wait and do not come; they are asked for anew", "fleet", w.fleet.cfg.Fleet, "queue", info.Name, "waiting", info.NumPending)
		w.mu.Lock()
		q.cameLast = time.Now()
		close(w.restart)
		w.restart = make(chan struct{})
		w.mu.Unlock()
	}
	return err
}
