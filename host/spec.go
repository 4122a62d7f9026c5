package host

import (
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// spec is a transform as one version has it.
type spec struct {
	manifest.Transform

	index   int
	timeout time.Duration
	schemas schemas
}

// takes reports whether the transform can have the state of a stream; any has none.
func (s *spec) takes(e *stream.Entry[sched.Serial]) bool {
	return len(e.State) == 0 || len(e.State) <= s.StateBytes && s.Reads(e.Format)
}

// describe describes the transform of a version.
func (s *spec) describe(v *version) Transform {
	return Transform{
		Name: s.Name, Input: s.Input, Output: s.Output, StateBytes: s.StateBytes, Timeout: s.timeout,
		Plugin: v.manifest.Name, Version: v.manifest.Version, Hash: v.hash,
		InputSchema: s.InputSchema, OutputSchema: s.OutputSchema, input: s.schemas.input, output: s.schemas.output,
	}
}

// stateOf returns the state of a stream that the transform begins with: none, if it cannot have it.
func (s *spec) stateOf(e *stream.Entry[sched.Serial]) []byte {
	if s.takes(e) {
		return e.State
	}
	return nil
}
