package host

import (
	"context"
	"time"

	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// submitter is on whose behalf tasks are submitted, and what that means for them.
type submitter struct {
	r      *runner
	tenant string
	level  sched.Level
	weight int
	known  bool // has a queue of its own, however many tenants there are
	quiet  bool // its tasks make no events
	// room reports whether there is room for so many bytes of output; nil if there always is.
	room   func(bytes int) bool
	states *States // of its streams; nil if the host has them
	fault  string  // what is wrong with it, or "": its tasks fail of that
}

func (c *submitter) request(tr *transform, serial *sched.Serial) sched.Request {
	return sched.Request{Group: tr.group, Serial: serial, Level: c.level, Tenant: c.tenant, Weight: c.weight, Known: c.known}
}

// sign says of an error which version serves its transform.
func (c *submitter) sign(e *Error) {
	if tr, fault := c.r.lookup(e.Transform, 0); fault == nil {
		_ = tr.current().sign(e)
	}
}

// check returns what is wrong with the submitter as the error of a task.
func (c *submitter) check(tr *transform) *Error {
	if c.fault == "" {
		return nil
	}
	return tr.current().sign(&Error{Kind: KindInvalidArgument, Transform: tr.name, Message: c.fault})
}

// state returns the state of a stream, to be given back by a task's leaveStream or end. If it is absent,
// it is to be loaded.
func (c *submitter) state(tr *transform, key string) (e *stream.Entry[sched.Serial], absent bool) {
	if c.states != nil && !tr.elsewhere.Load() {
		tr.elsewhere.Store(true)
	}
	return c.streams().Acquire(stream.Key{Tenant: c.tenant, Transform: tr.name, Name: key})
}

// streams returns where the submitter's streams have their states.
func (c *submitter) streams() *stream.Store[sched.Serial] {
	if c.states != nil {
		return c.states.streams
	}
	return c.r.streams
}

// follow begins to follow tasks of a caller, if anybody wants that. The context is theirs.
func (c *submitter) follow(ctx context.Context, transform string, tasks int) (context.Context, *following) {
	if c.r.trace == nil {
		return ctx, nil
	}
	ctx, told := c.r.trace(ctx)
	if told == nil {
		return ctx, nil
	}
	return ctx, &following{told: told, of: TaskTrace{Transform: transform, Tenant: c.tenant, Tasks: tasks, Submitted: time.Now()}}
}
