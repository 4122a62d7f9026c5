package sampler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sampler"
)

// TestLargeSamples has tasks of which the bytes are just as many as are copied, and of one more,
// wherever that is.
func TestLargeSamples(t *testing.T) {
	defer goleak.VerifyNone(t)
	const most = 1 << 20
	asked := 0
	s := sampler.Start(t.Context(), sampler.Config{
		Plugin: "p", Every: 1, Log: slog.New(slog.DiscardHandler),
		Checker: func(context.Context) (*module.Checker, error) {
			asked++
			return nil, errors.New("there is none")
		},
	})
	defer s.Stop()
	quarter := func() []byte { return bytes.Repeat([]byte("x"), most/4) }
	task := func() *sampler.Task {
		return &sampler.Task{
			Item:   abi.Item{Payload: quarter(), State: quarter()},
			Result: abi.Result{Payload: quarter(), State: quarter()},
		}
	}
	for name, grow := range map[string]func(*sampler.Task) *[]byte{
		"input":     func(t *sampler.Task) *[]byte { return &t.Item.Payload },
		"state":     func(t *sampler.Task) *[]byte { return &t.Item.State },
		"output":    func(t *sampler.Task) *[]byte { return &t.Result.Payload },
		"new state": func(t *sampler.Task) *[]byte { return &t.Result.State },
	} {
		before := s.Stats().Skipped
		large := task()
		*grow(large) = append(*grow(large), 'x')
		s.Offer(large)
		if got := s.Stats(); got.Skipped != before+1 {
			t.Errorf("one byte more of %s: %+v, want %d skipped", name, got, before+1)
		}
	}
	if err := s.Finish(t.Context()); err != nil || asked > 0 {
		t.Errorf("err %v; large tasks were taken to be compared: %v", err, asked > 0)
	}
	s.Offer(task())
	if err := s.Finish(t.Context()); err != nil || asked != 1 {
		t.Errorf("err %v; a task of %d bytes was taken %d times to be compared, want once", err, most, asked)
	}
	if got, want := s.Stats(), (sampler.Stats{Skipped: 5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
