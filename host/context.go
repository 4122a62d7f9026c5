package host

import (
	"context"
	"sync"
	"time"
)

// same reports whether all jobs have one context.
func same(jobs []*job) bool {
	for _, j := range jobs[1:] {
		if j.ctx != jobs[0].ctx {
			return false
		}
	}
	return true
}

// sharedPatience is how long a crossing that tasks share goes on once the caller of one has
// gone. It is many times what one takes, so that it is interrupted, and all done again, only
// if it hangs, and perhaps in the task of that caller.
const sharedPatience = 10 * time.Millisecond

// sharedContext returns a context that is done when the contexts of all jobs are, or one has been
// for sharedPatience. The caller calls stop.
func sharedContext(jobs []*job) (ctx context.Context, stop func()) {
	if same(jobs) {
		return jobs[0].ctx, func() {}
	}
	return apart(jobs)
}

// apart is sharedContext of jobs with contexts of their own.
func apart(jobs []*job) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	var (
		mu    sync.Mutex // guards the rest
		left  = len(jobs)
		alarm *time.Timer
	)
	gone := func(cause error) {
		mu.Lock()
		defer mu.Unlock()
		switch left--; {
		case left == 0:
			cancel(cause)
		case alarm == nil && ctx.Err() == nil:
			alarm = time.AfterFunc(sharedPatience, func() { cancel(cause) })
		}
	}
	stops := make([]func() bool, 0, len(jobs))
	for _, j := range jobs {
		ended := j.ctx // the job may be another's by the time that this is told
		stops = append(stops, context.AfterFunc(ended, func() { gone(context.Cause(ended)) }))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		mu.Lock()
		defer mu.Unlock()
		cancel(nil)
		if alarm != nil {
			alarm.Stop()
		}
	}
}
