package module

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/resonhost/resonhost/abi"
)

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

func (l *FrameLimits) checkOutput(n uint32, items int) error {
	if uint64(n) > uint64(l.MaxOutput) {
		if items > 1 {
			return ErrOutputSum
		}
		f := abiFault("%s returned a frame of %d bytes, the limit is %d (MaxOutput, --max-output)", abi.ExportRun, n, l.MaxOutput)
		f.Task = true
		return f
	}
	return nil
}

// maxMessage is the longest message of a guest that is passed on, in bytes.
const maxMessage = 4 << 10

// ReadResults checks an output frame and copies it into a call's results, as that says. A
// state of more than maxState bytes is a fault, as is any number of results but that
// wanted. Its errors are [*Fault]s or [ErrOutputSum], after which results have no meaning.
func (l *FrameLimits) ReadResults(frame []byte, maxState int, c *Call) error {
	results := c.Results
	if err := l.checkOutput(uint32(min(uint64(len(frame)), math.MaxUint32)), len(results)); err != nil {
		return err
	}
	r, err := abi.ReadOutput(frame)
	if err != nil {
		return abiFault("%s: %v", abi.ExportRun, err)
	}
	if r.Len() != len(results) {
		return abiFault("%s returned %d results for %d items", abi.ExportRun, r.Len(), len(results))
	}
	for i := range results {
		got, err := r.Next()
		if err != nil {
			return abiFault("%s: %v", abi.ExportRun, err)
		}
		if len(got.State) > maxState {
			return abiFault("%s: item %d has a state of %d bytes, the manifest states %d", abi.ExportRun, i, len(got.State), maxState)
		}
		out := results[i].Payload
		results[i] = abi.Result{Status: got.Status}
		if got.Status != abi.StatusOK {
			msg := got.Payload[:min(len(got.Payload), maxMessage)]
			results[i].Payload = bytes.ToValidUTF8(msg, []byte("\uFFFD"))
			continue
		}
		if !c.Behind || out == nil {
			out = []byte{} // an empty output is an output
		}
		out = append(out, got.Payload...)
		results[i].Payload = out
		if !c.Stateless {
			// Never the memory of the state before, which others may still read.
			results[i].State = append([]byte(nil), got.State...)
		}
	}
	return nil
}
