package module

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// Interrupt is how a guest that does not return is stopped.
type Interrupt int

// Ways to stop a guest.
const (
	// Metered has the guest count what it does, and come to the host every so
	// often.
	Metered Interrupt = iota + 1
	// Runtime is wazero's own way.
	Runtime
	// Off does not stop it.
	Off
)

const (
	// largestSlice is how much fuel a guest burns at most between two visits to
	// the host, some 0.04 to 0.3 ms in which it holds up whoever waits for its
	// thread, a collection of the host's garbage among them. A guest that takes
	// longer for it, since its loads miss the caches for one, gets less, down to
	// smallestSlice.
	largestSlice, smallestSlice = 500_000, 500
	// A visit after longLeave halves the slice, one after shortLeave doubles it.
	shortLeave, longLeave = 100 * time.Microsecond, 300 * time.Microsecond
	// turn is how long a guest computes before it lets other goroutines have its
	// thread, which costs ten times as much as a visit.
	turn = 200 * time.Microsecond
)

// watch stops the guest of a [Metered] instance.
type watch struct {
	// fuel is what is left of the slice, as an int64, and depth how much deeper
	// calls may nest; nil before the instance is made.
	fuel, depth api.MutableGlobal
	// shallow is how deep calls nest at first before the host looks at them, and depths by now.
	shallow, depths int32
	slice           int64
	// granted are all slices of this call, in fuel.
	granted int64
	limit   int64
	ctx     context.Context //nolint:containedctx // the call's, while it runs
	stop    context.Context //nolint:containedctx // likewise
	began   time.Time       // of the timeout
	timeout time.Duration   // 0 without
	visited time.Time       // when the last visit was; zero before the first
	turned  time.Time       // when the others had their turn; zero before the first visit
	// unseen is how many bytes the host has moved for the guest since it last looked
	// whether the guest has to stop.
	unseen int
}

// begin starts to watch a call.
func (w *watch) begin(ctx context.Context, l *Limits) {
	w.ctx, w.stop = ctx, l.Stop
	w.granted, w.limit = 0, int64(min(l.Fuel, 1<<62))
	w.timeout, w.visited, w.turned = 0, time.Time{}, time.Time{}
	if w.fuel == nil {
		return
	}
	if w.timeout, w.began = l.Timeout, l.Began; w.timeout > 0 && w.began.IsZero() {
		w.began = time.Now()
	}
	w.grant(0)
}

// deadline is when the timeout is over; zero without one.
func (w *watch) deadline() time.Time {
	if w.timeout <= 0 {
		return time.Time{}
	}
	return w.began.Add(w.timeout)
}

// end lets go of what is the caller's.
func (w *watch) end() { w.ctx, w.stop = nil, nil }

// grant gives the guest a slice, beside what it has burnt already without one.
func (w *watch) grant(owed int64) {
	w.granted += owed
	n := w.slice
	if w.limit > 0 { // no visit later than the limit
		n = min(n, w.limit-w.granted)
	}
	w.granted += n
	w.fuel.Set(uint64(n))
}

// used returns the fuel that the call has burnt so far.
func (w *watch) used() uint64 {
	if w.fuel == nil {
		return 0
	}
	return uint64(w.granted - w.forgive())
}

// look panics with a [*Fault] if the guest has to stop.
func (w *watch) look(now time.Time) {
	w.unseen = 0
	switch {
	case w.limit > 0 && w.used() > uint64(w.limit):
		panic(&Fault{Kind: Fuel, Message: fmt.Sprintf("burnt more than its fuel of %d (MaxFuel, --max-fuel)", w.limit)})
	case w.stop != nil && w.stop.Err() != nil:
		panic(stopped())
	case w.ctx.Err() != nil:
		panic(interrupted(w.ctx))
	case w.timeout > 0 && now.Sub(w.began) > w.timeout:
		panic(timedOut())
	case w.turned.IsZero():
		w.visited, w.turned = now, now
	}
}

// yield lets other goroutines have the thread if it is their turn, and returns the time.
func (w *watch) yield(now time.Time) time.Time {
	if now.Sub(w.turned) > turn {
		runtime.Gosched()
		now = time.Now()
		w.turned = now
	}
	return now
}

// glance looks whether the guest has to stop, which goes on with its slice otherwise.
func (w *watch) glance() {
	now := time.Now()
	w.look(now)
	w.yield(now)
}

// forgive takes back what the guest owes for calls that nest too deep, and returns what is left of its
// slice.
func (w *watch) forgive() (left int64) {
	left = int64(w.fuel.Get())
	if left < -meter.TooDeep/2 {
		left += (-left + meter.TooDeep/2) / meter.TooDeep * meter.TooDeep
		w.fuel.Set(uint64(left))
	}
	return left
}

// visit is called when a slice is used up. It panics with a [*Fault] if the guest has to stop.
func (w *watch) visit() {
	now := time.Now()
	w.look(now)
	switch away := now.Sub(w.visited); {
	case away > longLeave:
		w.slice = max(w.slice/2, smallestSlice)
	case away < shortLeave:
		w.slice = min(2*w.slice, largestSlice)
	}
	w.visited = w.yield(now)
	w.grant(-int64(w.fuel.Get()))
}

// watchOver finds what a metered guest counts by.
func (w *watch) watchOver(mod api.Module) {
	w.fuel = mod.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
	w.depth = mod.ExportedGlobal(meter.DepthExport).(api.MutableGlobal)
	if w.shallow == 0 {
		w.shallow = api.DecodeI32(w.depth.Get())
		w.depths = w.shallow
	}
}

// charge bills the guest for what the host does for it, and panics with a [*Fault] if it
// has to stop: a guest that has the host work does not come to it by its fuel alone.
func (w *watch) charge(bytes int) {
	if w.fuel == nil {
		return
	}
	if n := int64(bytes) / bytesPerFuel; n > 0 {
		w.fuel.Set(uint64(int64(w.fuel.Get()) - n))
	}
	if w.unseen += bytes; w.unseen >= maxUnseen {
		w.glance()
	}
}

// maxUnseen is how many bytes the host moves for a guest between two looks whether it has to
// stop, some 0.1 ms of drawing random bytes.
const maxUnseen = 64 << 10

// bytesPerFuel is how many bytes that are moved are as much as one instruction.
const bytesPerFuel = 64

// sleep is what a guest with a real clock sleeps by.
func (w *watch) sleep(ctx context.Context, d time.Duration) error {
	timeout := false
	if w.timeout > 0 {
		if left := time.Until(w.deadline()); left < d {
			d, timeout = left, true
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	var stop <-chan struct{}
	if w.stop != nil {
		stop = w.stop.Done()
	}
	select {
	case <-ctx.Done():
		return interrupted(ctx)
	case <-stop:
		return stopped()
	case <-timer.C:
	}
	if timeout {
		return timedOut()
	}
	return nil
}

// within returns a context that ends with stop, which may be nil, and at a deadline, unless that is
// zero.
func within(ctx, stop context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	unhook := func() bool { return true }
	if stop != nil {
		unhook = context.AfterFunc(stop, func() { end(errStopped) })
	}
	cancel := func() {}
	if !deadline.IsZero() {
		ctx, cancel = context.WithDeadlineCause(ctx, deadline, errTimeout)
	}
	return ctx, func() {
		cancel()
		unhook()
		end(nil)
	}
}
