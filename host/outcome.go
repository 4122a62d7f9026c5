package host

import (
	"bytes"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/event"
)

// result counts and tells the outcome of one task, which has ended by now, and has it in r: fault,
// if there is one, else what the guest of version v answered.
func (t *task) result(now time.Time, v *version, got *abi.Result, fuel uint64, fault *Error, a *args, r *Result) {
	t.transform.counts.latency.Observe(now.Sub(t.queued))
	t.followed.ended(t.queued, now)
	t.outcome(v, got, fuel, fault, a, r)
	if r.Err == nil {
		t.transform.counts.ok.Add(1)
	}
}

// outcome is result without the counting of the latency and of successes.
func (t *task) outcome(v *version, got *abi.Result, fuel uint64, fault *Error, a *args, r *Result) {
	if fault == nil {
		fault = rejection(t.transform, v, got, a.input)
	}
	if fault == nil && t.from.room != nil && !t.from.room(len(got.Payload)-len(a.dst)) {
		fault = v.sign(fail(KindQueueFull, t.transform.name, ErrNoRoom))
	}
	r.Output, r.Err, r.Fuel = nil, nil, fuel
	if fault != nil {
		r.Err = t.transform.count(fault, 1)
	} else {
		r.Output = got.Payload
	}
	t.announce(r, len(a.dst))
}

// gone counts, tells and returns the outcome of a task that has left the queue without
// having run.
func (t *task) gone(fault *Error) Result {
	r := Result{Err: t.transform.count(fault, 1)}
	t.announce(&r, 0)
	return r
}

// announce makes an event of a task's outcome, whose output begins behind so many bytes,
// if anybody wants it.
func (t *task) announce(r *Result, behind int) {
	t.told = true
	if !t.r.events.Wants(event.KindTaskCompleted) || t.from.quiet {
		return
	}
	t.looked = time.Time{}
	latency := time.Since(t.queued)
	e := event.TaskCompleted{
		Plugin: t.transform.current().manifest.Name, Transform: t.transform.name, Tenant: t.from.tenant, Stream: t.key, Latency: latency, Fuel: r.Fuel,
	}
	if r.Err != nil {
		e.Error, e.ErrorKind = r.Err.Error(), string(KindOf(r.Err))
	} else {
		e.Output = bytes.Clone(r.Output[behind:])
	}
	t.r.events.Publish(e)
}

// panicked is the outcome of a task whose worker has panicked, while that is passed on.
func (t *task) panicked() Result {
	return Result{Err: t.transform.current().sign(fail(KindHost, t.transform.name, errPanicked))}
}
