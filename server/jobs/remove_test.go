package jobs_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
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
