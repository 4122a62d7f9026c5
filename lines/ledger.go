package lines

import "sync"

// ledger is what a Run holds.
type ledger struct {
	most   int
	memory Memory        // nil if there is always some
	freed  chan struct{} // has a token when begin may have become true

	mu    sync.Mutex // guards the rest
	bytes int
	// waiting is how many lines are under way whose answers are not there yet, and unwritten
	// how many are under way at all.
	waiting, unwritten int
	// each is what a line takes, by the largest of late.
	each int
}

func newLedger(most, workers int, memory Memory) *ledger {
	// The first answers may be large. Until one is known there are as many lines under way as
	// there are workers, and one that waits for the next.
	return &ledger{most: most, memory: memory, freed: make(chan struct{}, 1), each: most / (workers + 2)}
}

// take takes n bytes, and reports whether there was room for them.
func (l *ledger) take(n int, answer bool) bool {
	if l.memory != nil && !l.memory.Take(n, answer) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += n
	return true
}

// add takes n bytes that are there, or gives them back if n is negative.
func (l *ledger) add(n int) {
	if n == 0 {
		return
	}
	if l.memory != nil {
		l.memory.Add(n)
	}
	l.mu.Lock()
	l.bytes += n
	l.mu.Unlock()
	l.wake()
}

func (l *ledger) wake() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// begin reports whether a further line may be under way now, which it then is.
func (l *ledger) begin() bool {
	tight := l.memory != nil && l.memory.Tight()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unwritten > 0 && (tight || l.bytes+(l.waiting+1)*l.each > l.most) {
		return false
	}
	l.waiting++
	l.unwritten++
	return true
}

// done takes note that a line's answer is there, and what both took at most.
func (l *ledger) done(took int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	l.each = max(took, l.each-l.each/4)
	l.wake()
}

// end takes note that a line's answer has gone, and gives back what both had.
func (l *ledger) end(n int) {
	l.mu.Lock()
	l.unwritten--
	l.mu.Unlock()
	l.add(-n)
	l.wake()
}
