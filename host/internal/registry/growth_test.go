package registry

import (
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	told := func(apart time.Duration) (times int) {
		var g growth
		now := time.Unix(0, 0)
		for range 10 * manyGrown {
			if g.add(now) {
				times++
			}
			now = now.Add(apart)
		}
		return times
	}
	for apart, want := range map[time.Duration]int{time.Millisecond: 1, grownWithin / manyGrown: 1, grownWithin / 10: 0, time.Minute: 0} {
		if got := told(apart); got != want {
			t.Errorf("%v apart: told %d times, want %d", apart, got, want)
		}
	}
}
