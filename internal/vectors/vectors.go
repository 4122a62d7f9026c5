// Package vectors checks an implementation of the built-in transforms against
// the recorded inputs and outputs of testdata/vectors. One suite serves every
// path: native code, guests, the built command.
package vectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/resonhost/resonhost/internal/checkout"
)

// Tolerances of numbers: relative, and absolute near zero.
const (
	relative = 1e-9
	absolute = 1e-12
)

// A Caller runs one task, JSON in and JSON out as the command's lines are. stream
// is "" without one.
type Caller func(transform, stream string, input []byte) ([]byte, error)

// Task is one recorded call.
type Task struct {
	// Name says which line of which file it is, for messages.
	Name      string
	Transform string
	// Stream is "" without one.
	Stream string
	Input  []byte
	// Continue, if set, makes the input of the output before.
	Continue func(previous []byte) ([]byte, error)
	// Compare says how an output differs from the recorded one.
	Compare func(output []byte) error
}

// Check runs every recorded call, in order, and reports what differs.
func Check(t *testing.T, call Caller) {
	t.Helper()
	for _, transform := range []string{"cascade", "tick.node", "tick.network", "tick.connection"} {
		t.Run(transform, func(t *testing.T) {
			var out []byte
			for _, task := range Tasks(t, transform) {
				input, err := task.Input, error(nil)
				if task.Continue != nil {
					input, err = task.Continue(out)
				}
				if err == nil {
					out, err = call(task.Transform, task.Stream, input)
				}
				if err == nil {
					err = task.Compare(out)
				}
				if err != nil {
					t.Errorf("%s: %v", task.Name, err)
				}
			}
		})
	}
}

// Tasks returns the recorded calls of a transform. It fails the test if they are
// not all there.
func Tasks(tb testing.TB, transform string) []Task {
	tb.Helper()
	var tasks []Task
	var file string
	var want int
	switch transform {
	case "cascade":
		file, want = "cascade.ndjson", 433
		tasks = cascadeTasks(tb, lines(tb, file))
	case "tick.node":
		file, want = "tick-node.ndjson", 3600
		tasks = nodeTasks(tb, lines(tb, file))
	case "tick.network":
		file, want = "tick-network.ndjson", 200
		tasks = networkTasks(tb, lines(tb, file))
	case "tick.connection":
		file, want = "tick-connection.ndjson", 60
		tasks = connectionTasks(tb, lines(tb, file))
	}
	if len(tasks) != want {
		tb.Fatalf("%s: %d recorded calls, want %d", file, len(tasks), want)
	}
	return tasks
}

func lines(tb testing.TB, file string) [][]byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(checkout.Root(), "testdata/vectors", file))
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}

func decode[T any](tb testing.TB, b []byte) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

type object = map[string]any

func cascadeTasks(tb testing.TB, recorded [][]byte) (tasks []Task) {
	calls := make(map[string]int)
	for _, line := range recorded {
		v := decode[struct {
			ID        string
			Stream    *string
			Seq       int
			State     object
			Timestamp int64
			Expect    object
			Full      bool
		}](tb, line)
		input := v.State
		input["timestamp"] = v.Timestamp
		task := Task{Name: v.ID, Transform: "cascade"}
		if v.Stream != nil {
			task.Stream = *v.Stream
			if v.Seq != calls[task.Stream] {
				tb.Fatalf("%s: call %d of stream %s follows call %d", v.ID, v.Seq, task.Stream, calls[task.Stream]-1)
			}
			calls[task.Stream]++
			input["stream"] = *v.Stream
		}
		task.Input = encode(tb, input)
		task.Compare = func(output []byte) error {
			var got object
			err := json.Unmarshal(output, &got)
			if err != nil {
				return fmt.Errorf("output is no JSON: %w", err)
			}
			if !v.Full {
				if got["timestamp"] != float64(v.Timestamp) {
					return fmt.Errorf("timestamp %v, want %v", got["timestamp"], v.Timestamp)
				}
				if got, err = reduce(got); err != nil {
					return err
				}
			}
			return compare("", got, v.Expect)
		}
		tasks = append(tasks, task)
	}
	return tasks
}

// reduce brings a whole result into the form of those that were recorded without
// the detail of each octave.
func reduce(full object) (object, error) {
	octaves, ok := full["octaveAnalysis"].([]any)
	if !ok || len(octaves) != 8 {
		return nil, fmt.Errorf("octaveAnalysis is %v, want 8 octaves", full["octaveAnalysis"])
	}
	var resonance, alignment []any
	for k, v := range octaves {
		o, ok := v.(object)
		if !ok {
			return nil, fmt.Errorf("octave %d is %v", k, v)
		}
		resonance, alignment = append(resonance, o["resonance"]), append(alignment, o["goldenRatioAlignment"])
	}
	delete(full, "octaveAnalysis")
	delete(full, "timestamp")
	full["octaveResonance"], full["goldenRatioAlignment"] = resonance, alignment
	full["frequencies"] = octaves[0].(object)["frequencies"]
	return full, nil
}

func nodeTasks(tb testing.TB, recorded [][]byte) (tasks []Task) {
	type state struct {
		Strength float64            `json:"resonance_strength"`
		Patterns map[string]float64 `json:"patterns"`
		Progress bool               `json:"progress"`
	}
	for _, line := range recorded {
		v := decode[struct {
			ID        string
			Frequency float64
			Patterns  []string
			Steps     []struct {
				NowMS         float64 `json:"now_ms"`
				State         string
				Before, After state
			}
		}](tb, line)
		for i, step := range v.Steps {
			node := func(strength float64) object {
				return object{
					"id": v.ID, "frequency": v.Frequency, "resonance_strength": strength,
					"state": step.State, "harmonic_patterns": v.Patterns,
				}
			}
			progress := []string{}
			if step.After.Progress {
				progress = append(progress, v.ID)
			}
			want := encode(tb, object{
				"nodes": []object{node(step.After.Strength)}, "patterns": step.After.Patterns, "progress": progress,
			})
			tasks = append(tasks, Task{
				Name:      fmt.Sprintf("%s step %d", v.ID, i),
				Transform: "tick.node",
				Input: encode(tb, object{
					"now_ms": step.NowMS, "nodes": []object{node(step.Before.Strength)}, "patterns": step.Before.Patterns,
				}),
				Compare: func(output []byte) error { return compareJSON(output, want) },
			})
		}
	}
	return tasks
}

// networkTasks are one step each, from the state that the step before left: the
// recording has every step's time, and the state after some.
func networkTasks(tb testing.TB, recorded [][]byte) (tasks []Task) {
	type line struct {
		NowMS float64 `json:"now_ms"`
		After object  `json:"after"`
	}
	initial := encode(tb, object{"network": decode[line](tb, recorded[0]).After})
	for i, l := range recorded[1:] {
		v := decode[line](tb, l)
		task := Task{Name: fmt.Sprintf("step %d", i), Transform: "tick.network"}
		task.Continue = func(previous []byte) ([]byte, error) {
			if i == 0 {
				previous = initial
			}
			var input struct {
				NowMS   float64 `json:"now_ms"`
				Network object  `json:"network"`
			}
			if err := json.Unmarshal(previous, &input); err != nil {
				return nil, err
			}
			input.NowMS = v.NowMS
			pause(input.Network, v.After)
			return json.Marshal(input)
		}
		task.Compare = func(output []byte) error {
			if v.After == nil {
				return nil
			}
			return compareJSON(output, encode(tb, object{"network": v.After}))
		}
		tasks = append(tasks, task)
	}
	return tasks
}

// pause stops the fields and patterns that after shows as paused: they were
// paused just before the step.
func pause(network, after object) {
	for _, group := range []string{"fields", "patterns"} {
		recorded, _ := after[group].(object)
		for name, v := range recorded {
			if v.(object)["state"] == "paused" {
				network[group].(object)[name].(object)["state"] = "paused"
			}
		}
	}
}

func connectionTasks(tb testing.TB, recorded [][]byte) (tasks []Task) {
	type end struct {
		Frequency float64 `json:"frequency"`
		Strength  float64 `json:"strength"`
		Position  object  `json:"position"`
	}
	for i, line := range recorded {
		v := decode[struct {
			A, B     end
			Strength float64 `json:"resonance_strength"`
			Quality  float64 `json:"connection_quality"`
		}](tb, line)
		side := func(e end) object {
			return object{"frequency": e.Frequency, "resonance_strength": e.Strength, "position": e.Position}
		}
		want := encode(tb, object{"resonance_strength": v.Strength, "connection_quality": v.Quality})
		tasks = append(tasks, Task{
			Name:      fmt.Sprintf("connection %d", i),
			Transform: "tick.connection",
			Input:     encode(tb, object{"a": side(v.A), "b": side(v.B)}),
			Compare:   func(output []byte) error { return compareJSON(output, want) },
		})
	}
	return tasks
}

func compareJSON(output, want []byte) error {
	var got, expect any
	if err := json.Unmarshal(output, &got); err != nil {
		return fmt.Errorf("output is no JSON: %w", err)
	}
	if err := json.Unmarshal(want, &expect); err != nil {
		return err
	}
	return compare("", got, expect)
}

// compare says where got differs from want first.
func compare(path string, got, want any) error {
	switch want := want.(type) {
	case object:
		members, ok := got.(object)
		if !ok {
			return fmt.Errorf("%s is %v, want an object", path, got)
		}
		names := make([]string, 0, len(want))
		for name := range want {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if _, ok := members[name]; !ok {
				return fmt.Errorf("%s.%s is missing", path, name)
			}
			if err := compare(path+"."+name, members[name], want[name]); err != nil {
				return err
			}
		}
		for name := range members {
			if _, ok := want[name]; !ok {
				return fmt.Errorf("%s.%s is there, which was not recorded", path, name)
			}
		}
	case []any:
		entries, ok := got.([]any)
		if !ok {
			return fmt.Errorf("%s is %v, want a list", path, got)
		}
		if len(entries) != len(want) {
			return fmt.Errorf("%s has %d entries, want %d", path, len(entries), len(want))
		}
		for i := range want {
			if err := compare(fmt.Sprintf("%s[%d]", path, i), entries[i], want[i]); err != nil {
				return err
			}
		}
	case float64:
		// NaN is not near anything
		if v, ok := got.(float64); !ok || !(math.Abs(v-want) <= max(absolute, relative*math.Abs(want))) {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
	default:
		if got != want {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	return nil
}
