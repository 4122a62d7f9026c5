package wasi

import (
	"context"
	"math"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// The virtual clock, in nanoseconds.
const (
	// Epoch is what the wall clock begins at: 2022-01-01T00:00:00Z, in Unix time.
	Epoch = 1_640_995_200_000_000_000
	// MonotonicEpoch is what the monotonic clocks begin at, the real one too. Go's
	// runtime takes 0 for a clock that does not work.
	MonotonicEpoch = 1_000_000_000
	// Step is by how much a reading advances both clocks: about what it costs, so
	// that programs which measure or wait find plausible durations, and timeouts
	// do not pass in a few readings. It is also the resolution that is stated.
	Step = 1_000
)

// clockID names a clock.
type clockID uint32

// Clocks there are. Those of CPU time (2 and 3) are not.
const (
	realtime  clockID = 0
	monotonic clockID = 1
)

func (id clockID) known() bool { return id == realtime || id == monotonic }

// virtualClock is the time since the start in nanoseconds.
type virtualClock int64

// maxVirtual keeps the wall clock within an int64 of nanoseconds, beyond which
// programs see it wrap. The clock stops there, in the year 2262.
const maxVirtual virtualClock = math.MaxInt64 - Epoch

func (c virtualClock) time(id clockID) int64 {
	if id == realtime {
		return Epoch + int64(c)
	}
	return MonotonicEpoch + int64(c)
}

// advance lets d, not negative, pass.
func (c *virtualClock) advance(d time.Duration) {
	*c += min(virtualClock(d), maxVirtual-*c)
}

// realClock counts from its first reading, so that a guest does not learn for how
// long the machine has been running.
type realClock struct {
	begin time.Time
	timer *time.Timer // of sleeps, made at the first
}

func (c *realClock) time(id clockID) int64 {
	now := time.Now()
	if id == realtime {
		return now.UnixNano()
	}
	if c.begin.IsZero() {
		c.begin = now
	}
	return MonotonicEpoch + int64(now.Sub(c.begin))
}

// time tells the time of a known clock in nanoseconds, without advancing it.
func (s *System) time(id clockID) int64 {
	if s.RealClock {
		return s.real.time(id)
	}
	return s.now.clock.time(id)
}

func clockTimeGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	// The precision, stack[1], is what a host may fall short of: none need.
	id, result := clockID(stack[0]), api.DecodeU32(stack[2])
	if !id.known() {
		return einval
	}
	if !mod.Memory().WriteUint64Le(result, uint64(s.time(id))) {
		return efault
	}
	s.now.clock.advance(Step)
	return success
}

func clockResGet(_ context.Context, _ *System, mod api.Module, stack []uint64) errno {
	id, result := clockID(stack[0]), api.DecodeU32(stack[1])
	if !id.known() {
		return einval
	}
	if !mod.Memory().WriteUint64Le(result, Step) {
		return efault
	}
	return success
}
