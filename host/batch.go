package host

import (
	"context"
	"errors"
	"sync"

	"github.com/resonhost/resonhost/host/internal/sched"
)

func (c *submitter) runBatch(ctx context.Context, transform string, results []Result, inputs [][]byte) []Result {
	if cap(results) < len(inputs) {
		larger := make([]Result, len(inputs))
		copy(larger, results[:cap(results)])
		results = larger
	}
	results = results[:len(inputs)]
	tr, fault := c.r.lookup(transform, len(inputs))
	if fault != nil {
		for i := range results {
			results[i] = Result{Err: fault}
		}
		return results
	}
	b := batch{tr, inputs, results}
	most := tr.fits.Most()
	if at := min(tr.current().cfg.MaxInstances, (len(inputs)+most-1)/most); at > 1 {
		c.runFrames(ctx, b, at)
		return results
	}
	for in, out := b.nextFrame(); len(in) > 0; in, out = b.nextFrame() { // runFrames would allocate
		c.runFrame(ctx, tr, in, out)
	}
	return results
}

// batch is what is left of a batch.
type batch struct {
	tr      *transform
	inputs  [][]byte
	results []Result
}

// nextFrame takes the next frame, which is empty if none is left.
func (b *batch) nextFrame() (inputs [][]byte, results []Result) {
	n := frameLen(b.inputs, b.tr)
	inputs, results = b.inputs[:n], b.results[:n]
	b.inputs, b.results = b.inputs[n:], b.results[n:]
	return inputs, results
}

// frameLen returns how many of the inputs are in the next frame.
func frameLen(inputs [][]byte, tr *transform) int {
	most, size, limit := min(len(inputs), tr.fits.Most()), 0, tr.current().cfg.MaxInput
	for i := range most {
		if size += frameSize(inputs[i]); size > limit && i > 0 {
			return i
		}
	}
	return most
}

// runFrames runs so many frames of a batch at a time. More than there are workers would
// only queue.
func (c *submitter) runFrames(ctx context.Context, b batch, at int) {
	var mu sync.Mutex // guards b
	next := func() (inputs [][]byte, results []Result) {
		mu.Lock()
		defer mu.Unlock()
		return b.nextFrame()
	}
	run := func() {
		for in, out := next(); len(in) > 0; in, out = next() {
			c.runFrame(ctx, b.tr, in, out)
		}
	}
	var others sync.WaitGroup
	defer others.Wait() // also if the host panics: the memory is the caller's then
	for range at - 1 {
		others.Go(run)
	}
	run()
}

// runFrame runs the inputs of one frame.
func (c *submitter) runFrame(ctx context.Context, tr *transform, inputs [][]byte, results []Result) {
	f := pooled[frame](&c.r.frames)
	defer c.r.reuse(f)
	t := &f.task
	ctx, t.followed = c.follow(ctx, tr.name, len(inputs))
	followed := t.followed
	if followed != nil { // else there would be a closure for nothing
		defer func() { followed.endAll(results) }()
	}
	fault := t.queue(ctx, c, tr, nil, len(inputs))
	for fault != nil && errors.Is(fault, sched.ErrRetired) { // a swap came between, as in admit
		if tr, fault = c.r.lookup(tr.name, len(inputs)); fault != nil {
			break
		}
		fault = t.queue(ctx, c, tr, nil, len(inputs))
	}
	if fault == nil {
		fault, _ = t.start(ctx)
	}
	if fault != nil {
		err := error(fault)
		if tr != nil { // else lookup has counted it
			err = tr.count(fault, len(inputs))
		}
		letOthersRun(fault)
		for i := range results {
			results[i] = Result{Err: err}
		}
		return
	}
	defer t.end()
	for i := range inputs {
		j := f.job(ctx, args{input: inputs[i], dst: results[i].Output[:0]})
		if fault := t.check(ctx, inputs[i]); fault != nil {
			t.result(t.now(), nil, nil, 0, fault, &j.args, &j.result)
			continue
		}
		f.jobs = append(f.jobs, j)
	}
	if len(f.jobs) > 0 && !t.cross(f) {
		for _, j := range f.jobs {
			t.again(j)
		}
	}
	for i := range results {
		results[i] = f.own[i].result
	}
}
