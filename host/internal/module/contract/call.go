package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/resonhost/resonhost/abi"
)

// Call is a crossing into the guest. It is the instance's until that has run it, and can be used again.
type Call struct {
	// Transform is the index of what is to be run.
	Transform int
	Items     []abi.Item
	// Results, of the same length, take the outcome, copied out of the guest.
	Results []abi.Result
	// Behind is whether payloads go behind those that Results have.
	Behind bool
	// Stateless is whether nobody wants the states of Results, which are nil then.
	Stateless bool
	Limits

	answered int // bytes of outputs, by Answer
}

// Begin forgets what was answered before.
func (c *Call) Begin() { c.answered = 0 }

// Limits are those of one call, or none where they are zero.
type Limits struct {
	// Timeout is how long the guest may run, from Began on, which is now if zero.
	Timeout time.Duration
	Began   time.Time
	// Fuel is how much fuel it may burn, where guests are metered.
	Fuel uint64
	// Stop ends the call by its own end.
	Stop context.Context //nolint:containedctx // a second one beside the caller's
}

// Deadline is when the timeout is over; zero without one.
func (l *Limits) Deadline() time.Time {
	switch {
	case l.Timeout <= 0:
		return time.Time{}
	case l.Began.IsZero():
		return time.Now().Add(l.Timeout)
	}
	return l.Began.Add(l.Timeout)
}

// maxMessage is the longest message of a guest that is passed on, in bytes.
const maxMessage = 4 << 10

// Answer copies the outcome of an item out of the guest, into the call's results. A payload
// that is a message is cut to what is passed on.
func (c *Call) Answer(item int, got *abi.Result) {
	r := &c.Results[item]
	out := r.Payload
	*r = abi.Result{Status: got.Status}
	if got.Status != abi.StatusOK {
		msg := got.Payload[:min(len(got.Payload), maxMessage)]
		r.Payload = bytes.ToValidUTF8(msg, []byte("\uFFFD"))
		return
	}
	if !c.Behind || out == nil {
		out = []byte{} // an empty output is an output
	}
	out = append(out, got.Payload...)
	c.answered += len(got.Payload)
	r.Payload = out
	if !c.Stateless {
		// Never the memory of the state before, which others may still read.
		r.State = append([]byte(nil), got.State...)
	}
}

// FrameLimits are the largest frames, in bytes.
type FrameLimits struct{ MaxInput, MaxOutput int }

// ErrInputSize is wrapped by the error of items whose frame is too large, for
// which no guest is called.
var ErrInputSize = errors.New("input is too large")

// CheckInput returns an [ErrInputSize] if the frame of items would be too large.
func (l *FrameLimits) CheckInput(items []abi.Item) error {
	if size := abi.InputSize(items); size > l.MaxInput {
		return fmt.Errorf("%w: a frame of %d bytes, the limit is %d (MaxInput, --max-input)", ErrInputSize, size, l.MaxInput)
	}
	return nil
}

// ErrOutputSum is returned for items whose outputs are too large together. Each by
// itself may do.
var ErrOutputSum = errors.New("the outputs are too large together")

// CheckSum returns an [ErrOutputSum] if the outputs of the items that [Call.Answer] has answered are too
// large together, for kinds whose guests take one item at a time.
func (l *FrameLimits) CheckSum(c *Call) error {
	if len(c.Items) > 1 && c.answered > l.MaxOutput {
		return ErrOutputSum
	}
	return nil
}

// CheckOutput checks the size of what an export returned for so many items, in bytes. Its error
// is an [ErrOutputSum], or a [*Fault] of the task alone.
func (l *FrameLimits) CheckOutput(export string, size uint64, items int) error {
	if size > uint64(l.MaxOutput) {
		if items > 1 {
			return ErrOutputSum
		}
		f := Broken("%s returned a frame of %d bytes, the limit is %d (MaxOutput, --max-output)", export, size, l.MaxOutput)
		f.Task = true
		return f
	}
	return nil
}
