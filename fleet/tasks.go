package fleet

import (
	"context"
	"fmt"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/invoke"
	"github.com/resonhost/resonhost/state"
)

// maxOutputs is how many bytes the outputs of a frame have together at most. An answer is in memory as a whole.
const maxOutputs = 256 << 20

// batch returns the tasks of a frame. Its streams begin with states, which are nil if it has none.
func (w *Worker) batch(f *Frame, of *states) *batch { return &batch{w: w, frame: f, states: of} }

// do does the tasks. An error is that of a task that fails only on this host, or only now. There are outcomes
// besides, for when no other host is to have the frame, unless the worker is closed.
func (b *batch) do(ctx context.Context) ([]Outcome, error) {
	w, f := b.w, b.frame
	if !f.Deadline.IsZero() {
		bounded, cancel := context.WithDeadline(ctx, f.Deadline)
		defer cancel()
		ctx = bounded
	}
	t, err := w.host.Lookup(f.Transform)
	if err != nil {
		outcomes := same(len(f.Tasks), FailureOf(f.Transform, err))
		if notHere(host.KindOf(err)) {
			return outcomes, err
		}
		return outcomes, nil
	}
	b.of, b.outcomes, b.tasks = t, make([]Outcome, len(f.Tasks)), make([]invoke.Task, len(f.Tasks))
	b.decode()
	client := w.host.Client(f.Tenant, f.Priority)
	if b.keeps() {
		if err := b.recall(ctx); err != nil {
			return same(len(f.Tasks), FailureOf(f.Transform, err)), err
		}
		client = client.WithStates(b.with)
	}
	b.run(ctx, client)
	if err := context.Cause(w.work); err != nil {
		return nil, err // and not what interrupted tasks say
	}
	if b.keeps() {
		if err := b.leave(); err != nil {
			return same(len(f.Tasks), FailureOf(f.Transform, err)), err
		}
	}
	return b.outcomes, b.notHere
}

// batch is the tasks of a frame under way.
type batch struct {
	w        *Worker
	frame    *Frame
	of       host.Transform
	tasks    []invoke.Task
	outcomes []Outcome
	notHere  error // of a task that fails only here

	states *states        // of the partition
	with   *host.States   // of the frame's streams
	before []known        // of the frame's streams, as stored
	left   []state.Record // what the tasks have changed

	size int // of the outputs
}

// decode makes tasks of the inputs. Those that are none have an outcome then.
func (b *batch) decode() {
	transform, err := b.transform()
	for i := range b.frame.Tasks {
		t := &b.frame.Tasks[i]
		why := err
		switch {
		case why != nil:
		case transform == nil:
			b.tasks[i] = invoke.Payload(b.of, t.Input)
		default:
			if b.tasks[i], why = transform.Decode(t.Input, ""); why == nil && b.tasks[i].Stream() != t.Stream && b.tasks[i].Stream() != "" {
				why = transform.Refused(&abi.FieldError{Field: "stream", Rule: "is in the JSON alone: a fleet has to know it besides, as the task's stream"})
			}
		}
		if why != nil {
			b.outcomes[i].Failure = FailureOf(b.of.Name, why)
		} else if t.Stream != "" {
			b.tasks[i] = b.tasks[i].InStream(t.Stream)
		}
	}
}

// transform returns what translates the inputs, nil if they are of the transform's media type.
func (b *batch) transform() (*invoke.Transform, error) {
	switch media := b.frame.MediaType; {
	case media == "" || media == b.of.Input && !manifest.IsJSON(media):
		return nil, nil
	case manifest.IsJSON(media):
		return invoke.Of(b.of, b.w.opts.Codecs)
	default:
		return nil, fmt.Errorf("the frame is of media type %s: it must be %s, or application/json", media, b.of.Input)
	}
}

// run runs the tasks: those of streams one by one, in their order, and the others together.
func (b *batch) run(ctx context.Context, client *host.Client) {
	var loose []invoke.Task
	var at []int
	pending := make([]*host.Pending, len(b.tasks))
	for i, t := range b.tasks {
		switch {
		case b.outcomes[i].Failure != nil:
		case t.Stream() != "":
			pending[i] = t.Submit(ctx, client)
		default:
			loose, at = append(loose, t), append(at, i)
		}
	}
	if len(loose) > 0 {
		for i, r := range invoke.RunBatch(ctx, client, loose) {
			b.ended(at[i], r)
		}
	}
	for i, p := range pending {
		if p != nil {
			b.ended(i, p.Result())
		}
	}
}

// ended notes what came of a task.
func (b *batch) ended(i int, r host.Result) {
	out, err := r.Output, r.Err
	if err == nil {
		out, err = b.tasks[i].Encode(out)
	}
	if err == nil {
		if b.size += len(out); b.size > maxOutputs {
			err = &host.Error{Kind: host.KindHost, Transform: b.of.Name, Message: fmt.Sprintf("the outputs of the frame have more than %d bytes together: submit fewer tasks a frame", maxOutputs)}
		}
	}
	if err != nil {
		b.outcomes[i].Failure = FailureOf(b.of.Name, err)
		if notHere(host.KindOf(err)) {
			b.notHere = err
		}
		return
	}
	b.outcomes[i].Output = out
}
