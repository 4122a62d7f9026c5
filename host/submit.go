package host

import (
	"context"
	"time"
)

func (c *submitter) submit(ctx context.Context, name, key string, keyed bool, a args) *Pending {
	r := c.r
	refused := func(err error) *Pending {
		if e, ok := err.(*Error); ok && e.refused != nil { //nolint:errorlint // as it is
			return e.refused
		}
		return &Pending{done: r.over, finished: true, result: Result{Err: err}}
	}
	if r.join(&r.pending, stageCreated) != nil {
		return refused(r.closedError(name))
	}
	o := pooled[offered](&r.offers)
	t := &o.of
	ctx, t.followed = c.follow(ctx, name, 1)
	o.job = job{task: t, ctx: ctx, args: a}
	if err := t.admit(ctx, c, name, key, keyed); err != nil {
		t.followed.end(0, err)
		r.forget(o)
		r.pending.Done()
		return refused(err)
	}
	if t.ticket.Blocked() {
		if fault, _ := t.waitedFor(ctx, t.ticket.Room(ctx)); fault != nil {
			err := t.gone(fault).Err
			t.followed.end(0, err)
			r.forget(o)
			r.pending.Done()
			return refused(err)
		}
	}
	if t.offers() {
		t.ticket.Offer(&o.job)
	}
	p := &Pending{done: make(chan struct{})}
	go o.run(p)
	return p
}

// closedError refuses a task since the host is closed.
func (r *runner) closedError(name string) error {
	tr, fault := r.lookup(name, 1)
	if fault != nil {
		return fault
	}
	return tr.count(tr.current().sign(fail(KindUnavailable, name, ErrClosed)), 1)
}

// run does what Submit has announced to Close, in a goroutine of its own. While the task
// waits that has no larger stack than goroutines have at first.
func (o *offered) run(p *Pending) {
	r := o.of.r
	defer r.pending.Done()
	defer func() {
		if !p.finished {
			o.finish(p, o.of.panicked())
		}
	}()
	result, done := o.of.await(o.ctx, &o.args, o)
	if !done {
		result = o.work(p)
	}
	o.finish(p, result)
	r.forget(o)
}

// finish hands out a task's result, if nobody has, after which the task is followed no more.
func (o *offered) finish(p *Pending, r Result) {
	o.of.followed.end(r.Fuel, r.Err)
	o.of.followed = nil
	p.finish(r)
}

// work runs a task that was submitted, which has a slot, to its end, and then some that
// wait behind it, before which p is finished.
func (o *offered) work(p *Pending) (r Result) {
	t := &o.of
	defer t.end()
	if t.stream != nil {
		t.single(o.ctx, &o.args, &r)
		return r
	}
	if rest := t.lead(o.ctx, &o.args, &r, true); rest != nil {
		o.finish(p, r)
		t.looked = time.Time{}
		rest(t)
	}
	return r
}
