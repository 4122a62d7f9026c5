package sampler

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begin starts a sampler whose checker cannot be made, once allowed. What it compares, tests of
// package host see.
func begin(t *testing.T, every uint64, log *bytes.Buffer) (s *Sampler, allow func()) {
	t.Helper()
	allowed := make(chan struct{})
	s = Start(t.Context(), Config{
		Plugin: "p", Version: "1", Hash: "00", Every: every, Log: slog.New(slog.NewTextHandler(log, nil)),
		Checker: func(context.Context) (*module.Checker, error) {
			<-allowed
			return nil, errors.New("there is no room")
		},
	})
	t.Cleanup(s.Stop)
	return s, func() { close(allowed) }
}

// TestTurns has one of three tasks be taken, and those be skipped that say nothing.
func TestTurns(t *testing.T) {
	var log bytes.Buffer
	s, allow := begin(t, 3, &log)
	allow()
	for range 6 {
		s.Offer(&Task{Name: "t"})
	}
	for _, task := range []Task{{Starved: true}, {Item: abi.Item{Payload: make([]byte, maxSample+1)}}} {
		for range 3 {
			s.Offer(&task)
		}
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := s.Stats(), (Stats{Skipped: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := strings.Count(log.String(), "tasks cannot be compared with the interpreter"); got != 1 {
		t.Errorf("it is told %d times, want once: %s", got, log.String())
	}
}

// TestTooFast has more tasks come than wait.
func TestTooFast(t *testing.T) {
	var log bytes.Buffer
	s, allow := begin(t, 1, &log)
	for range 2 * maxSamples {
		s.Offer(&Task{Name: "t"})
	}
	if d := s.Stats().Dropped; d < maxSamples-1 {
		t.Errorf("%d of %d tasks are dropped", d, 2*maxSamples)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Finish(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want that the context has ended", err)
	}
	waiting := make(chan error)
	go func() { waiting <- s.Finish(t.Context()) }()
	s.cancel()
	allow()
	s.Stop()
	if err := <-waiting; err != nil && !errors.Is(err, ErrStopped) { // nil if it came too late
		t.Errorf("err %v, want that not all was compared", err)
	}
	if err := s.Finish(t.Context()); err != nil {
		t.Errorf("err %v after the end", err)
	}
}

// TestStoppedBefore has a sampler be stopped while it is waited for.
func TestStoppedBefore(t *testing.T) {
	s := &Sampler{queue: make(chan sample, maxSamples), stopped: make(chan struct{})}
	s.queue <- sample{Task: Task{Name: "t"}}
	waiting := make(chan error)
	go func() { waiting <- s.Finish(t.Context()) }()
	for len(s.queue) < 2 { // the mark is behind the task
		runtime.Gosched()
	}
	s.skipQueue()
	if err := <-waiting; !errors.Is(err, ErrStopped) {
		t.Errorf("err %v, want that not all was compared", err)
	}
}

// TestStopped has tasks that wait, and others that come, as the sampler ends: running tasks outlive
// it. All are counted and none is held.
func TestStopped(t *testing.T) {
	var log bytes.Buffer
	s, allow := begin(t, 1, &log)
	for range maxSamples / 2 {
		s.Offer(&Task{Name: "t"})
	}
	s.cancel()
	allow()
	s.Stop()
	if got, want := s.Stats(), (Stats{Skipped: maxSamples / 2}); got != want {
		t.Errorf("%+v in the end, want %+v", got, want)
	}
	for range 2 * maxSamples {
		s.Offer(&Task{Name: "t"})
	}
	if got, want := s.Stats(), (Stats{Skipped: maxSamples/2 + 2*maxSamples}); got != want || len(s.queue) > 0 {
		t.Errorf("%+v after the end, %d in the queue; want %+v", got, len(s.queue), want)
	}
	if log.Len() > 0 {
		t.Errorf("it is told: %s", log.String())
	}
}

// TestStopping has tasks come while the sampler ends.
func TestStopping(t *testing.T) {
	const callers, each = 4, 200
	s, allow := begin(t, 1, new(bytes.Buffer))
	allow()
	var offering sync.WaitGroup
	for range callers {
		offering.Go(func() {
			for range each {
				s.Offer(&Task{Name: "t"})
			}
		})
	}
	s.Stop()
	offering.Wait()
	if got := s.Stats(); got.Skipped+got.Dropped != callers*each || len(s.queue) > 0 {
		t.Errorf("%+v of %d tasks, %d in the queue", got, callers*each, len(s.queue))
	}
}

func TestNone(t *testing.T) {
	var s *Sampler
	s.Stop()
	if err := s.Finish(t.Context()); err != nil || s.Stats() != (Stats{}) || s.Mismatch() != "" {
		t.Errorf("err %v, %+v, %q", err, s.Stats(), s.Mismatch())
	}
}
