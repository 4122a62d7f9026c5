package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Remove cancels a job of the owner's and forgets it with its results. If the store fails to delete it, the job
// stays, and may be removed again.
func (m *Manager) Remove(ctx context.Context, o Owner, id string) error {
	if _, err := m.Cancel(ctx, o, id); err != nil {
		return err
	}
	j, err := m.find(o, id)
	if err != nil {
		return nil //nolint:nilerr // somebody else has removed it
	}
	select {
	case <-j.done: // its state may be over before, while its end is being stored
	default:
		return context.Cause(ctx)
	}
	if !m.occupy(ctx, j) {
		return context.Cause(ctx)
	}
	err = m.delete(m.last, j) // whoever goes away meanwhile
	m.vacate(j, err == nil)
	return err
}

// occupy has the calls of the store for a job that is over be the caller's alone, until vacate. It waits for
// whoever has them. A job that is gone, or ctx that ends first, is false.
func (m *Manager) occupy(ctx context.Context, j *job) bool {
	for {
		m.mu.Lock()
		busy := j.busy
		if busy == nil && m.jobs[j.record.Job.ID] == j {
			j.busy = make(chan struct{})
			m.over = slices.DeleteFunc(m.over, func(other *job) bool { return other == j }) // it does not expire meanwhile
		}
		gone := m.jobs[j.record.Job.ID] != j
		m.mu.Unlock()
		switch {
		case gone:
			return false
		case busy == nil:
			return true
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return false
		}
	}
}

// vacate ends what occupy began. A job that is gone from the store is forgotten.
func (m *Manager) vacate(j *job, gone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if gone {
		m.forgetLocked(j)
	} else {
		m.overLocked(j)
	}
	close(j.busy)
	j.busy = nil
}

// sweep forgets jobs that have been over for long enough, and returns them for dropLater.
func (m *Manager) sweep() (old []*job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(m.over) > 0 && !now.Before(m.over[0].record.Job.Expires) {
		old = append(old, m.over[0])
		m.forgetLocked(m.over[0])
		m.over[0] = nil
		m.over = m.over[1:]
	}
	return old
}

// dropLater has the store forget jobs, too, while the caller goes on: there may be thousands. Once the
// manager is closed nobody would wait for that: Close sees to those that come before it has ended, and the
// next start to those behind.
func (m *Manager) dropLater(old []*job) {
	if len(old) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped = append(m.dropped, old...)
	if !m.drops && !m.closed {
		m.drops = true
		m.running.Go(func() { _ = m.drop(m.last) }) // it tells by itself
	}
}

// drop deletes from the store what there is to drop, until there is no more or the store fails: one that
// hangs takes as long for each. Its caller has set drops.
func (m *Manager) drop(ctx context.Context) error {
	for {
		j := m.nextDropped()
		if j == nil {
			return nil
		}
		if err := m.delete(ctx, j); err != nil {
			m.dropAgain(ctx, j, err)
			m.mu.Lock()
			m.drops = false
			m.mu.Unlock()
			return fmt.Errorf("job %s is not deleted: %w", j.record.Job.ID, err)
		}
	}
}

// nextDropped returns what is to be deleted next. If there is nothing, nobody sees to it any more.
func (m *Manager) nextDropped() *job {
	m.mu.Lock()
	if len(m.dropped) > 0 {
		defer m.mu.Unlock()
		j := m.dropped[0]
		m.dropped[0] = nil
		m.dropped = m.dropped[1:]
		return j
	}
	m.drops = false
	lasted, ended := m.outage.End()
	m.mu.Unlock()
	if ended {
		m.log.Info("jobs that are gone are deleted from the store again", "outage", lasted)
	}
	return nil
}

// dropAgain takes note of a job that the store failed to delete, which is tried again after the others. It logs
// the first failure.
func (m *Manager) dropAgain(ctx context.Context, j *job, err error) {
	m.mu.Lock()
	m.dropped = append(m.dropped, j)
	begins := ctx.Err() == nil && m.outage.Begin()
	m.mu.Unlock()
	if begins {
		m.log.Error("a job that is gone could not be deleted from the store; each save of state tries it again", "job", j.record.Job.ID, "error", err)
	}
}

// dropRest deletes what is still to be dropped, unless somebody does.
func (m *Manager) dropRest(ctx context.Context) error {
	m.mu.Lock()
	alone := !m.drops
	m.drops = true
	m.mu.Unlock()
	if !alone {
		return nil
	}
	return m.drop(ctx)
}

// Flush has the store delete what it has failed to delete, and save what it still has in memory, such as
// [StateStore] has. It is to be called now and then, and logs the first failure.
func (m *Manager) Flush(ctx context.Context) error {
	err := m.dropRest(ctx)
	if s, ok := m.opts.Store.(interface {
		Flush(ctx context.Context) error
	}); ok {
		err = errors.Join(err, s.Flush(ctx))
	}
	return err
}

// delete has the store forget a job.
func (m *Manager) delete(ctx context.Context, j *job) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	return m.opts.Store.Delete(ctx, j.record.Job.ID)
}
