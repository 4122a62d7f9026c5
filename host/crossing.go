package host

import (
	"context"
	"errors"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/breaker"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sampler"
)

// crossing is what a task by itself crosses with.
type crossing struct {
	items   [1]abi.Item
	results [1]abi.Result
	call    module.Call
}

// single runs the task by itself, and has its outcome in r.
func (t *task) single(ctx context.Context, a *args, r *Result) {
	x := pooled[crossing](&t.r.crossings)
	fuel, fault := t.alone(ctx, a, x)
	t.looked = t.now() // and counting takes no time worth mentioning
	got := &x.results[0]
	if s := t.from.states; s != nil && t.stream != nil && t.version != nil {
		s.look(t.version, t.version.spec(t.transform.slot), t.stream)
	}
	t.result(t.looked, t.version, got, fuel, fault, a, r)
	if e := t.stream; e != nil && r.Err == nil {
		spec := t.version.spec(t.transform.slot)
		if !spec.takes(e) {
			t.r.reset.Add(1)
		}
		e.Set(got.State, spec.StateVersion)
	}
	t.r.letGo(x)
}

// letGo gives up a crossing, which keeps nothing that is the caller's.
func (r *runner) letGo(x *crossing) {
	*x = crossing{}
	r.crossings.Put(x)
}

// once runs the task in one crossing.
func (t *task) once(ctx context.Context, a *args, x *crossing) (fuel uint64, fault *Error) {
	x.items[0], x.results[0] = abi.Item{Payload: a.input}, abi.Result{Payload: a.dst}
	return t.timed(ctx, &x.call, x.items[:], x.results[:])
}

// timed runs items on the task's instance within its limits, by a call that it fills in, and measures
// them. An instance that has to go back to its pool first, because it broke or because no
// two tasks share one, is the task's no longer.
func (t *task) timed(ctx context.Context, call *module.Call, items []abi.Item, results []abi.Result) (fuel uint64, fault *Error) {
	if fault := t.borrow(ctx); fault != nil { // there may have been one before
		return 0, fault
	}
	v, spec := t.version, t.version.spec(t.transform.slot)
	rests, err := v.breaker.Admit(true)
	if err != nil {
		return 0, t.transform.refusal(ctx, err)
	}
	ended, blame := KindHost, KindHost // should Run panic
	defer func() {
		if change := v.breaker.Done(blame.outcome(), rests); change != breaker.Same {
			t.r.rested(v, change, blame)
		}
	}()
	if t.stream != nil {
		items[0].State = spec.stateOf(t.stream)
	}
	behind := len(results[0].Payload)
	in, began := t.instance, t.now()
	keep := false // should Run panic
	defer func() {
		now := t.now()
		took := now.Sub(began)
		t.transform.counts.run.Observe(took + t.checked)
		t.transform.row.Observe(now, took+t.checked, len(items), t.waited)
		t.checked = 0 // of what runs again
		if t.trial != nil {
			t.trial.observe(t.canary, ended, took, len(items), t.stream != nil)
		}
		if t.followed != nil {
			t.phase(TaskPhase{Phase: PhaseRun, Began: began, Ended: now, Tasks: len(items), Fuel: fuel, Kind: ended})
		}
		if !keep {
			t.instance = nil
			t.putBack(in)
			return
		}
		t.looked = now
	}()
	// One by one: a literal would be put together elsewhere and then copied.
	call.Transform, call.Items, call.Results, call.Behind, call.Stateless = spec.index, items, results, true, t.stream == nil
	call.Timeout, call.Began, call.Fuel, call.Stop = spec.timeout, began, uint64(v.cfg.MaxFuel)*uint64(len(items)), v.ctx
	fuel, err = in.Run(ctx, call)
	t.transform.counts.fuel.Add(fuel)
	if err != nil {
		fault := runFailure(ctx, t.transform, v, err)
		ended, blame = blamed(ctx, fault, err)
		return fuel, fault
	}
	ended, blame = "", ""
	if v.sampler != nil && len(items) == 1 {
		t.sample(call, behind, fuel, in.Starved())
	}
	keep = v.cfg.Isolation.shares()
	return fuel, nil
}

// blamed is how a crossing ended that failed, and what of that the plugin is to blame for:
// KindCancelled, if nothing.
func blamed(ctx context.Context, fault *Error, err error) (ended, blame Kind) {
	if ended = fault.Kind; ctx.Err() != nil && !noRoom(fault) {
		ended = KindCancelled // the caller's end is no failure of the plugin's
	}
	blame = ended
	if f := (*module.Fault)(nil); errors.As(err, &f) && f.Task {
		blame = KindCancelled // nor is the size of a task, by which it would be suspended for all
	}
	return ended, blame
}

// sample offers a task's call, whose result stands behind so many bytes of its payload, for a
// comparison with the interpreter.
func (t *task) sample(call *module.Call, behind int, fuel uint64, starved bool) {
	v, spec := t.version, t.version.spec(t.transform.slot)
	done := call.Results[0]
	done.Payload = done.Payload[behind:]
	v.sampler.Offer(&sampler.Task{
		Transform: spec.index, Name: spec.Name, Timeout: spec.timeout, Item: call.Items[0], Stateless: call.Stateless,
		Result: done, Fuel: fuel, Starved: starved,
	})
}
