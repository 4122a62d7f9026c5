package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/wait"
)

// A call is a frame that one host answers at once, by a request of core NATS. Nothing of it is stored. A host that has its hands full
// says so, and the caller asks again, which most often reaches another.
const (
	callGroup  = "hosts" // of which one is asked
	headerBusy = "Resonhost-Busy"
	// callQueue is how many calls wait until a host looks at them, which it does at once.
	callQueue = 1024
	// busyWait is how long a caller waits, at least half and at most all of it, before it asks again.
	busyWait = 5 * time.Millisecond
)

// DefaultCallTimeout is how long [Client.Run] waits if its context has no deadline.
const DefaultCallTimeout = 30 * time.Second

// listen begins to answer calls.
func (w *Worker) listen() error {
	calls := make(chan *nats.Msg, callQueue)
	sub, err := w.fleet.nc.ChanQueueSubscribe(w.fleet.names.call(), callGroup, calls)
	if err != nil {
		return fmt.Errorf("listen for calls: %w", err)
	}
	w.group.Go(func() {
		hands := make(chan struct{}, w.opts.Frames)
		for {
			select {
			case <-w.taking.Done():
				if err := sub.Unsubscribe(); err != nil {
					w.log.Debug("the subscription to calls did not end in order", "error", err)
				}
				for {
					select {
					case msg := <-calls:
						w.busy(msg)
					default:
						return
					}
				}
			case msg := <-calls:
				if w.Draining() {
					w.busy(msg)
					continue
				}
				select {
				case hands <- struct{}{}:
					w.group.Go(func() {
						defer func() { <-hands }()
						w.call(msg)
					})
				default:
					w.busy(msg)
				}
			}
		}
	})
	return nil
}

// busy sends a caller on.
func (w *Worker) busy(msg *nats.Msg) {
	w.counts.busy.Add(1)
	w.reply(msg, &nats.Msg{Header: nats.Header{headerBusy: {"1"}}})
}

func (w *Worker) reply(msg, with *nats.Msg) {
	if err := msg.RespondMsg(with); err != nil && !errors.Is(err, nats.ErrMsgNoReply) {
		w.log.Debug("a call could not be answered", "error", err)
	}
}

// call answers a call.
func (w *Worker) call(msg *nats.Msg) {
	w.counts.calls.Add(1)
	a := &Answer{Host: w.fleet.cfg.Name}
	f, err := ParseFrame(msg.Data)
	if err != nil {
		a.Outcomes = same(1, &Failure{Kind: host.KindInvalidArgument, Message: err.Error()})
	} else {
		a.Digest = digest(msg.Data)
		if p, err := f.partition(); err != nil || p != noPartition {
			a.Outcomes = same(len(f.Tasks), &Failure{
				Kind: host.KindInvalidArgument, Transform: f.Transform, Field: "Stream", Message: "a call has no streams: submit the tasks instead",
			})
			w.reply(msg, &nats.Msg{Data: a.Append(nil)})
			return
		}
		ctx, end := w.traced(w.work, msg.Header, f.Transform)
		a.Outcomes, err = w.batch(f, nil).do(ctx)
		end(err)
		if a.Outcomes == nil {
			w.busy(msg) // it is closed
			return
		}
	}
	data := a.Append(nil)
	if len(data) > w.fleet.limit-headerRoom {
		a.Outcomes = same(len(a.Outcomes), &Failure{
			Kind: host.KindHost, Transform: f.Transform,
			Message: fmt.Sprintf("the answer has %d bytes, more than a message of NATS (max_payload): submit the task instead of calling", len(data)),
		})
		data = a.Append(nil)
	}
	w.reply(msg, &nats.Msg{Data: data})
}

// call has one host do a frame.
func (c *Client) call(ctx context.Context, f *Frame) (*Answer, error) {
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, DefaultCallTimeout)
		defer cancel()
		ctx = bounded
	}
	f.Deadline, _ = ctx.Deadline()
	data, err := c.encode(f)
	if err != nil {
		return nil, err
	}
	for asked := false; ; {
		msg := &nats.Msg{Subject: c.fleet.names.call(), Data: data}
		c.fleet.trace(ctx, msg)
		reply, err := c.fleet.nc.RequestMsgWithContext(ctx, msg)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			if !asked && c.fleet.cameBack(ctx) {
				asked = true
				continue
			}
			return nil, &host.Error{Kind: host.KindUnavailable, Transform: f.Transform, Message: ErrNoHosts.Error(), Err: errors.Join(ErrNoHosts, err)}
		case err != nil && ctx.Err() == nil:
			return nil, &host.Error{Kind: host.KindUnavailable, Transform: f.Transform, Message: err.Error(), Err: err}
		case err == nil && reply.Header.Get(headerBusy) == "":
			a, err := ParseAnswer(reply.Data)
			if err == nil {
				err = a.fit(sent{digest(data), len(f.Tasks)})
			}
			return a, err
		}
		if ctx.Err() != nil || wait.For(ctx, busyWait/2+rand.N(busyWait/2)) != nil { //nolint:gosec // not to be in step is no secret
			return nil, endedError(ctx, f.Transform)
		}
	}
}

// cameBack reports whether the server did not answer for JetStream and now does, or another in its place: it may have been cut off from
// the hosts. It is false at once where there is no such fault.
func (f *Fleet) cameBack(ctx context.Context) bool {
	tries := 0
	err := f.again(ctx, func(ctx context.Context) error {
		tries++
		_, err := f.tasks.Info(ctx)
		return err
	})
	return err == nil && tries > 1
}

// endedError is the error of a task whose caller's context has ended.
func endedError(ctx context.Context, transform string) *host.Error {
	e := &host.Error{Kind: host.KindCancelled, Transform: transform, Message: "the caller cancelled while the fleet had the task", Err: context.Cause(ctx)}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind, e.Message, e.Err = host.KindTimeout, "the fleet did not answer by the caller's deadline", context.DeadlineExceeded
	}
	return e
}
