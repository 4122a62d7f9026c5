package host

import (
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/schema"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// spec is a transform as one version has it.
type spec struct {
	manifest.Transform

	index   int
	timeout time.Duration
	// timeoutBy is what has set the timeout, in words.
	timeoutBy string
	schemas   schemas
}

// takes reports whether the transform can have the state of a stream; any has none.
func (s *spec) takes(e *stream.Entry[sched.Serial]) bool {
	return len(e.State()) == 0 || len(e.State()) <= s.StateBytes && s.Reads(e.Format())
}

// stateOf returns the state of a stream that the transform begins with: none, if it cannot have it.
func (s *spec) stateOf(e *stream.Entry[sched.Serial]) []byte {
	if s.takes(e) {
		return e.State()
	}
	return nil
}

// ofPayload returns the schema of inputs that are JSON themselves; nil if they are not.
func (s *spec) ofPayload() *schema.Schema {
	if !manifest.IsJSON(s.Input) {
		return nil
	}
	return s.schemas.input
}
