package host

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/framefit"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sched"
)

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
// timeout or the like, its tasks are run again, each by itself, unless ctx is done.
func (h *Host) RunBatch(ctx context.Context, transform string, inputs [][]byte) []Result {
	return h.self.RunBatch(ctx, transform, inputs)
}

// RunBatch is [Host.RunBatch] for the client.
func (c *Client) RunBatch(ctx context.Context, transform string, inputs [][]byte) []Result {
	return c.RunBatchInto(ctx, transform, make([]Result, len(inputs)), inputs)
}

// RunBatchInto is [Client.RunBatch], but uses memory again: that of results up to its
// capacity, for as many results as there are inputs, and of each Output in there, also up
// to its capacity. A caller who gives the results of one batch to the next has no garbage.
// The Outputs must overlap neither one another nor the inputs, and nobody else may use any
// of them until it returns. The Output of a task that fails is nil, its memory let go.
func (c *Client) RunBatchInto(ctx context.Context, transform string, results []Result, inputs [][]byte) []Result {
	if cap(results) < len(inputs) {
		larger := make([]Result, len(inputs))
		copy(larger, results[:cap(results)])
		results = larger
	}
	results = results[:len(inputs)]
	tr, fault := c.h.lookup(transform, len(inputs))
	if fault != nil {
		for i := range results {
			results[i] = Result{Err: fault}
		}
		return results
	}
	b := batch{tr, inputs, results}
	most := tr.fits.Most()
	if at := min(tr.plugin.cfg.MaxInstances, (len(inputs)+most-1)/most); at > 1 {
		c.runFrames(ctx, b, at)
		return results
	}
	for in, out := b.next(); len(in) > 0; in, out = b.next() { // runFrames would allocate
		c.runFrame(ctx, tr, in, out)
	}
	return results
}

// runFrames runs so many frames of a batch at a time. More than there are workers would
// only queue.
func (c *Client) runFrames(ctx context.Context, b batch, at int) {
	var mu sync.Mutex // guards b
	next := func() (inputs [][]byte, results []Result) {
		mu.Lock()
		defer mu.Unlock()
		return b.next()
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

// batch is what is left of a batch.
type batch struct {
	tr      *transform
	inputs  [][]byte
	results []Result
}

// next takes the next frame, which is empty if none is left.
func (b *batch) next() (inputs [][]byte, results []Result) {
	n := frameLen(b.inputs, b.tr)
	inputs, results = b.inputs[:n], b.results[:n]
	b.inputs, b.results = b.inputs[n:], b.results[n:]
	return inputs, results
}

// frameLen returns how many of the inputs are in the next frame.
func frameLen(inputs [][]byte, tr *transform) int {
	most, size := min(len(inputs), tr.fits.Most()), 0
	for i := range most {
		if size += frameSize(inputs[i]); size > tr.plugin.cfg.MaxInput && i > 0 {
			return i
		}
	}
	return most
}

// job is what one task has to do, for whoever does it.
type job struct {
	task   *task // whose ticket is its owner's affair
	ctx    context.Context
	args   args
	result Result
	ended  bool // it has a result
}

func (j *job) end(r Result) { j.result, j.ended = r, true }

// offered is a job of a task that waits: of Submit's, or a copy of Run's, which thus can
// be on its caller's stack. They are used again.
type offered struct {
	job

	of task
}

// frame is what tasks that share a crossing cross with. Frames are used again.
type frame struct {
	task task // of those jobs that are its own
	own  [framefit.Max]job

	jobs    []*job
	items   [framefit.Max]abi.Item
	results [framefit.Max]abi.Result
}

// add adds a job of the frame's own task.
func (f *frame) add(ctx context.Context, a args) {
	j := &f.own[len(f.jobs)]
	*j = job{task: &f.task, ctx: ctx, args: a}
	f.jobs = append(f.jobs, j)
}

func (h *Host) frame() *frame { return h.frames.Get().(*frame) }

// reuse gives up a frame, which keeps nothing that is anybody's then.
func (h *Host) reuse(f *frame) {
	n := len(f.jobs)
	f.task = task{}
	clear(f.own[:n])
	clear(f.items[:n])
	clear(f.results[:n])
	clear(f.jobs)
	f.jobs = f.jobs[:0]
	h.frames.Put(f)
}

// lead runs a task that has a slot, and tasks that wait behind it with it, if they may
// share a crossing. rest, if it is not nil, is to be called then: it goes on with the
// slot, and with nothing else that is the caller's, for tasks of others: those that have
// shared a crossing in vain, and, if row is set, those that are next in turn.
func (t *task) lead(ctx context.Context, a args, row bool) (r Result, rest func(*task)) {
	size := t.transform.row.Size()
	if size > 1 && t.version.cfg.Isolation.shares() {
		if taken := t.gather(size-1, a.input); len(taken) > 0 {
			return t.leadFrame(ctx, a, taken)
		}
	}
	r = t.single(ctx, a)
	if size > 1 && row {
		if next, ok := t.ticket.Next(t.transform.row.Target, nil); ok {
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
		next, ok = t.ticket.Next(t.transform.row.Target, nil)
	}
}

// gather takes over jobs that share a crossing with input.
func (t *task) gather(most int, input []byte) (taken []sched.Taken) {
	fit := &t.transform.fits
	if fit.Most() == 1 {
		fit.Fitted(1)
	}
	most = min(most, fit.Most()-1)
	size := frameSize(input)
	fits := func(next any) bool {
		size += frameSize(next.(*job).args.input)
		return size <= t.transform.plugin.cfg.MaxInput
	}
	for range most {
		next, ok := t.ticket.Next(t.transform.row.Target, fits)
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
	f := t.h.frame()
	f.task = *t
	f.add(ctx, a)
	left := taken[:0]
	for _, next := range taken {
		if j := next.Job.(*job); j.begin(next.Began) {
			f.jobs, left = append(f.jobs, j), append(left, next)
		} else {
			t.ticket.Done(next, 0)
		}
	}
	t.transform.meter.joined.Add(uint64(len(left)))
	defer t.finishAll(&left, time.Now())
	var again []sched.Taken
	if !t.cross(f) {
		t.again(f.jobs[0])
		left, again = nil, left
	}
	r = f.jobs[0].result
	t.h.reuse(f)
	if len(again) == 0 {
		return r, nil
	}
	return r, func(t *task) {
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
	f := c.h.frame()
	defer c.h.reuse(f)
	t := &f.task
	fault := c.queue(ctx, t, tr, nil, len(inputs))
	for fault != nil && errors.Is(fault, sched.ErrRetired) { // a swap came between, as in admit
		if tr, fault = c.h.lookup(tr.name, len(inputs)); fault != nil {
			break
		}
		fault = c.queue(ctx, t, tr, nil, len(inputs))
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
		f.add(ctx, args{input: inputs[i], dst: results[i].Output[:0]})
	}
	if !t.cross(f) {
		for _, j := range f.jobs {
			t.again(j)
		}
	}
	for i, j := range f.jobs {
		results[i] = j.result
	}
}

// cross runs a frame's jobs on the task's instance in one crossing, and returns false if
// they may not share one or that has failed as a whole: then each is to be run [task.again].
func (t *task) cross(f *frame) bool {
	if !t.version.cfg.Isolation.shares() {
		return false
	}
	jobs, items, got := f.jobs, f.items[:len(f.jobs)], f.results[:len(f.jobs)]
	for i, j := range jobs {
		items[i].Payload, got[i].Payload = j.args.input, j.args.dst
	}
	ctx, stop := joint(jobs)
	fuel, fault := t.timed(ctx, items, got)
	ended := ctx.Err() != nil
	stop()
	if fault != nil && errors.Is(fault, module.ErrOutputSum) {
		t.transform.fits.Failed(len(jobs))
	}
	if fault == nil {
		t.transform.fits.Fitted(len(jobs))
	}
	again := fault != nil && (fault.Kind.guests() || ended || t.canary || errors.Is(fault, errReplaced))
	gone := jobs[0].ctx.Err() != nil && same(jobs)
	if gone && fault != nil && fault.Kind.guests() && len(jobs) > 1 {
		// Whose it is would take another run, which nobody waits for.
		fault = t.failure(jobs[0].ctx, jobs[0].ctx.Err())
	}
	if !again || len(jobs) == 1 && !t.canary || gone {
		t.settle(jobs, got, fuel, fault)
		return true
	}
	t.h.retried.Add(1)
	if t.canary {
		t.settled = true
		if !noRoom(fault) {
			t.blamed = t.trial
		}
	}
	return false
}

// again runs a job by itself, whatever a frame that failed has left.
func (t *task) again(j *job) {
	got, fuel, fault := t.alone(j.ctx, j.args)
	j.end(j.task.result(t.now(), t.version, got, fuel, fault, j.args))
}

// settle gives jobs their results of a crossing that they shared. What a canary has
// refused in there the version beside it does.
func (t *task) settle(jobs []*job, got []abi.Result, fuel uint64, fault *Error) {
	if canary := t.trial; t.canary && fault == nil {
		t.blamed = canary // for those that are run again
	}
	now, share := t.now(), fuel/uint64(len(jobs))
	served := tally{meter: &t.transform.meter}
	for i, j := range jobs {
		if t.blamed != nil && got[i].Status != abi.StatusOK {
			t.giveBack()
			t.settled = true
			t.h.rerun.Add(1)
			t.again(j)
			now = t.now()
			continue
		}
		j.end(j.task.outcome(t.version, &got[i], share, fault, j.args))
		served.add(now.Sub(j.task.queued), j.result.Err == nil)
	}
	served.count()
	t.blamed = nil
}

// tally is what is to be counted of jobs: those in a row that took as long at once.
type tally struct {
	meter    *meter
	latency  time.Duration
	jobs, ok int
}

func (y *tally) add(latency time.Duration, ok bool) {
	if latency != y.latency && y.jobs > 0 {
		y.count()
	}
	y.latency = latency
	y.jobs++
	if ok {
		y.ok++
	}
}

func (y *tally) count() {
	y.meter.latency.ObserveN(y.latency, y.jobs)
	y.meter.ok.Add(uint64(y.ok))
	y.jobs, y.ok = 0, 0
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
	return apart(jobs)
}

// apart is joint of jobs with contexts of their own.
func apart(jobs []*job) (ctx context.Context, stop func()) {
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
