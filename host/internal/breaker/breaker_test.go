package breaker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestOneRestForABurst has many tasks under way that all fail.
func TestOneRestForABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Breaker{Limit: 4}
		burst := func(tasks int) (admitted []uint64) {
			for range tasks {
				if rests, err := b.Admit(true); err == nil {
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
				b.Done(Broke, rests)
			}
			time.Sleep(rest - time.Millisecond)
			if _, err := b.Admit(true); !errors.Is(err, ErrSuspended) {
				t.Errorf("rest %d is over before %v", i, rest)
			}
			time.Sleep(2 * time.Millisecond)
		}
		if _, rests := b.Stats(); rests != 3 {
			t.Errorf("%d rests, want 3", rests)
		}
	})
}

// TestTryEndsWithARest has a task that tries outlive the success of another, and a rest
// after that.
func TestTryEndsWithARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Breaker{Limit: 1}
		admit := func() uint64 {
			rests, err := b.Admit(true)
			if err != nil {
				t.Fatal(err)
			}
			return rests
		}
		old := admit()
		b.Done(Broke, admit())
		time.Sleep(firstRest)
		trying := admit()
		b.Done(Worked, old)
		b.Done(Broke, admit())
		b.Done(Broke, trying)
		time.Sleep(firstRest)
		b.Done(Worked, admit())
	})
}

// TestOldTasksDoNotTry has a task that was admitted before the rest end while another
// tries, which stays the only one.
func TestOldTasksDoNotTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Breaker{Limit: 1}
		old, _ := b.Admit(true)
		failing, _ := b.Admit(true)
		b.Done(Broke, failing)
		time.Sleep(firstRest)
		trying, err := b.Admit(true)
		if err != nil {
			t.Fatal(err)
		}
		b.Done(Broke, old)
		if _, err := b.Admit(true); !errors.Is(err, ErrSuspended) {
			t.Errorf("err %v, want that another tries", err)
		}
		b.Done(Worked, trying)
		if suspended, _ := b.Stats(); suspended {
			t.Error("it is suspended after a success")
		}
	})
}
