package host

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestOneRestForABurst has many tasks under way that all fail.
func TestOneRestForABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{limit: 4}
		burst := func(tasks int) (admitted []uint64) {
			for range tasks {
				if rests, err := b.admit(true); err == nil {
					admitted = append(admitted, rests)
				}
			}
			return admitted
		}
		for i, rest := range []time.Duration{firstRest, 2 * firstRest, 4 * firstRest} {
			tasks := burst(32)
			if want := map[bool]int{true: 32, false: 1}[i == 0]; len(tasks) != want {
				t.Errorf("after %d rests %d tasks run, want %d", i, len(tasks), want)
			}
			for _, rests := range tasks {
				b.done(KindTimeout, rests)
			}
			time.Sleep(rest - time.Millisecond)
			if _, err := b.admit(true); !errors.Is(err, ErrSuspended) {
				t.Errorf("rest %d is over before %v", i, rest)
			}
			time.Sleep(2 * time.Millisecond)
		}
		if _, rests := b.stats(); rests != 3 {
			t.Errorf("%d rests, want 3", rests)
		}
	})
}

// TestTryEndsWithARest has a task that tries outlive the success of another, and a rest
// after that.
func TestTryEndsWithARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{limit: 1}
		admit := func() uint64 {
			rests, err := b.admit(true)
			if err != nil {
				t.Fatal(err)
			}
			return rests
		}
		old := admit()
		b.done(KindTrap, admit())
		time.Sleep(firstRest)
		trying := admit()
		b.done("", old)
		b.done(KindTrap, admit())
		b.done(KindTrap, trying)
		time.Sleep(firstRest)
		b.done("", admit())
	})
}

// TestOldTasksDoNotTry has a task that was admitted before the rest end while another
// tries, which stays the only one.
func TestOldTasksDoNotTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{limit: 1}
		old, _ := b.admit(true)
		failing, _ := b.admit(true)
		b.done(KindTrap, failing)
		time.Sleep(firstRest)
		trying, err := b.admit(true)
		if err != nil {
			t.Fatal(err)
		}
		b.done(KindTrap, old)
		if _, err := b.admit(true); !errors.Is(err, ErrSuspended) {
			t.Errorf("err %v, want that another tries", err)
		}
		b.done("", trying)
		if suspended, _ := b.stats(); suspended {
			t.Error("it is suspended after a success")
		}
	})
}
