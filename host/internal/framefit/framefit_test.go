package framefit

import "testing"

func TestFit(t *testing.T) {
	var f Fit
	want := func(most int) {
		t.Helper()
		if got := f.Most(); got != most {
			t.Errorf("%d tasks share a frame, want %d", got, most)
		}
	}
	fitted := func(tasks, times int) {
		for range times {
			f.Fitted(tasks)
		}
	}
	want(Max)
	f.Failed(64)
	want(32)
	fitted(31, 1000) // says nothing of larger ones
	want(32)
	fitted(32, fitsToGrow-1)
	want(32)
	fitted(32, 1)
	want(36)
	f.Failed(3)
	want(1)
	f.Failed(1)
	want(1)
	for range Max {
		fitted(Max, fitsToGrow)
	}
	want(Max)
}
