package host

import (
	"context"
	"runtime"
	"time"

	"github.com/resonhost/resonhost/host/internal/sched"
)

// lead runs a task that has a slot, and tasks that wait behind it with it, if they may
// share a crossing. rest, if it is not nil, is to be called then: it goes on with the
// slot, and with nothing else that is the caller's, for tasks of others: those that have
// shared a crossing in vain, and, if row is set, those that are next in turn.
func (t *task) lead(ctx context.Context, a *args, r *Result, row bool) (rest func(*task)) {
	size := t.transform.row.Size()
	if size > 1 && t.version.cfg.Isolation.shares() {
		if taken := t.gather(size-1, a.input); len(taken) > 0 {
			return t.leadFrame(ctx, a, r, taken)
		}
	}
	t.single(ctx, a, r)
	if size > 1 && row {
		if next, ok := t.ticket.Next(t.transform.row.Target(), nil); ok {
			return func(t *task) { t.carry(next, size-2) }
		}
	}
	return nil
}

// carry runs a job that was taken over, and as many more that are next in turn, one
// after the other, which spares the handing over of slots.
func (t *task) carry(next sched.Taken, more int) {
	for ok := true; ok; more-- {
		t.do(next)
		if more <= 0 {
			return
		}
		runtime.Gosched()
		next, ok = t.ticket.Next(t.transform.row.Target(), nil)
	}
}

// gather takes over jobs that share a crossing with input.
func (t *task) gather(most int, input []byte) (taken []sched.Taken) {
	fit := &t.transform.fits
	if fit.Most() == 1 {
		fit.Fitted(1)
	}
	most = min(most, fit.Most()-1)
	size := frameSize(input)
	fits := func(next any) bool {
		size += frameSize(next.(*job).args.input)
		return size <= t.version.cfg.MaxInput
	}
	for range most {
		next, ok := t.ticket.Next(t.transform.row.Target(), fits)
		if !ok {
			break
		}
		taken = append(taken, next)
	}
	return taken
}

// leadFrame runs a task and jobs that it has taken over in one crossing. If that fails
// as a whole, the jobs are left for rest.
func (t *task) leadFrame(ctx context.Context, a *args, r *Result, taken []sched.Taken) (rest func(*task)) {
	f := pooled[frame](&t.r.frames)
	f.task = *t
	f.add(ctx, *a)
	left := taken[:0]
	for _, next := range taken {
		j := next.Job.(*job)
		begun := j.begin(next.Began)
		if j.task.checked > 0 {
			t.looked = time.Time{}
		}
		if !begun {
			t.ticket.Done(next, j.task.checked)
			continue
		}
		t.checked += j.task.checked
		f.jobs, left = append(f.jobs, j), append(left, next)
	}
	t.transform.counts.joined.Add(uint64(len(left)))
	defer t.finishAll(&left, time.Now())
	var rerun []sched.Taken
	if !t.cross(f) {
		t.again(f.jobs[0])
		left, rerun = nil, left
	}
	*r = f.jobs[0].result
	t.r.reuse(f)
	if len(rerun) == 0 {
		return nil
	}
	return func(t *task) {
		defer t.finishAll(&rerun, time.Now())
		for len(rerun) > 0 {
			began := time.Now()
			t.again(rerun[0].Job.(*job))
			t.finish(rerun[0], time.Since(began)+rerun[0].Job.(*job).task.checked)
			rerun = rerun[1:]
		}
	}
}

// finishAll gives jobs that were taken over, of which all or none have ended, back to
// their owners. They have shared the time since began with the task, and each was checked before.
func (t *task) finishAll(taken *[]sched.Taken, began time.Time) {
	took := time.Since(began) / time.Duration(1+len(*taken))
	for _, next := range *taken {
		t.finish(next, took+next.Job.(*job).task.checked)
	}
}

// do runs a job that was taken over, by itself.
func (t *task) do(next sched.Taken) {
	j := next.Job.(*job)
	j.task.looked = next.Began
	defer func() { t.finish(next, j.task.now().Sub(next.Began)) }()
	if !j.begin(next.Began) {
		return
	}
	t.transform.counts.joined.Add(1)
	j.task.instance, j.task.version, j.task.trial, j.task.canary = t.instance, t.version, t.trial, t.canary
	t.instance = nil // until it is known whether the job has left it
	defer func() {
		t.instance, t.version, t.trial, t.canary = j.task.instance, j.task.version, j.task.trial, j.task.canary
	}()
	j.task.single(j.ctx, &j.args, &j.result)
	j.ended = true
}

// finish gives a job that was taken over back to its owner.
func (t *task) finish(next sched.Taken, took time.Duration) {
	if j := next.Job.(*job); !j.ended {
		j.end(j.task.panicked())
	}
	t.ticket.Done(next, took)
}
