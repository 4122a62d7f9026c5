package fleet

import (
	"context"

	"github.com/nats-io/nats.go"
)

// headerTrace is the trace that a frame is part of, in the form of the header traceparent of W3C's Trace Context.
const headerTrace = "traceparent"

// maxTrace is the longest that a host looks at, in bytes: a later form may be longer than today's 55.
const maxTrace = 256

// trace has a message say which trace it is part of, if any.
func (f *Fleet) trace(ctx context.Context, msg *nats.Msg) {
	if f.cfg.Trace == nil {
		return
	}
	if parent := f.cfg.Trace(ctx); parent != "" {
		if msg.Header == nil {
			msg.Header = nats.Header{}
		}
		msg.Header.Set(headerTrace, parent)
	}
}

// traced returns the context of a frame's tasks, and what is called once they are done.
func (w *Worker) traced(ctx context.Context, h nats.Header, transform string) (context.Context, func(error)) {
	parent := h.Get(headerTrace)
	if w.opts.Trace == nil || parent == "" || len(parent) > maxTrace {
		return ctx, func(error) {}
	}
	return w.opts.Trace(ctx, parent, transform)
}
