package jobs

import (
	"context"

	"github.com/resonhost/resonhost/host"
)

// traced is what follows a job, by Options.Trace. The zero value is of a job that nothing follows.
type traced struct {
	carry func(context.Context) context.Context
	end   func(host.Kind)
}

func (m *Manager) trace(request context.Context, transform string) (t traced) {
	if m.opts.Trace != nil {
		t.carry, t.end = m.opts.Trace(request, transform)
	}
	return t
}

// context returns the context of the job's tasks, of a manager's.
func (t traced) context(ctx context.Context) context.Context {
	if t.carry == nil {
		return ctx
	}
	return t.carry(ctx)
}

// over takes note that the job is over. It is called once.
func (t traced) over(j *job) {
	if t.end == nil {
		return
	}
	kind := host.Kind("")
	if e := j.record.Job.Error; e != nil {
		kind = e.Kind
	}
	t.end(kind)
}
