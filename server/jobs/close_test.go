package jobs_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/state"
)

// hanging is a store that fails to save, or answers nothing until the context ends, while it is told to.
type hanging struct {
	state.Store

	fails, hangs atomic.Bool
}

func (f *hanging) Save(ctx context.Context, changes []state.Change) error {
	if f.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.fails.Load() {
		return state.ErrUnavailable
	}
	return f.Store.Save(ctx, changes)
}

// inState returns jobs that are kept in a store.
func inState(s state.Store) *jobs.StateStore {
	return jobs.NewStateStore(s, slog.New(slog.DiscardHandler))
}

// closes does so to a manager with 5 s, and fails if that takes longer than it may: those, and 10 s for the store.
func closes(b *bench) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Second)
	defer cancel()
	began := time.Now()
	lost := b.Close(ctx)
	b.Len() // as a server asks then
	if took := time.Since(began); took > 15*time.Second {
		b.t.Errorf("closing with 5 s took %v, and lost %d", took, lost)
	}
}

// TestCloseWhileStoreHangs closes a manager whose store answers nothing any more: while it deletes jobs that
// have expired, while jobs expire, and while jobs end.
func TestCloseWhileStoreHangs(t *testing.T) {
	const many = 50
	for name, c := range map[string]struct {
		transform string
		hang      func(*bench)
	}{
		"deletes": {"t.echo", func(b *bench) {
			time.Sleep(2 * time.Hour)
			b.Len()
		}},
		"expires": {"t.echo", func(*bench) { time.Sleep(2 * time.Hour) }},
		"ends":    {"t.wait", func(b *bench) { time.AfterFunc(6*time.Second, b.let) }},
		"drains":  {"t.wait", func(b *bench) { b.let() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := &hanging{Store: state.NewMemory()}
				b := start(t, jobs.Options{Store: inState(kept), Running: 4})
				for range many {
					j := b.submit(jobs.Spec{Owner: ann, Transform: c.transform, Input: input(1)})
					if c.transform == "t.echo" {
						b.wait(ann, j.ID)
					}
				}
				synctest.Wait()
				kept.hangs.Store(true)
				c.hang(b)
				closes(b)
			})
		})
	}
}

// TestCloseDeletes has a manager that closes delete what has expired while it drained.
func TestCloseDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := state.NewMemory()
		b := start(t, jobs.Options{Store: inState(kept)})
		b.wait(ann, b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}).ID)
		b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(1)})
		<-b.waits
		time.AfterFunc(2*time.Hour, func() {
			b.Len()
			b.let()
		})
		b.Close(t.Context())
		if n := records(t, kept); n != 2 {
			t.Errorf("%d records are left, want those of one job", n)
		}
	})
}
