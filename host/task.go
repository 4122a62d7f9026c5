package host

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/breaker"
	"github.com/resonhost/resonhost/host/internal/form"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// MaxStreamKey is the longest key of a stream, in bytes.
const MaxStreamKey = 256

// Run runs one task and returns its output, which is the caller's. It waits for
// a worker as Config says, and returns when the task has ended, also when ctx
// ends first: an interrupted guest is gone before Run returns. Errors are
// [*Error]s.
func (h *Host) Run(ctx context.Context, transform string, input []byte) ([]byte, error) {
	return h.self.Run(ctx, transform, input)
}

func (c *Client) run(ctx context.Context, name, key string, keyed bool, a args) ([]byte, error) {
	var t task
	if err := c.admit(ctx, &t, name, key, keyed); err != nil {
		letOthersRun(err)
		return nil, err
	}
	var mine *offered
	switch {
	case t.ticket.Held():
	case t.transform.current().cfg.Isolation.shares():
		mine = t.offer(ctx, a)
	default:
		t.waited = false // its caller does it, and no other
	}
	r := t.run(ctx, a, mine)
	return r.Output, r.Err
}

// letOthersRun is what a caller does who waits for tasks, and whom a full queue refused:
// if it tried again at once, it would keep a processor from them for 10 ms.
func letOthersRun(refused error) {
	if e, ok := refused.(*Error); ok && e.refused != nil { //nolint:errorlint // as it is
		runtime.Gosched()
	}
}

// args are what a task works on: its input, and what its output is appended to; nil
// for memory of its own.
type args struct{ input, dst []byte }

// Pending is a task that was submitted.
type Pending struct {
	done     chan struct{}
	result   Result
	finished bool // the host's, before done is closed
}

// finish sets the result, unless there is one.
func (p *Pending) finish(r Result) {
	if !p.finished {
		p.finished, p.result = true, r
		close(p.done)
	}
}

// Wait returns what [Host.Run] would have, once the task has ended.
func (p *Pending) Wait() ([]byte, error) {
	r := p.Result()
	return r.Output, r.Err
}

// Result returns the outcome of the task, once it has ended.
func (p *Pending) Result() Result {
	<-p.done
	return p.result
}

// Done returns a channel that is closed once the task has ended.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Submit is [Host.Run] without the waiting for the task, but for room in the
// queue if its policy is [Block]. Tasks take their places in the order of
// Submit's calls. The host reads input until the task has ended. Tasks that are refused at
// once may have one Pending in common.
func (h *Host) Submit(ctx context.Context, transform string, input []byte) *Pending {
	return h.self.Submit(ctx, transform, input)
}

func (c *Client) submit(ctx context.Context, name, key string, keyed bool, a args) *Pending {
	h := c.h
	refused := func(err error) *Pending {
		if e, ok := err.(*Error); ok && e.refused != nil { //nolint:errorlint // as it is
			return e.refused
		}
		return &Pending{done: h.over, finished: true, result: Result{Err: err}}
	}
	if !h.expect() {
		return refused(h.closedError(name))
	}
	o := h.offers.Get().(*offered)
	t := &o.of
	o.job = job{task: t, ctx: ctx, args: a}
	if err := c.admit(ctx, t, name, key, keyed); err != nil {
		h.forget(o)
		h.pending.Done()
		return refused(err)
	}
	if t.ticket.Blocked() {
		if fault, _ := t.waitedFor(ctx, t.ticket.Room(ctx)); fault != nil {
			err := t.gone(fault).Err
			h.forget(o)
			h.pending.Done()
			return refused(err)
		}
	}
	if t.offers() {
		t.ticket.Offer(&o.job)
	}
	p := &Pending{done: make(chan struct{})}
	go o.run(p)
	return p
}

// closedError refuses a task since the host is closed.
func (h *Host) closedError(name string) error {
	tr, fault := h.lookup(name, 1)
	if fault != nil {
		return fault
	}
	return tr.count(fail(KindUnavailable, name, ErrClosed).of(tr.current()), 1)
}

// expect announces a goroutine to Close, unless that has begun.
func (h *Host) expect() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == closing {
		return false
	}
	h.pending.Add(1)
	return true
}

// Stream is a sequence of tasks that share a state, for transforms that keep
// one: its tasks run one at a time, in the order in which they were submitted;
// other streams run beside it. A task that fails leaves the state as it was. Each
// transform has a state of its own, and each tenant has streams of its own.
type Stream struct {
	client Client
	key    string
}

// Stream returns the stream of that key, of 1 to [MaxStreamKey] bytes. It costs
// nothing, and need not be kept: the state is the host's.
func (h *Host) Stream(key string) *Stream { return h.self.Stream(key) }

// Run is [Host.Run] in the stream.
func (s *Stream) Run(ctx context.Context, transform string, input []byte) ([]byte, error) {
	return s.client.run(ctx, transform, s.key, true, args{input: input})
}

// Submit is [Host.Submit] in the stream.
func (s *Stream) Submit(ctx context.Context, transform string, input []byte) *Pending {
	return s.client.submit(ctx, transform, s.key, true, args{input: input})
}

// Runner runs tasks: a [*Host], a [*Client] or a [*Stream].
type Runner interface {
	Run(ctx context.Context, transform string, input []byte) ([]byte, error)
	Submit(ctx context.Context, transform string, input []byte) *Pending
}

var (
	_ Runner = (*Host)(nil)
	_ Runner = (*Client)(nil)
	_ Runner = (*Stream)(nil)
)

// Call runs one task on Go values: in is encoded, and the output decoded into an
// Out. If in has a method Validate() error, its error refuses the task first.
//
//	result, err := host.Call[cascade.Result](ctx, h, "cascade", &state)
func Call[Out any, P interface {
	*Out
	encoding.BinaryUnmarshaler
}](ctx context.Context, r Runner, transform string, in encoding.BinaryAppender) (Out, error) {
	var out Out
	if v, ok := in.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return out, fail(KindInvalidArgument, transform, err)
		}
	}
	input, err := in.AppendBinary(nil)
	if err != nil {
		return out, fail(KindInvalidArgument, transform, err)
	}
	output, err := r.Run(ctx, transform, input)
	if err != nil {
		return out, err
	}
	if err := P(&out).UnmarshalBinary(output); err != nil {
		return out, &Error{Kind: KindABI, Transform: transform, Message: fmt.Sprintf("output is not a %T: %v", out, err), Err: err}
	}
	return out, nil
}

// task is a task that has a place in the queue, or a slot.
type task struct {
	h         *Host
	client    *Client
	transform *transform
	key       string                      // of the stream
	stream    *stream.Entry[sched.Serial] // nil without a stream
	ticket    sched.Ticket
	queued    time.Time
	waited    bool      // for a slot, with which it could do others' tasks as well
	looked    time.Time // at the clock, see now; zero if it has done something since

	instance instance // nil while the task has none
	// version is what the instance is of, or the last one was; trial is that version's
	// beside another, if there is one, and canary whether it is the one that is tried.
	version *version
	trial   *trial
	canary  bool
	settled bool   // no canary runs it
	blamed  *trial // of a canary that has failed it, in a frame
	told    bool   // its end was
}

// admit takes a place for t, which is one task. Errors of a task are counted where they are
// returned as errors; until then they are *Errors.
func (c *Client) admit(ctx context.Context, t *task, name, key string, keyed bool) error {
	tr, fault := c.h.lookup(name, 1)
	if fault != nil {
		return fault
	}
	var entry *stream.Entry[sched.Serial]
	if keyed {
		if len(key) == 0 || len(key) > MaxStreamKey {
			return tr.count((&Error{
				Kind: KindInvalidArgument, Transform: name,
				Message: fmt.Sprintf("stream key: must have 1 to %d bytes, has %d", MaxStreamKey, len(key)),
			}).of(tr.current()), 1)
		}
		entry = c.stream(tr, key)
	}
	if fault := c.queue(ctx, t, tr, entry, 1); fault != nil {
		if fault.Err == sched.ErrRetired { //nolint:errorlint // refusal's, as it is
			return c.admit(ctx, t, name, key, keyed) // a swap came between: the name is another's now, or nobody's
		}
		return tr.count(fault, 1)
	}
	t.key = key
	return nil
}

// stream returns the state of a stream, to be given back by a task's leaveStream.
func (c *Client) stream(tr *transform, key string) *stream.Entry[sched.Serial] {
	return c.h.streams.Acquire(stream.Key{Tenant: c.tenant, Transform: tr.name, Name: key})
}

// queue takes one place for t, which is so many tasks, in a stream unless that is nil.
func (c *Client) queue(ctx context.Context, t *task, tr *transform, in *stream.Entry[sched.Serial], tasks int) *Error {
	*t = task{h: c.h, client: c, transform: tr, stream: in}
	var serial *sched.Serial
	if in != nil {
		serial = &in.Serial
	}
	if fault := c.check(tr); fault != nil {
		t.leaveStream()
		return fault
	}
	err := ctx.Err()
	if err == nil && tr.plugin.paused.Load() {
		err = ErrPaused
	}
	if err == nil {
		_, err = tr.current().breaker.Admit(false)
	}
	if err == nil {
		r := c.request(tr, serial)
		r.Tasks = tasks
		r.Deadline, _ = ctx.Deadline()
		t.ticket, err = c.h.sched.Submit(r)
		t.queued = t.ticket.Began()
		if t.waited = !t.ticket.Held(); !t.waited {
			t.looked = t.queued
		}
	}
	if err != nil {
		t.leaveStream()
		return tr.refusal(ctx, err)
	}
	return nil
}

func (t *task) leaveStream() {
	if t.stream != nil {
		t.h.streams.Release(t.stream)
	}
}

// start waits for the task's slot, and for an instance: one that has to be made is
// part of the waiting, and no part of the running. If it returns an error, or that
// another has done what the task offered, the task has ended.
func (t *task) start(ctx context.Context) (fault *Error, taken bool) {
	if !t.ticket.Held() {
		if fault, taken = t.waitedFor(ctx, t.ticket.Wait(ctx)); fault != nil || taken {
			return fault, taken
		}
	}
	if fault := t.borrow(ctx); fault != nil {
		t.end()
		return fault, false
	}
	t.looked = t.now()
	t.transform.meter.wait.Observe(t.looked.Sub(t.queued))
	return nil, false
}

// now returns the time, as of when the task last looked at the clock if it has done
// nothing since: each look costs some 40 ns.
func (t *task) now() time.Time {
	now := t.looked
	if t.looked = (time.Time{}); now.IsZero() {
		now = t.h.sched.Clock()
	}
	return now
}

// waitedFor makes of how the ticket's waiting ended whether the task goes on: if it
// returns an error, or that another has done what the task offered, it has ended.
func (t *task) waitedFor(ctx context.Context, err error) (fault *Error, taken bool) {
	switch {
	case err == nil:
		return nil, false
	case errors.Is(err, sched.ErrTaken):
		return nil, true
	default:
		t.leaveStream()
		return t.transform.refusal(ctx, err), false
	}
}

// choose takes the version that the task runs on now. Until the task has an instance of
// it, it may be replaced.
func (t *task) choose() {
	t.trial, t.canary = nil, false
	if s := t.transform.plugin.serving.Load(); s != nil {
		if t.trial = s.trial; t.trial != nil && !t.settled && t.trial.takes(t) {
			t.version, t.canary = t.trial.version, true
			return
		}
		if s.current.spec(t.transform) != nil {
			t.version = s.current
			return
		}
	}
	t.version, t.trial = t.transform.last.Load(), nil
}

// borrow takes an instance, if the task has none: of the version that serves by then.
func (t *task) borrow(ctx context.Context) *Error {
	for tried := (*version)(nil); t.instance == nil; {
		t.choose()
		in, err := t.lend(ctx)
		switch {
		case err == nil:
			t.instance = in
		case t.h.ctx.Err() != nil: // what has not begun when patience ends does not begin
			return fail(KindUnavailable, t.transform.name, ErrClosed).of(t.version)
		case t.canary && errors.Is(err, ErrMemoryBudget) && ctx.Err() == nil:
			t.settled = true // the version beside it has instances, or may have room for one
		case !errors.Is(err, errReplaced):
			return t.notBorrowed(ctx, err)
		case t.version == tried: // and nothing has come after it
			return fail(KindUnavailable, t.transform.name, errReplaced).of(t.version)
		default:
			tried = t.version
		}
	}
	return nil
}

// lend lends an instance of the task's version, or waits for one. Its error is errReplaced
// if the version's time is over.
func (t *task) lend(ctx context.Context) (instance, error) {
	v := t.version
	in := v.engine.TryBorrow()
	if in == nil && v.ctx.Err() == nil {
		t.looked = time.Time{}
		wait, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		defer context.AfterFunc(v.ctx, func() { stop(errReplaced) })()
		var err error
		if in, err = v.engine.Borrow(wait); err != nil && v.ctx.Err() == nil && !errors.Is(err, registry.ErrClosed) {
			return nil, err
		}
	}
	if v.ctx.Err() != nil && in != nil {
		in.Return()
		in = nil
	}
	if in == nil {
		return nil, errReplaced
	}
	return in, nil
}

// giveBack gives the instance back, if the task has one.
func (t *task) giveBack() {
	if in := t.instance; in != nil {
		t.instance, t.looked = nil, time.Time{}
		in.Return()
	}
}

// end gives back what start and admit took.
func (t *task) end() {
	now := t.looked // which giving back forgets, though it takes no time worth mentioning
	t.giveBack()
	t.ticket.ReleaseAt(now)
	t.leaveStream()
}

// offers reports whether others may do the task while it waits.
func (t *task) offers() bool {
	return !t.ticket.Held() && t.stream == nil && t.transform.row.Target != 0
}

// offer lets others do the task while it waits. It returns nil if none may.
func (t *task) offer(ctx context.Context, a args) *offered {
	if !t.offers() {
		return nil
	}
	o := t.h.offers.Get().(*offered)
	o.of = *t
	o.job = job{task: &o.of, ctx: ctx, args: a}
	t.ticket.Offer(&o.job)
	return o
}

// forget gives up what was offered, which nobody else has by now.
func (h *Host) forget(o *offered) {
	*o = offered{} // it keeps nothing that is the caller's
	h.offers.Put(o)
}

// await waits until the task can be run. If done is true it has ended: without having run,
// or as another has done what it offered.
func (t *task) await(ctx context.Context, mine *offered) (r Result, done bool) {
	switch fault, taken := t.start(ctx); {
	case taken:
		if !mine.task.told { // it was not begun
			t.announce(mine.result, 0)
		}
		return mine.result, true
	case fault != nil:
		return t.gone(fault), true
	}
	return Result{}, false
}

// run waits for the slot and runs the task to its end. What is left then to be done with
// the slot another goroutine does, since the caller waits for no tasks of others. mine is
// what the task has offered.
func (t *task) run(ctx context.Context, a args, mine *offered) Result {
	if mine != nil {
		defer t.h.forget(mine)
	}
	if r, done := t.await(ctx, mine); done {
		return r
	}
	heir := false
	defer func() {
		if !heir {
			t.end()
		}
	}()
	if t.stream != nil {
		return t.single(ctx, a)
	}
	r, rest := t.lead(ctx, a, false)
	if rest != nil {
		heir = true
		t.h.pending.Go(t.bequest(rest)) // for which Close waits, as for the slot
	}
	return r
}

// run does what Submit has announced to Close, in a goroutine of its own. While the task
// waits that has no larger stack than goroutines have at first.
func (o *offered) run(p *Pending) {
	h := o.of.h
	defer h.pending.Done()
	defer func() {
		if !p.finished {
			p.finish(o.of.panicked())
		}
	}()
	r, done := o.of.await(o.ctx, o)
	if !done {
		r = o.work(p)
	}
	p.finish(r)
	h.forget(o)
}

// work runs a task that was submitted, which has a slot, to its end, and then some that
// wait behind it, before which p is finished.
func (o *offered) work(p *Pending) Result {
	t := &o.of
	defer t.end()
	if t.stream != nil {
		return t.single(o.ctx, o.args)
	}
	r, rest := t.lead(o.ctx, o.args, true)
	if rest != nil {
		p.finish(r)
		t.looked = time.Time{}
		rest(t)
	}
	return r
}

// bequest returns what goes on with the task's slot and ends it. It has a copy of the
// task, which thus can be on its caller's stack.
func (t *task) bequest(rest func(*task)) func() {
	heir := *t
	heir.looked = time.Time{}
	return func() {
		defer heir.end()
		rest(&heir)
	}
}

// single runs the task by itself.
func (t *task) single(ctx context.Context, a args) Result {
	got, fuel, fault := t.alone(ctx, a)
	t.looked = t.now() // and counting takes no time worth mentioning
	r := t.result(t.looked, t.version, got, fuel, fault, a)
	if e := t.stream; e != nil && r.Err == nil {
		spec := t.version.spec(t.transform)
		if !spec.takes(e) {
			t.h.reset.Add(1)
		}
		e.State, e.Format = got.State, spec.StateVersion
	}
	return r
}

// alone runs the task in a crossing of its own. What a canary fails, or a version that
// had to end, the version beside it or after it does: transforms are pure, so that it
// does no harm.
func (t *task) alone(ctx context.Context, a args) (got abi.Result, fuel uint64, fault *Error) {
	blamed := t.blamed
	for {
		got, burnt, fault := t.once(ctx, a)
		fuel += burnt
		failed := fault != nil || got.Status != abi.StatusOK
		if !failed && blamed != nil {
			blamed.Failed()
		}
		replaced := fault != nil && errors.Is(fault, errReplaced)
		if !failed || !t.canary && !replaced || ctx.Err() != nil || t.h.ctx.Err() != nil {
			return got, fuel, fault
		}
		ran := t.version
		t.giveBack()
		if t.canary {
			t.settled = true
			if !noRoom(fault) {
				blamed = t.trial
			}
		}
		if t.choose(); t.version == ran { // nothing has come after it
			return got, fuel, fault
		}
		t.h.rerun.Add(1)
	}
}

// noRoom reports whether a task failed for what others hold of the memory budget, of which
// no version is to blame.
func noRoom(fault *Error) bool { return fault != nil && errors.Is(fault, ErrMemoryBudget) }

// crossing is what a task by itself crosses with.
type crossing struct {
	items   [1]abi.Item
	results [1]abi.Result
}

// once runs the task in one crossing.
func (t *task) once(ctx context.Context, a args) (got abi.Result, fuel uint64, fault *Error) {
	x := t.h.crossings.Get().(*crossing)
	x.items[0].Payload, x.results[0].Payload = a.input, a.dst
	fuel, fault = t.timed(ctx, x.items[:], x.results[:])
	got = x.results[0]
	*x = crossing{} // it keeps nothing that is the caller's
	t.h.crossings.Put(x)
	return got, fuel, fault
}

// result counts, tells and returns the outcome of one task, which has ended by now: fault,
// if there is one, else what the guest of version v answered.
func (t *task) result(now time.Time, v *version, got abi.Result, fuel uint64, fault *Error, a args) Result {
	t.transform.meter.latency.Observe(now.Sub(t.queued))
	r := t.outcome(v, &got, fuel, fault, a)
	if r.Err == nil {
		t.transform.meter.ok.Add(1)
	}
	return r
}

// outcome is result without the counting of the latency and of successes.
func (t *task) outcome(v *version, got *abi.Result, fuel uint64, fault *Error, a args) Result {
	if fault == nil {
		fault = t.rejection(v, got, a.input)
	}
	if fault == nil && t.client.room != nil && !t.client.room(len(got.Payload)-len(a.dst)) {
		fault = fail(KindQueueFull, t.transform.name, ErrNoRoom).of(v)
	}
	r := Result{Fuel: fuel}
	if fault != nil {
		r.Err = t.transform.count(fault, 1)
	} else {
		r.Output = got.Payload
	}
	t.announce(r, len(a.dst))
	return r
}

// gone counts, tells and returns the outcome of a task that has left the queue without
// having run.
func (t *task) gone(fault *Error) Result {
	r := Result{Err: t.transform.count(fault, 1)}
	t.announce(r, 0)
	return r
}

// announce makes an event of a task's outcome, whose output begins behind so many bytes,
// if anybody wants it.
func (t *task) announce(r Result, behind int) {
	t.told = true
	if !t.h.cfg.Events.Wants(event.KindTaskCompleted) || t.client.quiet {
		return
	}
	t.looked = time.Time{}
	latency := time.Since(t.queued)
	e := event.TaskCompleted{
		Transform: t.transform.name, Tenant: t.client.tenant, Stream: t.key, Latency: latency, Fuel: r.Fuel,
	}
	if r.Err != nil {
		e.Error = r.Err.Error()
	} else {
		e.Output = bytes.Clone(r.Output[behind:])
	}
	t.h.cfg.Events.Publish(e)
}

// timed runs items on the task's instance within its limits, and measures them. An
// instance that has to go back to its pool first, because it broke or because no
// two tasks share one, is the task's no longer.
func (t *task) timed(ctx context.Context, items []abi.Item, results []abi.Result) (fuel uint64, fault *Error) {
	if fault := t.borrow(ctx); fault != nil { // there may have been one before
		return 0, fault
	}
	v, spec := t.version, t.version.spec(t.transform)
	rests, err := v.breaker.Admit(true)
	if err != nil {
		return 0, t.transform.refusal(ctx, err)
	}
	ended, blame := KindHost, KindHost // should Run panic
	defer func() {
		switch v.breaker.Done(blame.outcome(), rests) {
		case breaker.Suspended:
			t.h.tellPlugin(v, event.PluginSuspended, "")
		case breaker.Recovered:
			t.h.tellPlugin(v, event.PluginRecovered, "")
		}
	}()
	if t.stream != nil {
		items[0].State = nil // that another version may have had
		if spec.takes(t.stream) {
			items[0].State = t.stream.State
		}
	}
	behind := len(results[0].Payload)
	in, began := t.instance, t.now()
	keep := false // should Run panic
	defer func() {
		now := t.now()
		took := now.Sub(began)
		t.transform.meter.run.Observe(took)
		t.transform.row.Observe(now, took, len(items), t.waited)
		if t.trial != nil {
			t.trial.observe(t, ended, took, len(items))
		}
		if !keep {
			t.instance = nil
			in.Return()
			return
		}
		t.looked = now
	}()
	fuel, err = in.Run(ctx, module.Call{
		Transform: spec.index, Items: items, Results: results, Behind: true, Stateless: t.stream == nil,
		Limits: module.Limits{Timeout: spec.timeout, Began: began, Fuel: uint64(v.cfg.MaxFuel) * uint64(len(items)), Stop: v.ctx},
	})
	t.transform.meter.fuel.Add(fuel)
	if err != nil {
		fault := t.failure(ctx, err)
		if ended = fault.Kind; ctx.Err() != nil {
			ended = KindCancelled // the caller's end is no failure of the plugin's
		}
		blame = ended
		if errors.Is(err, ErrMemoryBudget) {
			ended, blame = KindOutOfMemory, KindCancelled // nor is what others hold of the budget
		}
		if f := (*module.Fault)(nil); errors.As(err, &f) && f.Task {
			blame = KindCancelled // nor is the size of a task, by which it would be suspended for all
		}
		return fuel, fault
	}
	ended, blame = "", ""
	if v.sampler != nil && len(items) == 1 {
		v.sampler.offer(spec, &items[0], &results[0], behind, t.stream == nil, in.Starved(), fuel)
	}
	keep = v.cfg.Isolation.shares()
	return fuel, nil
}

// rejection is the error of a version's result whose status is not ok.
func (t *task) rejection(v *version, r *abi.Result, input []byte) *Error {
	if r.Status == abi.StatusOK {
		return nil
	}
	kind, message := KindFailed, string(r.Payload)
	if r.Status == abi.StatusInvalidArgument {
		kind = KindInvalidArgument
		if spec := v.spec(t.transform); spec != nil && !form.Known(spec.Input) && form.IsJSON(input) {
			message += "; the input is JSON, and " + spec.Name + " takes " + spec.Input +
				": a codec.Set with a codec for it makes that of JSON (Translate)"
		}
	}
	return (&Error{Kind: kind, Transform: t.transform.name, Message: message}).of(v)
}
