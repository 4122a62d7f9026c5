package host

import (
	"context"
	"time"
)

// job is what one task has to do, for whoever does it.
type job struct {
	task   *task // whose ticket is its owner's affair
	ctx    context.Context
	args   args
	result Result
	ended  bool // it has a result
}

// offered is a job of a task that waits: of Submit's, or a copy of Run's, which thus can
// be on its caller's stack. They are used again.
type offered struct {
	job

	of task
}

// begin reports whether a job that was taken over is to be done now. If not, its caller
// has gone or its input is refused, and it has its result.
func (j *job) begin(now time.Time) bool {
	j.task.waitEnded(now)
	if j.ctx.Err() != nil {
		j.end(Result{Err: j.task.transform.count(j.task.transform.refusal(j.ctx, j.ctx.Err()), 1)})
		return false
	}
	j.task.transform.counts.wait.Observe(now.Sub(j.task.queued))
	if fault := j.task.check(j.ctx, j.args.input); fault != nil {
		j.task.refuse(fault, &j.args, &j.result)
		j.ended = true
		return false
	}
	return true
}

func (j *job) end(r Result) { j.result, j.ended = r, true }

// offers reports whether others may do the task while it waits.
func (t *task) offers() bool {
	return !t.ticket.Held() && t.stream == nil && t.transform.row.Target() != 0
}

// offer lets others do the task while it waits. It returns nil if none may.
func (t *task) offer(ctx context.Context, a args) *offered {
	if !t.offers() {
		return nil
	}
	o := pooled[offered](&t.r.offers)
	o.of = *t
	o.job = job{task: &o.of, ctx: ctx, args: a}
	t.ticket.Offer(&o.job)
	return o
}

// forget gives up what was offered, which nobody else has by now.
func (r *runner) forget(o *offered) {
	*o = offered{} // it keeps nothing that is the caller's
	r.offers.Put(o)
}
