package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/state"
)

// store is one that heeds contexts, as one on disk or of a database does, and that can be held up and
// fail.
type store struct {
	jobs.Store

	// entered has one for each Put of a job in the state held, which then waits for go, or the end of
	// its context if that is nil.
	held    api.JobState
	entered chan struct{}
	leave   chan struct{}

	failPut, failAppend error

	slow time.Duration // of Delete
}

func (s *store) Put(ctx context.Context, r jobs.Record) error {
	if r.Job.State == s.held {
		s.entered <- struct{}{}
		select {
		case <-s.leave:
		case <-ctx.Done():
		}
		if s.failPut != nil {
			return s.failPut
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.Put(ctx, r)
}

func (s *store) Append(ctx context.Context, id string, lines []byte) error {
	if s.failAppend != nil {
		return s.failAppend
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.Append(ctx, id, lines)
}

func (s *store) Delete(ctx context.Context, id string) error {
	time.Sleep(s.slow)
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id)
}

func held(in api.JobState) *store {
	return &store{Store: jobs.NewMemoryStore(), held: in, entered: make(chan struct{}), leave: make(chan struct{})}
}

// isEmpty looks that a store has no job.
func isEmpty(t *testing.T, s jobs.Store) {
	t.Helper()
	if records, err := s.All(t.Context()); err != nil || len(records) > 0 {
		t.Errorf("the store has %+v, %v", records, err)
	}
}

// TestCancelWhileStored cancels a job of which Submit waits for the store.
func TestCancelWhileStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := held(api.JobQueued)
		b := start(t, jobs.Options{Store: s})
		submitted := make(chan api.Job)
		go func() { submitted <- b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}) }()
		<-s.entered
		id := b.List(ann)[0].ID
		cancelled := make(chan api.Job)
		go func() {
			j, err := b.Cancel(t.Context(), ann, id)
			if err != nil {
				t.Error(err)
			}
			cancelled <- j
		}()
		synctest.Wait()
		close(s.leave)
		if j := <-submitted; j.State != api.JobCancelled || j.ID != id {
			t.Errorf("submitted: %+v", j)
		}
		if j := <-cancelled; j.State != api.JobCancelled || j.Done != 0 {
			t.Errorf("cancelled: %+v", j)
		}
	})
}

// TestSubmitFails has the store fail, or the manager close, while Submit waits for the store. Who waits
// for the job is told, and nothing is left.
func TestSubmitFails(t *testing.T) {
	for name, fail := range map[string]error{
		"closed": nil, "store": errors.New("user resonhost: no password"), "away": fmt.Errorf("no password: %w", state.ErrUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := held(api.JobQueued)
				s.failPut = fail
				b := start(t, jobs.Options{Store: s})
				submitted, waited := make(chan error), make(chan api.Job)
				go func() {
					_, err := b.Submit(t.Context(), jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
					submitted <- err
				}()
				<-s.entered
				id := b.List(ann)[0].ID
				go func() { waited <- b.wait(ann, id) }()
				synctest.Wait()
				want := host.KindHost
				switch {
				case fail == nil:
					want = host.KindUnavailable
					b.Close(t.Context())
				case errors.Is(fail, state.ErrUnavailable):
					want = host.KindStateUnavailable
				}
				close(s.leave)
				if err := <-submitted; host.KindOf(err) != want || strings.Contains(err.Error(), "password") {
					t.Errorf("%v, want %s", err, want)
				}
				if j := <-waited; j.State != api.JobFailed || j.Error.Kind != want {
					t.Errorf("%+v", j)
				}
				isEmpty(t, s)
			})
		})
	}
}

// TestCancelWhileBegun cancels a job whose store is told that it runs: it is cancelled, and no failure
// of the store.
func TestCancelWhileBegun(t *testing.T) {
	s := held(api.JobRunning)
	b := start(t, jobs.Options{Store: s})
	j := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
	<-s.entered
	if got, err := b.Cancel(t.Context(), ann, j.ID); err != nil || got.State != api.JobCancelled || got.Error.Kind != host.KindCancelled {
		t.Errorf("%+v, %+v, %v", got, got.Error, err)
	}
}

// TestLastLine has jobs that are lost say so in their results, though the manager's context has ended;
// and what is removed after is gone.
func TestLastLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := held("")
		b := start(t, jobs.Options{Store: s, Running: 2})
		var ids []string
		for range 2 {
			ids = append(ids, b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(2)}).ID)
		}
		<-b.waits
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		closed := make(chan int)
		go func() { closed <- b.Close(ctx) }()
		synctest.Wait()
		b.let() // native code cannot be stopped
		if lost := <-closed; lost != 2 {
			t.Errorf("%d were lost, want 2", lost)
		}
		for _, id := range ids {
			if text := b.results(ann, id); !strings.Contains(text, "the server ended") {
				t.Errorf("results %q of %+v", text, b.wait(ann, id))
			}
			if err := b.Remove(t.Context(), ann, id); err != nil {
				t.Error(err)
			}
		}
		isEmpty(t, s)
	})
}

// TestStoreFails has the log alone say why a store failed.
func TestStoreFails(t *testing.T) {
	var log bytes.Buffer
	s := held("")
	s.failAppend = errors.New("user resonhost: no password")
	b := start(t, jobs.Options{Store: s, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	got := b.wait(ann, b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}).ID)
	if got.State != api.JobFailed || got.Error.Kind != host.KindHost || strings.Contains(got.Error.Detail, "password") {
		t.Errorf("%+v", got.Error)
	}
	if !strings.Contains(log.String(), "no password") {
		t.Errorf("the log has %q", log.String())
	}
}
