package host

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sched"
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
	most, maxInput := tr.fits.most(), tr.plugin.cfg.MaxInput
	size := 0
	for i := from; i < len(inputs) && i-from < most; i++ {
		size += frameSize(inputs[i])
		if size > maxInput && i > from {
			return i
		}
	}
	return min(from+most, len(inputs))
}

// frameFit is how many tasks of a transform share a frame at most, by whether their
// outputs fitted into one lately. The zero value is maxBatch.
type frameFit struct {
	less atomic.Int64 // than maxBatch, by so many
	full atomic.Int64 // frames that fitted since
}

// fitsToGrow is how many full frames have to fit before larger ones are tried: trying costs
// all their tasks a second run.
const fitsToGrow = 64

func (f *frameFit) most() int { return maxBatch - int(f.less.Load()) }

// failed takes note that the outputs of so many tasks did not fit.
func (f *frameFit) failed(tasks int) {
	f.less.Store(int64(maxBatch - max(tasks/2, 1)))
	f.full.Store(0)
}

// fitted takes note that those of so many did.
func (f *frameFit) fitted(tasks int) {
	most := f.most()
	if most == maxBatch || tasks < most || f.full.Add(1) < fitsToGrow {
		return
	}
	f.full.Store(0)
	f.less.Store(int64(maxBatch - min(most+max(most/8, 1), maxBatch)))
}

// job is what one task has to do, for whoever does it.
type job struct {
	task   task // whose ticket is its owner's affair
	ctx    context.Context
	args   args
	result Result
	ended  bool // it has a result
}

func (j *job) end(r Result) { j.result, j.ended = r, true }

// lead runs a task that has a slot, and tasks that wait behind it with it, if they may
// share a crossing. rest, if it is not nil, is to be called then: it goes on with the
// slot, and with nothing else that is the caller's, for tasks of others.
func (t *task) lead(ctx context.Context, a args) (r Result, rest func(*task)) {
	size := t.transform.window.now()
	if size > 1 && t.version.cfg.Isolation.shares() {
		if taken := t.gather(size-1, a.input); len(taken) > 0 {
			return t.leadFrame(ctx, a, taken)
		}
	}
	r = t.single(ctx, a)
	if size > 1 {
		if next, ok := t.ticket.Next(t.transform.window.target, nil); ok {
			return r, func(t *task) { t.carry(next, size-2) }
		}
	}
	return r, nil
}

// carry runs a job that was taken over, and as many more that are next in turn, one
// after the other, which spares the handing over of slots.
func (t *task) carry(next sched.Taken, more int) {
	for ok := true; ok; more-- {
		t.do(next)
		if more <= 0 {
			return
		}
		runtime.Gosched()
		next, ok = t.ticket.Next(t.transform.window.target, nil)
	}
}

// gather takes over jobs that share a crossing with input.
func (t *task) gather(most int, input []byte) (taken []sched.Taken) {
	fit := &t.transform.fits
	if fit.most() == 1 {
		fit.fitted(1)
	}
	most = min(most, fit.most()-1)
	size := frameSize(input)
	fits := func(next any) bool {
		size += frameSize(next.(*job).args.input)
		return size <= t.transform.plugin.cfg.MaxInput
	}
	for range most {
		next, ok := t.ticket.Next(t.transform.window.target, fits)
		if !ok {
			break
		}
		taken = append(taken, next)
	}
	return taken
}

// frameSize is a little more than what an input adds to a frame.
func frameSize(input []byte) int { return abi.InputSize([]abi.Item{{Payload: input}}) }

// leadFrame runs a task and jobs that it has taken over in one crossing. If that fails
// as a whole, the jobs are left for rest.
func (t *task) leadFrame(ctx context.Context, a args, taken []sched.Taken) (r Result, rest func(*task)) {
	jobs := make([]*job, 1, 1+len(taken))
	jobs[0] = &job{task: *t, ctx: ctx, args: a}
	left := taken[:0]
	for _, next := range taken {
		if j := next.Job.(*job); j.begin(next.Began) {
			jobs, left = append(jobs, j), append(left, next)
		} else {
			t.ticket.Done(next, 0)
		}
	}
	t.transform.meter.joined.Add(uint64(len(left)))
	defer t.finishAll(&left, time.Now())
	if t.cross(jobs) {
		return jobs[0].result, nil
	}
	t.again(jobs[0])
	again := left
	left = nil
	return jobs[0].result, func(t *task) {
		defer t.finishAll(&again, time.Now())
		for len(again) > 0 {
			began := time.Now()
			t.again(again[0].Job.(*job))
			t.finish(again[0], time.Since(began))
			again = again[1:]
		}
	}
}

// finishAll gives jobs that were taken over, of which all or none have ended, back to
// their owners. They have shared the time since began with the task.
func (t *task) finishAll(taken *[]sched.Taken, began time.Time) {
	took := time.Since(began) / time.Duration(1+len(*taken))
	for _, next := range *taken {
		t.finish(next, took)
	}
}

// do runs a job that was taken over, by itself.
func (t *task) do(next sched.Taken) {
	j := next.Job.(*job)
	j.task.looked = next.Began
	defer func() { t.finish(next, j.task.now().Sub(next.Began)) }()
	if !j.begin(next.Began) {
		return
	}
	t.transform.meter.joined.Add(1)
	j.task.instance, j.task.version, j.task.trial, j.task.canary = t.instance, t.version, t.trial, t.canary
	t.instance = nil // until it is known whether the job has left it
	defer func() {
		t.instance, t.version, t.trial, t.canary = j.task.instance, j.task.version, j.task.trial, j.task.canary
	}()
	j.end(j.task.single(j.ctx, j.args))
}

// finish gives a job that was taken over back to its owner.
func (t *task) finish(next sched.Taken, took time.Duration) {
	if j := next.Job.(*job); !j.ended {
		j.end(j.task.panicked())
	}
	t.ticket.Done(next, took)
}

// begin reports whether a job that was taken over is to be done now. If not, its caller
// has gone, and it has its result.
func (j *job) begin(now time.Time) bool {
	if j.ctx.Err() != nil {
		j.end(Result{Err: j.task.transform.count(j.task.transform.refusal(j.ctx, j.ctx.Err()), 1)})
		return false
	}
	j.task.transform.meter.wait.Observe(now.Sub(j.task.queued))
	return true
}

var errPanicked = errors.New("the host panicked")

// panicked is the outcome of a task whose worker has panicked, while that is passed on.
func (t *task) panicked() Result {
	return Result{Err: fail(KindHost, t.transform.name, errPanicked).of(t.transform.current())}
}

// runFrame runs the inputs of one frame.
func (c *Client) runFrame(ctx context.Context, tr *transform, inputs [][]byte, results []Result) {
	var t task
	fault := c.queue(ctx, &t, tr, nil, len(inputs))
	for fault != nil && errors.Is(fault, sched.ErrRetired) { // a swap came between, as in admit
		if tr, fault = c.h.lookup(tr.name, len(inputs)); fault != nil {
			break
		}
		fault = c.queue(ctx, &t, tr, nil, len(inputs))
	}
	if fault == nil {
		fault, _ = t.start(ctx)
	}
	if fault != nil && tr == nil { // which lookup has counted
		for i := range results {
			results[i].Err = fault
		}
		return
	}
	if fault != nil {
		err := tr.count(fault, len(inputs))
		for i := range results {
			results[i].Err = err
		}
		return
	}
	defer t.end()
	all := make([]job, len(inputs))
	jobs := make([]*job, len(inputs))
	for i := range all {
		all[i] = job{task: t, ctx: ctx, args: args{input: inputs[i]}}
		jobs[i] = &all[i]
	}
	if !t.cross(jobs) {
		for _, j := range jobs {
			t.again(j)
		}
	}
	for i := range all {
		results[i] = all[i].result
	}
}

// cross runs jobs on the task's instance in one crossing, and returns false if they may
// not share one or that has failed as a whole: then each is to be run [task.again].
func (t *task) cross(jobs []*job) bool {
	if !t.version.cfg.Isolation.shares() {
		return false
	}
	items := make([]abi.Item, len(jobs))
	got := make([]abi.Result, len(jobs))
	for i := range jobs {
		items[i].Payload, got[i].Payload = jobs[i].args.input, jobs[i].args.dst
	}
	ctx, stop := joint(jobs)
	fuel, fault := t.timed(ctx, items, got)
	ended := ctx.Err() != nil
	stop()
	if fault != nil && errors.Is(fault, module.ErrOutputSum) {
		t.transform.fits.failed(len(jobs))
	}
	if fault == nil {
		t.transform.fits.fitted(len(jobs))
	}
	again := fault != nil && (fault.Kind.guests() || ended || t.canary || errors.Is(fault, errReplaced))
	if !again || len(jobs) == 1 && !t.canary || jobs[0].ctx.Err() != nil && same(jobs) {
		t.settle(jobs, got, fuel, fault)
		return true
	}
	t.h.retried.Add(1)
	if t.canary {
		t.blamed, t.settled = t.trial, true
	}
	return false
}

// again runs a job by itself, whatever a frame that failed has left.
func (t *task) again(j *job) {
	got, fuel, fault := t.alone(j.ctx, j.args)
	j.task.version = t.version
	j.end(j.task.result(t.now(), got, fuel, fault, len(j.args.dst)))
}

// settle gives jobs their results of a crossing that they shared. What a canary has
// refused in there the version beside it does.
func (t *task) settle(jobs []*job, got []abi.Result, fuel uint64, fault *Error) {
	if canary := t.trial; t.canary && fault == nil {
		t.blamed = canary // for those that are run again
	}
	ran, now := t.version, t.now()
	for i, j := range jobs {
		if t.blamed != nil && got[i].Status != abi.StatusOK {
			t.giveBack()
			t.settled = true
			t.h.rerun.Add(1)
			t.again(j)
			now = t.now()
			continue
		}
		j.task.version = ran
		j.end(j.task.result(now, got[i], fuel/uint64(len(jobs)), fault, len(j.args.dst)))
	}
	t.blamed = nil
}

// same reports whether all jobs have one context.
func same(jobs []*job) bool {
	for _, j := range jobs[1:] {
		if j.ctx != jobs[0].ctx {
			return false
		}
	}
	return true
}

// jointPatience is how long a crossing that tasks share goes on once the caller of one has
// gone. It is many times what one takes, so that it is interrupted, and all done again, only
// if it hangs, and perhaps in the task of that caller.
const jointPatience = 10 * time.Millisecond

// joint returns a context that is done when the contexts of all jobs are, or one has been
// for jointPatience. The caller calls stop.
func joint(jobs []*job) (ctx context.Context, stop func()) {
	if same(jobs) {
		return jobs[0].ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	var (
		mu    sync.Mutex // guards the rest
		left  = len(jobs)
		alarm *time.Timer
	)
	gone := func(cause error) {
		mu.Lock()
		defer mu.Unlock()
		switch left--; {
		case left == 0:
			cancel(cause)
		case alarm == nil && ctx.Err() == nil:
			alarm = time.AfterFunc(jointPatience, func() { cancel(cause) })
		}
	}
	stops := make([]func() bool, 0, len(jobs))
	for _, j := range jobs {
		ended := j.ctx // the job may be another's by the time that this is told
		stops = append(stops, context.AfterFunc(ended, func() { gone(context.Cause(ended)) }))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		mu.Lock()
		defer mu.Unlock()
		cancel(nil)
		if alarm != nil {
			alarm.Stop()
		}
	}
}
