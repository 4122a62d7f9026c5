package host

import (
	"context"
	"runtime"
	"time"
)

func (c *submitter) run(ctx context.Context, name, key string, keyed bool, a args) ([]byte, error) {
	var t task
	ctx, t.followed = c.follow(ctx, name, 1)
	if err := t.admit(ctx, c, name, key, keyed); err != nil {
		t.followed.end(0, err)
		letOthersRun(err)
		return nil, err
	}
	var mine *offered
	switch {
	case t.ticket.Held():
	case t.transform.current().cfg.Isolation.shares():
		mine = t.offer(ctx, a)
	default:
		t.waited = false // its caller does it, and no other
	}
	var r Result
	t.run(ctx, &a, &r, mine)
	t.followed.end(r.Fuel, r.Err)
	return r.Output, r.Err
}

// letOthersRun is what a caller does who waits for tasks, and whom a full queue refused:
// if it tried again at once, it would keep a processor from them for 10 ms.
func letOthersRun(refused error) {
	if e, ok := refused.(*Error); ok && e.refused != nil { //nolint:errorlint // as it is
		runtime.Gosched()
	}
}

// await waits until the task can be run. If done is true it has ended: without having run,
// as another has done what it offered, or for what its input is.
func (t *task) await(ctx context.Context, a *args, mine *offered) (r Result, done bool) {
	switch fault, taken := t.start(ctx); {
	case taken:
		if !mine.task.told { // it was not begun
			t.announce(&mine.result, 0)
		}
		return mine.result, true
	case fault != nil:
		return t.gone(fault), true
	}
	if fault := t.check(ctx, a.input); fault != nil {
		t.refuse(fault, a, &r)
		t.end()
		return r, true
	}
	return Result{}, false
}

// run waits for the slot and runs the task to its end, with its outcome in r. What is left then
// to be done with the slot another goroutine does, since the caller waits for no tasks of others.
// mine is what the task has offered.
func (t *task) run(ctx context.Context, a *args, r *Result, mine *offered) {
	if mine != nil {
		defer t.r.forget(mine)
	}
	if ended, done := t.await(ctx, a, mine); done {
		*r = ended
		return
	}
	heir := false
	defer func() {
		if !heir {
			t.end()
		}
	}()
	if t.stream != nil {
		t.single(ctx, a, r)
		return
	}
	if rest := t.lead(ctx, a, r, false); rest != nil {
		heir = true
		t.r.pending.Go(t.bequest(rest)) // for which Close waits, as for the slot
	}
}

// bequest returns what goes on with the task's slot and ends it. It has a copy of the
// task, which thus can be on its caller's stack.
func (t *task) bequest(rest func(*task)) func() {
	heir := *t
	heir.looked, heir.followed = time.Time{}, nil // which has ended
	return func() {
		defer heir.end()
		rest(&heir)
	}
}
