package host

import (
	"context"
	"errors"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/framefit"
	"github.com/resonhost/resonhost/host/internal/module"
)

// frame is what tasks that share a crossing cross with. Frames are used again.
type frame struct {
	task  task // of those jobs that are its own
	own   [framefit.Max]job
	owned int // how many of own there are

	jobs    []*job
	items   [framefit.Max]abi.Item
	results [framefit.Max]abi.Result
	call    module.Call
}

// add adds a job of the frame's own task.
func (f *frame) add(ctx context.Context, a args) {
	f.jobs = append(f.jobs, f.job(ctx, a))
}

// job makes a job of the frame's own task, which does not cross unless it is added to jobs.
func (f *frame) job(ctx context.Context, a args) *job {
	j := &f.own[f.owned]
	f.owned++
	*j = job{task: &f.task, ctx: ctx, args: a}
	return j
}

// reuse gives up a frame, which keeps nothing that is anybody's then.
func (r *runner) reuse(f *frame) {
	n := len(f.jobs)
	f.task, f.call = task{}, module.Call{}
	clear(f.own[:f.owned])
	f.owned = 0
	clear(f.items[:n])
	clear(f.results[:n])
	clear(f.jobs)
	f.jobs = f.jobs[:0]
	r.frames.Put(f)
}

// frameSize is a little more than what an input adds to a frame.
func frameSize(input []byte) int { return abi.InputSize([]abi.Item{{Payload: input}}) }

// with returns what follows all jobs of a frame at once, instead of f which follows the one that leads
// them; nil if none is followed.
func (f *following) with(jobs []*job) *following {
	all := &following{}
	for _, j := range jobs {
		g := j.task.followed
		if g != nil && (len(all.also) == 0 || all.also[len(all.also)-1] != g) { // of a batch all are one
			all.also = append(all.also, g)
		}
	}
	switch {
	case len(all.also) == 0:
		return nil
	case len(all.also) == 1 && all.also[0] == f:
		return f
	}
	return all
}

// cross runs a frame's jobs on the task's instance in one crossing, and returns false if
// they may not share one or that has failed as a whole: then each is to be run [task.again].
func (t *task) cross(f *frame) bool {
	if !t.version.cfg.Isolation.shares() {
		return false
	}
	jobs, items, got := f.jobs, f.items[:len(f.jobs)], f.results[:len(f.jobs)]
	for i, j := range jobs {
		items[i].Payload, got[i].Payload = j.args.input, j.args.dst
	}
	ctx, stop := sharedContext(jobs)
	own := t.followed
	if t.r.trace != nil {
		t.followed = own.with(jobs)
	}
	fuel, fault := t.timed(ctx, &f.call, items, got)
	t.followed = own
	ended := ctx.Err() != nil
	stop()
	if fault != nil && errors.Is(fault, module.ErrOutputSum) {
		t.transform.fits.Failed(len(jobs))
	}
	if fault == nil {
		t.transform.fits.Fitted(len(jobs))
	}
	again := fault != nil && (fault.Kind.guests() || ended || t.canary || errors.Is(fault, errReplaced))
	gone := jobs[0].ctx.Err() != nil && same(jobs)
	if gone && fault != nil && fault.Kind.guests() && len(jobs) > 1 {
		// Whose it is would take another run, which nobody waits for.
		fault = runFailure(jobs[0].ctx, t.transform, t.version, jobs[0].ctx.Err())
	}
	if !again || len(jobs) == 1 && !t.canary || gone {
		t.settle(jobs, got, fuel, fault)
		return true
	}
	t.r.retried.Add(1)
	if t.canary {
		t.noCanary = true
		if !noRoom(fault) {
			t.blamed = t.trial
		}
	}
	return false
}

// again runs a job by itself, whatever a frame that failed has left.
func (t *task) again(j *job) {
	x := pooled[crossing](&t.r.crossings)
	own := t.followed
	t.followed = j.task.followed
	fuel, fault := t.alone(j.ctx, &j.args, x)
	t.followed = own
	j.task.result(t.now(), t.version, &x.results[0], fuel, fault, &j.args, &j.result)
	j.ended = true
	t.r.letGo(x)
}

// settle gives jobs their results of a crossing that they shared. What a canary has
// refused in there the version beside it does.
func (t *task) settle(jobs []*job, got []abi.Result, fuel uint64, fault *Error) {
	if canary := t.trial; t.canary && fault == nil {
		t.blamed = canary // for those that are run again
	}
	now, share := t.now(), fuel/uint64(len(jobs))
	served := tally{of: &t.transform.counts}
	for i, j := range jobs {
		if t.blamed != nil && got[i].Status != abi.StatusOK {
			t.giveBack()
			t.noCanary = true
			t.r.rerun.Add(1)
			t.again(j)
			now = t.now()
			continue
		}
		j.task.outcome(t.version, &got[i], share, fault, &j.args, &j.result)
		j.ended = true
		j.task.followed.ended(j.task.queued, now)
		served.add(now.Sub(j.task.queued), j.result.Err == nil)
	}
	served.count()
	t.blamed = nil
}
