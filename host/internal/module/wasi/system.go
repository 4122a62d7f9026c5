package wasi

import (
	"context"
	"io"
	"math/rand/v2"
	"time"
)

// System is the state of one instance. The zero value is at its start,
// deterministic, and writes nowhere. It must not be used concurrently: what
// belongs to the host is set, and methods are called, while the guest does not
// run.
type System struct {
	// Stdout and Stderr take what the guest writes, nil drops it. They must not
	// block. Where one fails having taken nothing, the guest gets EIO.
	Stdout, Stderr io.Writer

	// Arguments are what the guest is started with, its name first, and Environment its
	// variables.
	Arguments, Environment *Strings
	// Input is what the guest has not read yet of its standard input, which ends behind it.
	Input []byte

	// RealClock has the guest read the time, and sleep. Otherwise there is one
	// virtual clock, which knows no time but the guest's: it advances by [Step] at
	// each reading, and a sleep advances it by as much as the guest wants, and is
	// over at once. The wall clock begins at [Epoch], the monotonic one at
	// [MonotonicEpoch].
	RealClock bool
	// RealRandom has the guest draw from the system's random source. Otherwise
	// bytes come from ChaCha8 with a fixed seed.
	RealRandom bool

	// Charge, if not nil, is told how many bytes the host is about to produce or
	// take for the guest, and may panic to end the guest's call. Large requests
	// come in pieces of at most 64 KiB.
	Charge func(n int)
	// Sleep replaces the sleep by the real clock, which is for d, a positive
	// duration, or until ctx is done. An error ends the guest's call: if ctx is
	// done, as wazero ends a call whose context is done; otherwise that error is
	// what the call returns, wrapped.
	Sleep func(ctx context.Context, d time.Duration) error

	now, start state
	real       realClock
}

// state is what a task could leave to the next one. The zero value is the start, unless the guest
// has a directory.
type state struct {
	clock       virtualClock
	random      rand.ChaCha8
	seeded      bool // whether random is
	directories directories
}

// Mark makes the present state the one that [System.Reset] goes back to. A host
// that restores a guest's memory as it was after its initialisation marks that
// moment: otherwise the monotonic clock stands, after Reset, before times that
// the guest remembers.
func (s *System) Mark() { s.start = s.now }

// Reset goes back to the state at the last [System.Mark], or to the start. What
// the guest does then reads the same times and random bytes as it did then. The
// real clock goes on. What is left of the input goes.
func (s *System) Reset() { s.now, s.Input = s.start, nil }

// charge bills n bytes, before they are produced or taken.
func (s *System) charge(n int) {
	if s.Charge != nil {
		s.Charge(n)
	}
}

// Adopt makes the present state of another system the present one, and the one
// that [System.Reset] goes back to.
func (s *System) Adopt(of *System) { s.now, s.start = of.now, of.now }
