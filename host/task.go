package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// args are what a task works on: its input, and what its output is appended to; nil
// for memory of its own.
type args struct{ input, dst []byte }

// task is a task that has a place in the queue, or a slot.
type task struct {
	lease

	from   *submitter
	ticket sched.Ticket
	queued time.Time
	waited bool // for a slot, with which it could do others' tasks as well
	told   bool // its end was
	// checked is how long the inputs that it crosses with next were held to a schema, by its worker.
	checked time.Duration
}

// admit makes t one task of a caller, and takes a place for it. Errors of a task are counted where they are
// returned as errors; until then they are *Errors.
func (t *task) admit(ctx context.Context, c *submitter, name, key string, keyed bool) error {
	tr, fault := c.r.lookup(name, 1)
	if fault != nil {
		return fault
	}
	var entry *stream.Entry[sched.Serial]
	absent := false // it is stored, and is to be loaded
	if keyed {
		if len(key) == 0 || len(key) > MaxStreamKey {
			return tr.count(tr.current().sign(&Error{
				Kind: KindInvalidArgument, Transform: name,
				Message: fmt.Sprintf("stream key: must have 1 to %d bytes, has %d", MaxStreamKey, len(key)),
			}), 1)
		}
		entry, absent = c.state(tr, key)
	}
	if fault := t.queue(ctx, c, tr, entry, 1); fault != nil {
		if fault.Err == sched.ErrRetired { //nolint:errorlint // refusal's, as it is
			return t.admit(ctx, c, name, key, keyed) // a swap came between: the name is another's now, or nobody's
		}
		return tr.count(fault, 1)
	}
	t.key = key
	if absent {
		c.r.keeper.Load(entry)
	}
	return nil
}

// queue makes t so many tasks of a caller, in a stream unless that is nil, and takes one place
// for them.
func (t *task) queue(ctx context.Context, c *submitter, tr *transform, in *stream.Entry[sched.Serial], tasks int) *Error {
	*t = task{lease: lease{r: c.r, transform: tr, stream: in, followed: t.followed}, from: c}
	var serial *sched.Serial
	if in != nil {
		serial = &in.Serial
	}
	if fault := c.check(tr); fault != nil {
		t.leaveStream()
		return fault
	}
	err := tr.rests(ctx)
	if err == nil {
		r := c.request(tr, serial)
		r.Tasks = tasks
		r.Deadline, _ = ctx.Deadline()
		err = c.r.sched.Submit(&t.ticket, &r)
		t.queued = t.ticket.Began()
		if t.waited = !t.ticket.Held(); !t.waited {
			t.looked = t.queued
		}
	}
	if err != nil {
		t.leaveStream()
		return tr.refusal(ctx, err)
	}
	return nil
}

// rests returns why a transform takes no task now, apart from its queue.
func (t *transform) rests(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.service.paused.Load() {
		return ErrPaused
	}
	_, err := t.current().breaker.Admit(false)
	return err
}

func (t *task) leaveStream() {
	if t.stream != nil {
		t.from.streams().Release(t.stream)
	}
}

// start waits for the task's slot, and for an instance: one that has to be made is
// part of the waiting, and no part of the running. If it returns an error, or that
// another has done what the task offered, the task has ended.
func (t *task) start(ctx context.Context) (fault *Error, taken bool) {
	if !t.ticket.Held() {
		if fault, taken = t.waitedFor(ctx, t.ticket.Wait(ctx)); fault != nil || taken {
			return fault, taken
		}
	}
	if t.stream != nil {
		if err := t.stream.Fault(); err != nil { // it failed while the task came
			t.end()
			t.waitEnded(time.Now())
			return t.transform.refusal(ctx, err), false
		}
	}
	if fault := t.borrow(ctx); fault != nil {
		t.end()
		t.waitEnded(time.Now())
		return fault, false
	}
	t.looked = t.now()
	t.transform.counts.wait.Observe(t.looked.Sub(t.queued))
	t.waitEnded(t.looked)
	return nil, false
}

// waitedFor makes of how the ticket's waiting ended whether the task goes on: if it
// returns an error, or that another has done what the task offered, it has ended.
func (t *task) waitedFor(ctx context.Context, err error) (fault *Error, taken bool) {
	switch {
	case err == nil:
		return nil, false
	case errors.Is(err, sched.ErrTaken):
		return nil, true
	default:
		t.leaveStream()
		t.waitEnded(time.Now())
		return t.transform.refusal(ctx, err), false
	}
}

// check returns what is wrong with an input that is held to a schema. The task has its slot: reading a large
// document takes a worker's time as running the task does, and is bounded and shared as that is.
func (t *task) check(ctx context.Context, input []byte) *Error {
	s := t.transform.schema.Load()
	if s == nil {
		return nil
	}
	began := t.now()
	fault := t.transform.checkInput(ctx, t.r.ctx, s, input)
	t.looked = t.r.sched.Clock()
	t.checked += t.looked.Sub(began)
	return fault
}

// refuse ends a task for its input, with its outcome in r.
func (t *task) refuse(fault *Error, a *args, r *Result) {
	t.transform.counts.run.Observe(t.checked)
	t.transform.row.Observe(t.looked, t.checked, 1, t.waited)
	t.result(t.looked, nil, nil, 0, fault, a, r)
}

// waitEnded takes note that the task does not wait any more.
func (t *task) waitEnded(now time.Time) {
	if t.followed != nil {
		t.followed.add(TaskPhase{Phase: PhaseQueue, Began: t.queued, Ended: now})
	}
}

// end gives back what start and admit took.
func (t *task) end() {
	now := t.looked // which giving back forgets, though it takes no time worth mentioning
	t.giveBack()
	if t.stream != nil {
		t.from.streams().Done(t.stream) // while it has the turn, which goes with the slot
	}
	t.ticket.ReleaseAt(now)
}
