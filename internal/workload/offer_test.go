package workload

import (
	"context"
	"testing"
	"time"
)

// TestOfferEnds has a load end that cannot keep up with its rate: a task is always due then.
func TestOfferEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	n := 0
	offer(ctx, 1e12, time.Duration(1<<62), func(time.Time) {
		if n++; n == 10 {
			stop()
		}
		if n > 10 {
			t.Fatal("it goes on after its end")
		}
	})
	if n != 10 {
		t.Errorf("%d tasks, want 10", n)
	}
}
