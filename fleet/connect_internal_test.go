package fleet

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestMoves asks at each second whether a connection moves. It does more and more seldom, and after a long time without as at first.
func TestMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m moves
		last := time.Now()
		for _, want := range []float64{0, 5, 10, 20, 40, 60, 60, 60} {
			for !m.may(time.Now()) {
				time.Sleep(time.Second)
			}
			if got := time.Since(last).Seconds(); got != want {
				t.Errorf("moves after %v s, want %v", got, want)
			}
			last = time.Now()
		}
		time.Sleep(2*stayMost + time.Second)
		if !m.may(time.Now()) || m.may(time.Now().Add(silentFor-1)) || !m.may(time.Now().Add(silentFor)) {
			t.Error("after a long time the connection does not move as at first")
		}
	})
}
