// Package invoke does tasks that come as JSON, or as a payload of their transform's media type: it
// decodes them, has a host run them, and encodes what comes of it. HTTP, JSON lines and resonhost
// dev all do theirs by this package.
package invoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
)

// Transform is a transform with what translates its JSON. It may be used concurrently.
type Transform struct {
	host.Transform

	codec codec.Codec
}

// Find returns the transform of that name. Its error is a [*host.Error] if the host has no such
// transform, and another if it has and there is no codec for it.
func Find(h *host.Host, codecs *codec.Set, name string) (*Transform, error) {
	t, err := h.Lookup(name)
	if err != nil {
		return nil, err
	}
	return Of(t, codecs)
}

// Of is [Find] of a transform that was looked up.
func Of(t host.Transform, codecs *codec.Set) (*Transform, error) {
	c, err := codecs.For(t)
	if err != nil {
		return nil, err
	}
	return &Transform{t, c}, nil
}

// Task is a task that was decoded.
type Task struct {
	transform host.Transform
	payload   []byte
	added     int // bytes of the payload that are no part of what it was decoded from
	stream    string
	keyed     bool // it has a stream
	encode    func(output []byte) ([]byte, error)
}

// Decode reads the JSON of a task. field names the member that is the key of the task's stream;
// with "" only what the transform's own JSON has for it is one. Its error is the caller's fault,
// and most often an [*abi.FieldError]. A panic of the codec's is a [*host.Error] of
// [host.KindHost]. The host counts both. The task may share doc's memory.
func (t *Transform) Decode(doc []byte, field string) (Task, error) {
	task, err := t.decode(doc, field)
	return task, t.Refused(err)
}

// Refused counts among the transform's errors why a document is no task, and returns that. It does nothing
// without an error.
func (t *Transform) Refused(err error) error {
	if err != nil {
		t.CountFailed(api.Failed(t.Name, err).Kind)
	}
	return err
}

func (t *Transform) decode(doc []byte, field string) (Task, error) {
	key, whole := "", doc
	if field != "" {
		if t.Input == manifest.MediaTypeText && bytes.HasPrefix(bytes.TrimLeft(doc, " \t\r\n"), []byte{'"'}) {
			return Task{}, &abi.FieldError{Field: foreign.Cut(field), Rule: "cannot be the key of the stream, as a text has no members; a single task over HTTP names its stream in a header"}
		}
		var err error
		if doc, key, err = codec.TakeStream(doc, field); err != nil {
			return Task{}, err
		}
	}
	if !manifest.IsJSON(t.Input) { // else the host looks at it
		if err := t.CheckInput(context.Background(), doc); err != nil {
			return Task{}, err
		}
	}
	call, err := t.call(doc)
	if err != nil {
		return Task{}, err
	}
	task := Task{transform: t.Transform, payload: call.Payload, stream: call.Stream, keyed: call.Stream != "", encode: call.Encode}
	if !within(call.Payload, whole) {
		task.added = len(call.Payload)
	}
	switch {
	case key == "":
		return task, nil
	case task.keyed:
		return Task{}, &abi.FieldError{Field: "stream", Rule: "is there besides " + foreign.Cut(field)}
	}
	return task.InStream(key), nil
}

// within reports whether a payload is a part of a document, and shares its end: a codec that cuts
// capacities is taken to have made a copy.
func within(payload, doc []byte) bool {
	p, d := payload[:cap(payload)], doc[:cap(doc)]
	return len(p) == 0 || len(d) > 0 && &p[len(p)-1] == &d[len(d)-1]
}

// call has the codec decode.
func (t *Transform) call(doc []byte) (call codec.Call, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(&t.Transform, v)
		}
	}()
	return t.codec.Decode(doc)
}

// panicked makes an error of what a codec panicked with. A codec may be anybody's, and its defect is
// to end one task and not the process. What it panicked with may be anything, so that the stack has it,
// which is for the log, and not the message, which is for the caller. It is called by who recovers.
func panicked(t *host.Transform, v any) error {
	cause, _ := v.(error)
	value := foreign.Cut(strings.ToValidUTF8(fmt.Sprint(v), "\uFFFD"))
	return &host.Error{
		Kind: host.KindHost, Transform: t.Name, Plugin: t.Plugin, Version: t.Version, Hash: t.Hash, Err: cause, Stack: "panic: " + value + "\n" + string(debug.Stack()),
		Message: fmt.Sprintf("the codec for %s and %s panicked", t.Input, t.Output),
	}
}

// Payload returns the task of a payload, whose output is not encoded.
func Payload(t host.Transform, payload []byte) Task { return Task{transform: t, payload: payload} }

// InStream returns the same task in the stream of that key, and in no other.
func (t Task) InStream(key string) Task {
	t.stream, t.keyed = key, true
	return t
}

// Stream returns the key of the task's stream, "" without one.
func (t Task) Stream() string { return t.stream }

// Added returns how many bytes the task holds beside the JSON that it was decoded from: 0 if the
// payload is a part of that.
func (t Task) Added() int { return t.added }

// Run runs the task and returns its output, for [Task.Encode].
func (t Task) Run(ctx context.Context, c *host.Client) ([]byte, error) {
	if t.keyed {
		return c.Stream(t.stream).Run(ctx, t.transform.Name, t.payload)
	}
	return c.Run(ctx, t.transform.Name, t.payload)
}

// Submit is [Task.Run] without the waiting, as [host.Client.Submit] says.
func (t Task) Submit(ctx context.Context, c *host.Client) *host.Pending {
	if t.keyed {
		return c.Stream(t.stream).Submit(ctx, t.transform.Name, t.payload)
	}
	return c.Submit(ctx, t.transform.Name, t.payload)
}

// RunBatch runs tasks of one transform that are in no stream, as [host.Client.RunBatch] does.
func RunBatch(ctx context.Context, c *host.Client, tasks []Task) []host.Result {
	if len(tasks) == 0 {
		return nil
	}
	payloads := make([][]byte, len(tasks))
	for i := range tasks {
		payloads[i] = tasks[i].payload
	}
	return c.RunBatch(ctx, tasks[0].transform.Name, payloads)
}

// Encode makes of an output what the caller gets: JSON on one line, without its end, if the task
// came as JSON. An output that is not of its media type is the plugin's fault, and the error a
// [*host.Error] of [host.KindABI]. A panic of the codec's is one of [host.KindHost].
func (t Task) Encode(output []byte) (doc []byte, err error) {
	if t.encode == nil {
		return output, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = panicked(&t.transform, v)
		}
	}()
	doc, err = t.encode(output)
	if err != nil {
		tr, why := &t.transform, err.Error()
		if f := (*abi.FieldError)(nil); errors.As(err, &f) && f.Field == wholeDocument {
			why = f.Rule
		}
		return nil, &host.Error{
			Kind: host.KindABI, Transform: tr.Name, Plugin: tr.Plugin, Version: tr.Version, Hash: tr.Hash, Err: err,
			Message: fmt.Sprintf("the output is not of its media type, %s: %s", tr.Output, why),
		}
	}
	return doc, nil
}

// wholeDocument is the field of an error of a codec's that is of no member.
const wholeDocument = "document"

// Expansion is how many times its size an output counts until it is JSON: itself, and what it
// becomes. Only text of control characters becomes more, which is counted once it is there.
const Expansion = 3

// NoMemory is the error of a task for which the tasks under way leave no memory.
func NoMemory(transform string) error {
	return &host.Error{
		Kind: host.KindQueueFull, Transform: transform, Err: host.ErrQueueFull,
		Message: "the requests under way hold all the memory that they may (MaxHeld, --max-held); try again when some have ended",
	}
}
