package fleetlines

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/resonhost/resonhost/fleet"
)

// TestEarly holds results that came before their turn. While they have as many bytes as may be, nobody sends.
func TestEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEarly(10)
		answer := func(text string) *fleet.Answer {
			return &fleet.Answer{Outcomes: []fleet.Outcome{{Output: []byte(text)}, {Failure: &fleet.Failure{Message: "why"}}}}
		}
		e.put(1, answer("abc"))
		if err := e.room(t.Context()); err != nil {
			t.Error(err)
		}
		e.put(2, answer("d"))
		if _, ok := e.take(0); ok {
			t.Error("an answer that has not come")
		}
		waits := make(chan error, 1)
		go func() { waits <- e.room(t.Context()) }()
		synctest.Wait()
		if len(waits) > 0 {
			t.Error("there is room, and 10 of 10 bytes are held")
		}
		if a, ok := e.take(1); !ok || string(a.Outcomes[0].Output) != "abc" {
			t.Errorf("%+v", a)
		}
		if err := <-waits; err != nil {
			t.Error(err)
		}
		e.put(3, answer("efg"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.room(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}
