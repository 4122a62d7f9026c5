package state

import (
	"context"
	"runtime"
	"time"
)

// nap is how long [Yield] sleeps. It is shorter than what systems round it up to, up to a millisecond.
const nap = 20 * time.Microsecond

type hurriedKey struct{}

// Unhurried returns a context for a [Store.Save] that nobody waits for, until hurried says otherwise. Under
// it [Yield] sleeps. hurried is called often, by any goroutine, and perhaps once more after Save has returned, since a
// store may go on with what the caller no longer waits for.
func Unhurried(ctx context.Context, hurried func() bool) context.Context {
	return context.WithValue(ctx, hurriedKey{}, hurried)
}

// Yield lets other work of the process go first. A store that computes calls it every few dozen
// microseconds of a save.
//
// It sleeps if nobody waits for the save. To yield the processor is not enough: where no goroutine waits for
// just this one, the save goes on, and the processor neither takes work that waits for another one nor
// looks at the network. With two processors the 99th percentile of tasks was 1.5 times as long for that.
func Yield(ctx context.Context) {
	if hurried, ok := ctx.Value(hurriedKey{}).(func() bool); ok && !hurried() {
		time.Sleep(nap)
		return
	}
	runtime.Gosched()
}
