package fleet

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// counts are what a worker counts, each as WorkerStats says.
type counts struct {
	taken, redelivered, answered, duplicates, expired, dead, failed, progress, unacked, stalled, pullFailed, calls, busy, fenced atomic.Uint64
}

// WorkerStats is a snapshot of a worker. Counters count from [Fleet.NewWorker], and frames.
type WorkerStats struct {
	// Taken is how many frames were taken, Redelivered how many of them had been given to a host before.
	Taken, Redelivered uint64
	// Answered is how many frames this host answered first. Duplicates is how many had an answer, or got one
	// from another host meanwhile. Expired is how many of the answered came too late to be done.
	Answered, Duplicates, Expired uint64
	// Dead is how many were moved to the dead letters, and Failed how often a frame was left to another host because this one
	// could not do it.
	Dead, Failed uint64
	// DeadDropped is how many dead letters were discarded for new ones of this host, because there was no room for both.
	DeadDropped uint64
	// Fenced is how often a frame with states was done anew, because another host had stored some of its partition meanwhile.
	Fenced uint64
	// Progress is how often the server was told that a frame is under way.
	Progress uint64
	// Unacknowledged is how often the server did not confirm that a frame was done, Stalled how often frames waited and did not
	// come until they were asked for anew, and PullsFailed how often asking failed.
	Unacknowledged, Stalled, PullsFailed uint64
	// Calls is how many calls this host has answered, and Busy how many it has sent on to others.
	Calls, Busy uint64
	// UnderWay is how many frames this host has now.
	UnderWay int
}

// Stats returns a snapshot.
func (w *Worker) Stats() WorkerStats {
	c := &w.counts
	return WorkerStats{
		Taken: c.taken.Load(), Redelivered: c.redelivered.Load(), Answered: c.answered.Load(), Duplicates: c.duplicates.Load(),
		Expired: c.expired.Load(), Dead: c.dead.Load(), Failed: c.failed.Load(), Progress: c.progress.Load(), DeadDropped: w.fleet.deadDropped.Load(),
		Unacknowledged: c.unacked.Load(), Stalled: c.stalled.Load(), PullsFailed: c.pullFailed.Load(),
		Fenced: c.fenced.Load(), Calls: c.calls.Load(), Busy: c.busy.Load(), UnderWay: w.inHand(),
	}
}

// QueueStats is what waits in the fleet.
type QueueStats struct {
	// Waiting is how many frames wait for a host, and Bytes what they and those under way take in the stream.
	Waiting, Bytes uint64
	// UnderWay is how many frames hosts have, of all hosts together.
	UnderWay int
	// Oldest is for how long the oldest frame that is not done has been in the stream, by this machine's clock; 0 without.
	Oldest time.Duration
	// Dead is how many dead letters are kept.
	Dead uint64
	// TasksFill, ResultsFill and DeadFill are the shares of their bounds that the streams of frames, answers and dead letters take, from 0 to 1; 0
	// of a stream without a bound.
	TasksFill, ResultsFill, DeadFill float64
}

// fill is the share of its bound that a stream takes.
func fill(info *jetstream.StreamInfo) float64 {
	if info.Config.MaxBytes <= 0 {
		return 0
	}
	return float64(info.State.Bytes) / float64(info.Config.MaxBytes)
}

// Queue asks the server what waits in the fleet. Before the worker is started that is an error.
func (w *Worker) Queue(ctx context.Context) (q QueueStats, err error) {
	if len(w.queues) == 0 {
		return q, errors.New("the worker is not started")
	}
	return w.fleet.queue(ctx)
}

func (f *Fleet) queue(ctx context.Context) (q QueueStats, err error) {
	consumers := f.tasks.ListConsumers(ctx)
	for c := range consumers.Info() {
		q.Waiting += c.NumPending
		q.UnderWay += c.NumAckPending
	}
	if err := consumers.Err(); err != nil {
		return q, err
	}
	tasks, err := f.tasks.Info(ctx)
	if err != nil {
		return q, err
	}
	q.Bytes = tasks.State.Bytes
	if tasks.State.Msgs > 0 {
		q.Oldest = max(0, time.Since(tasks.State.FirstTime))
	}
	dead, err := f.dead.Info(ctx)
	if err != nil {
		return q, err
	}
	results, err := f.results.Info(ctx)
	if err != nil {
		return q, err
	}
	q.Dead = dead.State.Msgs
	q.TasksFill, q.ResultsFill, q.DeadFill = fill(tasks), fill(results), fill(dead)
	return q, nil
}
