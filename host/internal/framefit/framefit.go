// Package framefit finds how many tasks share a frame.
package framefit

import "sync/atomic"

// Max is how many tasks share a frame at most: enough that the crossing into the guest weighs
// nothing, few enough that a frame is soon done.
const Max = 64

// Fit is how many tasks of a transform share a frame at most, by whether their outputs fitted
// into one lately. The zero value is Max. Its methods may be called concurrently.
type Fit struct {
	less atomic.Int64 // than Max, by so many
	full atomic.Int64 // frames that fitted since
}

// fitsToGrow is how many full frames have to fit before larger ones are tried: trying costs
// all their tasks a second run.
const fitsToGrow = 64

// Most returns the number of tasks.
func (f *Fit) Most() int { return Max - int(f.less.Load()) }

// Failed takes note that the outputs of so many tasks did not fit.
func (f *Fit) Failed(tasks int) {
	f.less.Store(int64(Max - max(tasks/2, 1)))
	f.full.Store(0)
}

// Fitted takes note that those of so many did.
func (f *Fit) Fitted(tasks int) {
	most := f.Most()
	if most == Max || tasks < most || f.full.Add(1) < fitsToGrow {
		return
	}
	f.full.Store(0)
	f.less.Store(int64(Max - min(most+max(most/8, 1), Max)))
}
