package lines

import "testing"

// TestLedgerBeginsLittle has the first lines, of whose answers nothing is known.
func TestLedgerBeginsLittle(t *testing.T) {
	for workers, want := range map[int]int{1: 2, 4: 5, 64: 65} {
		l := newLedger(1<<20, workers, nil)
		n := 0
		for l.take(1<<10/workers, false) && l.begin() {
			n++
		}
		if n != want {
			t.Errorf("%d workers have %d lines under way, want %d: theirs, and one that waits", workers, n, want)
		}
	}
}

// TestLedgerWakes has lines whose answers are smaller than was guessed, and are not written
// since an earlier one is not there yet.
func TestLedgerWakes(t *testing.T) {
	l := newLedger(1<<20, 1, nil)
	for l.begin() {
	}
	l.done(0)
	select {
	case <-l.freed:
	default:
		t.Fatal("who waits to begin is not told that there is room")
	}
	if !l.begin() {
		t.Error("there is no room for a further line")
	}
}
