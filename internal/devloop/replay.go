package devloop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/jsondiff"
	"github.com/resonhost/resonhost/invoke"
)

// rounds are how often a task is run for its time, and roundTime how long that may go on
// for all.
const (
	rounds    = 101
	roundTime = 500 * time.Millisecond
)

// Changes of a task's outcome.
const (
	New     = "new" // it was not run before
	Same    = "same"
	Changed = "changed"
)

// Task is an input that was replayed.
type Task struct {
	// Name is the test's, or else file and line.
	Name      string `json:"name"`
	Transform string `json:"transform"`
	// Change is New, Same or Changed, as against the version before, and Difference where
	// it is another.
	Change     string `json:"change"`
	Difference string `json:"difference,omitempty"`
	// Output is what came of it, or Error is why nothing did.
	Output json.RawMessage `json:"output,omitempty"`
	Error  *api.Error      `json:"error,omitempty"`
	// Nanoseconds is the median of Runs, as a caller of the host sees it; 0 if it was
	// not run again. Fuel is what a run burnt. Those of the version before are 0 if there
	// was none.
	Nanoseconds       int64  `json:"nanoseconds,omitempty"`
	NanosecondsBefore int64  `json:"nanoseconds_before,omitempty"`
	Runs              int    `json:"runs,omitempty"`
	Fuel              uint64 `json:"fuel,omitempty"`
	FuelBefore        uint64 `json:"fuel_before,omitempty"`

	key key
}

// Misbehaved reports whether the plugin broke down or could not be asked, rather than
// refused or failed.
func (t *Task) Misbehaved() bool {
	return t.Error != nil && t.Error.Kind != host.KindInvalidArgument && t.Error.Kind != host.KindFailed
}

// key says which input is the same as another version's.
type key struct {
	transform, stream, doc string
	nth                    int // of those that are alike
}

// replayer runs inputs on what a host serves.
type replayer struct {
	host   *host.Host
	codecs *codec.Set
	logs   *GuestLog
	round  int // of all so far: streams are others in each
}

// replay runs each input, in order, and tells what has changed since before. It begins
// every stream anew. Its error is ctx's.
func (r *replayer) replay(ctx context.Context, inputs []input, only string, before []Task) ([]Task, error) {
	tasks := make([]Task, len(inputs))
	calls := make([]*invoke.Task, len(inputs)) // nil of what is not run
	seen := make(map[key]int)
	for i := range inputs {
		in, t := &inputs[i], &tasks[i]
		t.Name, t.Transform = in.at(), in.transform
		if t.Transform == "" {
			t.Transform = only
		}
		t.key = key{transform: t.Transform, stream: in.stream, doc: compact(in.doc)}
		seen[t.key]++
		t.key.nth = seen[t.key]
		if t.Transform == "" {
			t.fail(errors.New("the plugin has several transforms: say which, with {\"transform\": …, \"input\": …}"))
			continue
		}
		call, err := r.decode(in, t.Transform)
		if err != nil {
			t.fail(err)
			continue
		}
		calls[i] = &call
	}
	if err := r.first(ctx, tasks, calls); err != nil {
		return nil, err
	}
	if err := r.time(ctx, tasks, calls); err != nil {
		return nil, err
	}
	for i := range tasks {
		t := &tasks[i]
		at := slices.IndexFunc(before, func(b Task) bool { return b.key == t.key })
		if at < 0 {
			t.Change = New
			continue
		}
		t.compare(&before[at])
	}
	return tasks, nil
}

func (r *replayer) decode(in *input, transform string) (invoke.Task, error) {
	t, err := invoke.Find(r.host, r.codecs, transform)
	if err != nil {
		return invoke.Task{}, err
	}
	task, err := t.Decode(in.doc, "")
	if in.stream != "" {
		task = task.InStream(in.stream)
	}
	return task, err
}

// first runs the tasks once, for what they give and burn.
func (r *replayer) first(ctx context.Context, tasks []Task, calls []*invoke.Task) error {
	r.round++
	client := r.client()
	for i, call := range calls {
		if call == nil {
			continue
		}
		t := &tasks[i]
		result := r.now(call).Submit(ctx, client).Result()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.Fuel = result.Fuel
		err := result.Err
		if err == nil {
			t.Output, err = call.Encode(result.Output)
		}
		if err != nil {
			t.fail(err)
		}
	}
	return nil
}

// time runs the tasks again. One that broke an instance did so once, which is enough.
func (r *replayer) time(ctx context.Context, tasks []Task, calls []*invoke.Task) error {
	r.logs.drop() // what they log, they have logged
	defer r.logs.release(false)
	client, took := r.client(), make([][]time.Duration, len(tasks))
	began := time.Now()
	for n := 0; n < rounds && time.Since(began) < roundTime; n++ {
		r.round++
		for i, call := range calls {
			if call == nil || tasks[i].Misbehaved() {
				continue
			}
			start := time.Now()
			_, _ = r.now(call).Run(ctx, client) // its outcome is known
			took[i] = append(took[i], time.Since(start))
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	for i, all := range took {
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		tasks[i].Nanoseconds, tasks[i].Runs = int64(all[len(all)/2]), len(all)
	}
	return nil
}

func (r *replayer) client() *host.Client { return r.host.Client("", host.PriorityNormal) }

// now is a task in this round: its stream has a key that no round had before.
func (r *replayer) now(t *invoke.Task) invoke.Task {
	if t.Stream() == "" {
		return *t
	}
	return t.InStream(fmt.Sprintf("dev %d %x", r.round, sha256.Sum256([]byte(t.Stream()))))
}

func (t *Task) fail(err error) {
	e := api.Of(t.Transform, err)
	t.Error = &e
}

// compare tells a task's outcome from that of the version before.
func (t *Task) compare(b *Task) {
	t.NanosecondsBefore, t.FuelBefore = b.Nanoseconds, b.Fuel
	t.Change = Same
	switch {
	case t.Error != nil && b.Error != nil:
		if told(t.Error) != told(b.Error) { // it may be of another version
			t.Change = Changed
			t.Difference = fmt.Sprintf("the error was %s, is %s", told(b.Error), told(t.Error))
		}
	case t.Error != nil:
		t.Change, t.Difference = Changed, fmt.Sprintf("was an output, is the error %s", told(t.Error))
	case b.Error != nil:
		t.Change, t.Difference = Changed, fmt.Sprintf("was the error %s, is an output", told(b.Error))
	default:
		t.Change, t.Difference = compareOutputs(b.Output, t.Output)
	}
}

func compareOutputs(before, now []byte) (change, difference string) {
	err := jsondiff.Diff(now, before)
	d := (*jsondiff.Difference)(nil)
	switch {
	case err == nil:
		return Same, ""
	case !errors.As(err, &d):
		return Changed, err.Error()
	case d.Lengths:
		return Changed, fmt.Sprintf("%s: had %s, has %s", d.Where(), jsondiff.Elements(d.Want), d.Got)
	case d.Instead != "":
		return Changed, fmt.Sprintf("%s: is gone, was %s; %s: is new, %s", d.Where(), d.Want, d.Instead, d.New)
	case d.Got == "":
		return Changed, fmt.Sprintf("%s: is gone, was %s", d.Where(), d.Want)
	case d.Want == "":
		return Changed, fmt.Sprintf("%s: is new, %s", d.Where(), d.Got)
	}
	return Changed, fmt.Sprintf("%s: was %s, is %s", d.Where(), d.Want, d.Got)
}

func told(e *api.Error) string { return fmt.Sprintf("%s: %s", e.Kind, e.Detail) }

func compact(doc []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, doc); err != nil {
		return string(doc)
	}
	return b.String()
}
