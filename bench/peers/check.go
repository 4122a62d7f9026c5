package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
	"github.com/resonhost/resonhost/resonance/cascade"
)

// Tolerances of numbers, those of testdata/vectors: relative, and absolute near zero.
const (
	relative = 1e-9
	absolute = 1e-12
)

// expected are the results that all contenders must have.
type expected struct {
	states  []cascade.State
	results []any // as JSON decodes
	ticked  *nodesResult
	// recorded is how many of the results were recorded, not computed natively.
	recorded int
}

// expect reads the recorded vectors that have no stream, of those not
// recorded whole every stride-th, and
// computes natively what was not recorded whole, and summaries.
func expect(in *inputs, vectors string, stride int) (*expected, error) {
	b, err := os.ReadFile(filepath.Join(vectors, "cascade.ndjson"))
	if err != nil {
		return nil, err
	}
	e := &expected{}
	var native transform.Functions
	i := 0
	for line := range bytes.Lines(b) {
		var v struct {
			Stream    *string       `json:"stream"`
			State     cascade.State `json:"state"`
			Timestamp int64         `json:"timestamp"`
			Expect    any           `json:"expect"`
			Full      bool          `json:"full"`
		}
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("cascade.ndjson: %w", err)
		}
		if v.Stream != nil {
			continue
		}
		if i++; !v.Full && i%stride != 0 {
			continue
		}
		v.State.Timestamp, v.State.Detail = v.Timestamp, cascade.DetailFull
		if v.Full {
			e.add(v.State, v.Expect)
			e.recorded++
			v.State.Detail = cascade.DetailSummary
		}
		computed, err := analysed(&native, v.State)
		if err != nil {
			return nil, err
		}
		e.add(v.State, computed)
	}
	t, err := in.task(ticks)
	if err != nil {
		return nil, err
	}
	out, err := native.Tick(t.input)
	if err != nil {
		return nil, err
	}
	e.ticked, err = readNodes(out)
	return e, err
}

func (e *expected) add(s cascade.State, result any) {
	e.states, e.results = append(e.states, s), append(e.results, result)
}

func analysed(native *transform.Functions, s cascade.State) (any, error) {
	input, err := s.AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	out, err := native.Cascade(input)
	if err != nil {
		return nil, err
	}
	var r cascade.Result
	if err := r.UnmarshalBinary(out); err != nil {
		return nil, err
	}
	doc, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var v any
	err = json.Unmarshal(doc, &v)
	return v, err
}

// check compares all results of a contender's mode.
func (e *expected) check(p *process, mode string) error {
	a, err := p.ask(&request{Op: opCheck, Mode: mode, States: e.states})
	if err != nil {
		return err
	}
	if len(a.Results) != len(e.results) {
		return fmt.Errorf("%s: %d results of %d states", p.kind, len(a.Results), len(e.results))
	}
	for i := range e.results {
		if err := compare("", a.Results[i], e.results[i]); err != nil {
			return fmt.Errorf("%s, %s: cascade of %+v: %w", p.kind, mode, e.states[i], err)
		}
	}
	if mode == modeLines {
		return nil
	}
	if a, err = p.ask(&request{Op: opCheck, Mode: mode, Ticks: true}); err != nil {
		return err
	}
	if err := e.ticked.compare(a.Nodes); err != nil {
		return fmt.Errorf("%s, %s: tick: %w", p.kind, mode, err)
	}
	for _, size := range [...]string{echo1k, echo64k, echo1m} {
		if _, err := p.ask(&request{Op: opCheck, Mode: mode, Echo: size}); err != nil {
			return err
		}
	}
	return nil
}

func (n *nodesResult) compare(got *nodesResult) error {
	switch {
	case got == nil:
		return fmt.Errorf("no result")
	case !slices.EqualFunc(got.Strength, n.Strength, near):
		return fmt.Errorf("other strengths")
	case !slices.EqualFunc(got.Pattern, n.Pattern, near):
		return fmt.Errorf("patterns are %v, want %v", got.Pattern, n.Pattern)
	case !slices.Equal(got.Progress, n.Progress):
		return fmt.Errorf("progress of %v, want %v", got.Progress, n.Progress)
	}
	return nil
}

// near is false of NaN.
func near(got, want float64) bool {
	return math.Abs(got-want) <= max(absolute, relative*math.Abs(want))
}

// compare says where a decoded JSON value differs from the wanted one first.
func compare(path string, got, want any) error {
	switch want := want.(type) {
	case map[string]any:
		members, ok := got.(map[string]any)
		if !ok || len(members) != len(want) {
			return fmt.Errorf("%s is %v, want %d members", path, got, len(want))
		}
		for name, v := range want {
			if err := compare(path+"."+name, members[name], v); err != nil {
				return err
			}
		}
	case []any:
		entries, ok := got.([]any)
		if !ok || len(entries) != len(want) {
			return fmt.Errorf("%s is %v, want %d entries", path, got, len(want))
		}
		for i := range want {
			if err := compare(fmt.Sprintf("%s[%d]", path, i), entries[i], want[i]); err != nil {
				return err
			}
		}
	case float64:
		if v, ok := got.(float64); !ok || !near(v, want) {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
	default:
		if got != want {
			return fmt.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	return nil
}
