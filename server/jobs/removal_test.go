package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/state"
)

// blocked is a store that holds up results, and so the last line of a job that was cancelled.
type blocked struct {
	jobs.Store

	entered, leave chan struct{}
}

func (s *blocked) Append(ctx context.Context, id string, lines []byte) error {
	s.entered <- struct{}{}
	<-s.leave
	return s.Store.Append(ctx, id, lines)
}

// TestRemoveWhileEndIsStored removes a job while its end is being stored, by a client that goes away. The job
// stays whole until it is removed again, which leaves nothing of it.
func TestRemoveWhileEndIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := state.NewMemory()
		s := &blocked{Store: inState(kept), entered: make(chan struct{}), leave: make(chan struct{})}
		b := start(t, jobs.Options{Store: s, Running: 1})
		b.submit(jobs.Spec{Owner: bob, Transform: "t.wait", Input: input(1)})
		<-b.waits
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
		cancelled := make(chan error)
		go func() {
			_, err := b.Cancel(t.Context(), ann, j.ID)
			cancelled <- err
		}()
		<-s.entered
		ctx, gone := context.WithCancel(t.Context())
		gone()
		if got, err := b.Get(ann, j.ID); err != nil || got.State != api.JobCancelled {
			t.Errorf("%+v, %v", got, err)
		}
		if err := b.Remove(ctx, ann, j.ID); !errors.Is(err, context.Canceled) {
			t.Errorf("the removal of who has gone: error %v", err)
		}
		s.leave <- struct{}{}
		if err := <-cancelled; err != nil {
			t.Error(err)
		}
		if err := b.Remove(t.Context(), ann, j.ID); err != nil {
			t.Error(err)
		}
		if _, err := b.Get(ann, j.ID); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("error %v of a job that was removed", err)
		}
		for _, c := range b.Collectors() {
			if n := gauge(t, c, "resonhost_jobs"); n > 1 {
				t.Errorf("%v jobs are left, want the other", n)
			}
			if n := gauge(t, c, "resonhost_job_bytes"); n > 1<<11 {
				t.Errorf("%v bytes are held, want those of the other job", n)
			}
		}
		again, err := jobs.New(t.Context(), b.host, codec.New(), jobs.Options{Store: inState(kept)})
		if err != nil {
			t.Fatal(err)
		}
		if list := again.List(ann); len(list) > 0 {
			t.Errorf("after a restart there is %+v", list)
		}
		again.Close(t.Context())
		go func() { // the result of the other
			<-s.entered
			s.leave <- struct{}{}
		}()
	})
}

// TestRemoveFails removes a job whose store fails. It stays, also after a restart, until it is removed again.
func TestRemoveFails(t *testing.T) {
	kept := &hanging{Store: state.NewMemory()}
	b := start(t, jobs.Options{Store: inState(kept)})
	j := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
	b.wait(ann, j.ID)
	kept.fails.Store(true)
	for range 2 {
		if err := b.Remove(t.Context(), ann, j.ID); !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
	}
	if got := b.results(ann, j.ID); got != string(input(1)) {
		t.Errorf("results %q of a job that could not be removed", got)
	}
	kept.fails.Store(false)
	if err := b.Remove(t.Context(), ann, j.ID); err != nil {
		t.Error(err)
	}
	if _, err := b.Get(ann, j.ID); !errors.Is(err, jobs.ErrNotFound) || b.Len() > 0 {
		t.Errorf("error %v of a job that was removed, %d jobs", err, b.Len())
	}
	if n := records(t, kept); n > 0 {
		t.Errorf("%d records are left", n)
	}
}

// TestExpiryFails has jobs expire, and one refused, while the store fails. Their records are deleted by
// the first save once it does not.
func TestExpiryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		kept := &hanging{Store: state.NewMemory()}
		b := start(t, jobs.Options{Store: inState(kept), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 100 {
			b.wait(ann, b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}).ID)
		}
		kept.fails.Store(true)
		if _, err := b.Submit(t.Context(), jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}); host.KindOf(err) != host.KindStateUnavailable {
			t.Errorf("error %v", err)
		}
		time.Sleep(2 * time.Hour)
		if n := b.Len(); n > 0 {
			t.Errorf("%d jobs have not expired", n)
		}
		synctest.Wait()
		for range 2 {
			if err := b.Flush(t.Context()); !errors.Is(err, state.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
		}
		kept.fails.Store(false)
		if err := b.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if n := records(t, kept); n > 0 {
			t.Errorf("%d records are left", n)
		}
		if n := strings.Count(log.String(), "could not be deleted"); n != 1 || strings.Count(log.String(), "are deleted from the store again") != 1 {
			t.Errorf("the log tells %d times of what was not deleted:\n%s", n, &log)
		}
	})
}

// TestRefusedWhileNotDeleted submits to a store that fails. What is still to be deleted there takes memory, so its
// number is bounded, too.
func TestRefusedWhileNotDeleted(t *testing.T) {
	kept := &hanging{Store: state.NewMemory()}
	b := start(t, jobs.Options{Store: inState(kept), MaxJobs: 8})
	submit := func() error {
		_, err := b.Submit(t.Context(), jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
		return err
	}
	kept.fails.Store(true)
	for i := range 20 {
		err := submit()
		if host.KindOf(err) != host.KindStateUnavailable || strings.Contains(err.Error(), "does not delete") != (i >= 8) {
			t.Errorf("%d: error %v", i, err)
		}
	}
	kept.fails.Store(false)
	if err := errors.Join(b.Flush(t.Context()), submit()); err != nil {
		t.Error(err)
	}
}

// slowly is a store that holds up deletions, before and after they are done.
type slowly struct {
	jobs.Store

	entered, leave chan struct{}
}

func (s *slowly) Delete(ctx context.Context, id string) error {
	s.entered <- struct{}{}
	<-s.leave
	err := s.Store.Delete(ctx, id)
	s.entered <- struct{}{}
	<-s.leave
	return err
}

// TestRemoveAlone removes a job by many at once, while others read it and it expires. The store is called once; readers have
// its results, or are told that there is no such job.
func TestRemoveAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := state.NewMemory()
		s := &slowly{Store: inState(kept), entered: make(chan struct{}), leave: make(chan struct{})}
		b := start(t, jobs.Options{Store: s, Age: time.Second})
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
		b.wait(ann, j.ID)
		var all sync.WaitGroup
		remove := func() {
			if err := b.Remove(t.Context(), ann, j.ID); err != nil {
				t.Error(err)
			}
		}
		reads := func() error {
			_, _, err := b.Results(t.Context(), ann, j.ID, 0, make([]byte, 100), true)
			return err
		}
		all.Go(remove)
		<-s.entered
		for range 10 {
			all.Go(remove)
		}
		if err := reads(); err != nil {
			t.Error(err)
		}
		ctx, gone := context.WithCancel(t.Context())
		gone()
		if err := b.Remove(ctx, ann, j.ID); !errors.Is(err, context.Canceled) {
			t.Errorf("the removal of who has gone: error %v", err)
		}
		time.Sleep(2 * time.Second) // it has expired
		b.Len()
		s.leave <- struct{}{}
		<-s.entered // it is deleted
		all.Go(func() {
			if err := reads(); !errors.Is(err, jobs.ErrNotFound) {
				t.Errorf("a reader has error %v", err)
			}
		})
		synctest.Wait()
		s.leave <- struct{}{}
		all.Wait()
		if n := records(t, kept); n > 0 || b.Len() > 0 {
			t.Errorf("%d records and %d jobs are left", n, b.Len())
		}
	})
}
