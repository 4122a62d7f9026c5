package host

import (
	"context"
	"errors"
	"sync"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
)

// maxBatch is how many tasks share a frame at most: enough that the crossing
// into the guest weighs nothing, few enough that a frame is soon done.
const maxBatch = 64

// Result is the outcome of one task.
type Result struct {
	// Output is the caller's; nil with an error.
	Output []byte
	// Fuel is how much fuel the task burnt, or its share if it had a crossing in
	// common with others; 0 where fuel is not counted, see [InterruptMetered].
	// The same plugin burns the same for the same input and state.
	Fuel uint64
	// Err is an [*Error], or nil.
	Err error
}

// RunBatch runs the inputs as independent tasks of one transform and returns
// their results, in order. It is faster than as many [Host.Run]: up to 64 tasks
// share a place in the queue. If the plugin's isolation is [IsolationFrame] or
// [IsolationShared], they share a crossing into the guest and a run timeout too,
// and may burn the fuel of all.
//
// A task that fails harms no other: if a shared crossing ends in a trap, a
// timeout or the like, its tasks are run again, each by itself.
func (h *Host) RunBatch(ctx context.Context, transform string, inputs [][]byte) []Result {
	return h.self.RunBatch(ctx, transform, inputs)
}

// RunBatch is [Host.RunBatch] for the client.
func (c *Client) RunBatch(ctx context.Context, transform string, inputs [][]byte) []Result {
	results := make([]Result, len(inputs))
	tr, fault := c.h.lookup(transform, len(inputs))
	if fault != nil {
		for i := range results {
			results[i].Err = fault
		}
		return results
	}
	// As many frames as there are workers can run at once; more goroutines
	// would only queue.
	frames := make(chan [2]int)
	var workers sync.WaitGroup
	for range min(tr.plugin.cfg.MaxInstances, (len(inputs)+maxBatch-1)/maxBatch) {
		workers.Go(func() {
			for f := range frames {
				c.runFrame(ctx, tr, inputs[f[0]:f[1]], results[f[0]:f[1]])
			}
		})
	}
	for from := 0; from < len(inputs); {
		to := frameEnd(inputs, from, tr)
		frames <- [2]int{from, to}
		from = to
	}
	close(frames)
	workers.Wait()
	return results
}

// frameEnd returns where the frame that begins at from ends.
func frameEnd(inputs [][]byte, from int, tr *transform) int {
	most, maxInput := maxBatch, tr.plugin.cfg.MaxInput
	if n := tr.fits.Load(); n > 0 {
		most = int(n)
	}
	size := 0
	for i := from; i < len(inputs) && i-from < most; i++ {
		// Each item counted as a frame of its own is a little too much.
		size += abi.InputSize([]abi.Item{{Payload: inputs[i]}})
		if size > maxInput && i > from {
			return i
		}
	}
	return min(from+most, len(inputs))
}

// runFrame runs the inputs of one frame.
func (c *Client) runFrame(ctx context.Context, tr *transform, inputs [][]byte, results []Result) {
	t, fault := c.queue(ctx, tr, nil)
	if fault == nil {
		fault = t.start(ctx)
	}
	if fault != nil {
		err := tr.count(fault, len(inputs))
		for i := range results {
			results[i].Err = err
		}
		return
	}
	defer t.end()
	items := make([]abi.Item, len(inputs))
	for i := range inputs {
		items[i].Payload = inputs[i]
	}
	got := make([]abi.Result, len(inputs))
	if tr.plugin.cfg.Isolation.shares() {
		fuel, fault := t.timed(ctx, items, got)
		if fault != nil && errors.Is(fault, module.ErrOutputSum) {
			tr.fits.Store(int64(len(inputs) / 2)) // for the frames to come
		}
		if fault == nil || len(inputs) == 1 || !fault.Kind.guests() || ctx.Err() != nil {
			for i := range results {
				results[i] = t.result(got[i], fuel/uint64(len(inputs)), fault)
			}
			return
		}
		c.h.retried.Add(1)
	}
	for i := range results {
		fuel, fault := t.timed(ctx, items[i:i+1], got[i:i+1])
		results[i] = t.result(got[i], fuel, fault)
	}
}
