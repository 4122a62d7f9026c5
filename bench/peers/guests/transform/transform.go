// Package transform is what the guests of all peers compute, on the bytes that
// resonhost's own plugins take and give: the code of plugins/cascade and plugins/tick.
package transform

import (
	"errors"

	cascadetransform "github.com/resonhost/resonhost/plugins/cascade"
	ticktransform "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// Names of the functions that every guest has.
const (
	Noop    = "noop"
	Echo    = "echo"
	Cascade = "cascade"
	Tick    = "tick"
)

// Names are those of all functions.
var Names = [...]string{Noop, Echo, Cascade, Tick}

// Functions has the memory of one instance: like resonhost's plugins it uses its
// messages again. Its methods must not be called concurrently.
type Functions struct {
	state    cascade.State
	history  cascade.History
	result   cascade.Result
	nodes    tick.Nodes
	advanced tick.NodesResult
	output   []byte
}

// Run runs a function. The output is valid until the next call.
func (f *Functions) Run(name string, input []byte) ([]byte, error) {
	switch name {
	case Noop:
		return nil, nil
	case Echo:
		return input, nil
	case Cascade:
		return f.Cascade(input)
	case Tick:
		return f.Tick(input)
	}
	return nil, errors.New("no function " + name)
}

// Cascade analyses a state that has no history.
func (f *Functions) Cascade(input []byte) (output []byte, err error) {
	if err := f.state.UnmarshalBinary(input); err != nil {
		return nil, err
	}
	if err := f.state.Validate(); err != nil {
		return nil, err
	}
	f.history.Length, f.history.Patterns = 0, f.history.Patterns[:0]
	cascadetransform.Analyze(&f.state, &f.history, &f.result)
	f.output, err = f.result.AppendBinary(f.output[:0])
	return f.output, err
}

// Tick advances nodes.
func (f *Functions) Tick(input []byte) (output []byte, err error) {
	if err := f.nodes.UnmarshalBinary(input); err != nil {
		return nil, err
	}
	if err := f.nodes.Validate(); err != nil {
		return nil, err
	}
	ticktransform.AdvanceNodes(&f.nodes, &f.advanced)
	f.output, err = f.advanced.AppendBinary(f.output[:0])
	return f.output, err
}
