package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/resonhost/resonhost/host"
)

// How soon a release is tried again that all are to serve and this host could not deploy, at first and at last.
const firstRetry, lastRetry = time.Second, time.Minute

// step does what is wanted of a plugin. hosts is which there are; nil if that cannot be read.
func (m *Member) step(w *Wanted, rolling bool, hosts func() *presence) {
	of := m.plugins[w.Plugin]
	if of == nil {
		of = &held{}
		m.plugins[w.Plugin] = of
	}
	place, placed := w.Rollout.Places[m.instance]
	if placed && w.rolling() && rolling {
		m.try(w, of, place)
	} else {
		if of.trial != nil {
			m.ended(w, of)
		}
		m.converge(w, of)
	}
	if w.rolling() && rolling {
		m.advance(w, placed, hosts())
	}
}

// save stores an entry. That somebody else has come before is as good: the entry that they stored is looked at next.
func (m *Member) save(w *Wanted) {
	if err := m.control.save(m.ctx, w); err != nil && !errors.Is(err, ErrConflict) && m.ctx.Err() == nil {
		m.log.Warn("the fleet could not be told how far a roll-out is; it is tried again", "plugin", w.Plugin, "error", err)
	}
}

// try deploys the release of a roll-out, or sees how it does.
func (m *Member) try(w *Wanted, of *held, place Place) {
	r := &w.Rollout
	if of.trial == nil || of.trial.rollout != r.ID {
		before := faultsOf(statsOf(m.host, w.Plugin))
		if of.waits(r.Release.Hash) {
			return
		}
		m.log.Info("the host tries a release of the fleet", "plugin", w.Plugin, "hash", r.Release.Hash, "rollout", r.ID)
		result, err := m.deploy(w.Plugin, &r.Release, of)
		if m.ctx.Err() != nil {
			return // which is no fault of the release
		}
		if unread := (*fetchError)(nil); errors.As(err, &unread) {
			m.later(w.Plugin, of, r.Release.Hash, err)
			return
		}
		of.trial = &trial{rollout: r.ID, before: before, hash: r.Release.Hash, began: time.Now()}
		if err != nil {
			of.trial.refused = err.Error()
		} else if of.pause = 0; w.Current == nil && result != host.DeployUnchanged {
			of.gave = true
		}
	}
	stats := statsOf(m.host, w.Plugin)
	switch v, why := of.trial.judge(stats, r, time.Now()); {
	case v == failed:
		m.stop(w, why)
	case v == passed && place.Step == StepTrying:
		m.save(w.good(m.instance, stats.Version, time.Now()))
	}
}

// stop stops a roll-out for what this host found.
func (m *Member) stop(w *Wanted, why string) {
	m.log.Warn("a roll-out of the fleet is stopped by this host", "plugin", w.Plugin, "hash", w.Rollout.Release.Hash, "rollout", w.Rollout.ID, "reason", why)
	m.save(w.stopped("host "+m.name+": "+why, time.Now()))
}

// presence reads which hosts there are; nil if that cannot be.
func (m *Member) presence() *presence {
	const what = "which hosts there are"
	steady := m.steadyFor() // before it reads: a sign that came meanwhile may be missing
	hosts, err := m.control.Hosts(m.ctx)
	if err != nil {
		if m.ctx.Err() == nil {
			m.readFailed(&m.unheard, what, err)
		}
		return nil
	}
	m.readAgain(&m.unheard, what)
	return &presence{hosts: hosts, heard: steady > beatsHeard*m.control.BeatEvery(), sure: steady > m.control.age}
}

// advance does what a roll-out needs that no host has to do rather than another: it takes a free place, and ends the roll-out.
func (m *Member) advance(w *Wanted, placed bool, known *presence) {
	if known == nil {
		return
	}
	if known.heard {
		if next := w.outcome(known, time.Now()); next != nil {
			m.save(next)
			return
		}
	}
	if placed || m.worker.taking.Err() != nil || m.worker.Draining() || !m.isThere() {
		return
	}
	if next := w.take(m.instance, m.name, known, time.Now()); next != nil {
		m.save(next)
	}
}

// ended ends the part that the host has in a roll-out that is over, or in which it has no place.
func (m *Member) ended(w *Wanted, of *held) {
	r := &w.Rollout
	if of.trial.rollout == r.ID && r.State == RolloutDone {
		m.log.Info("a roll-out of the fleet is done", "plugin", w.Plugin, "hash", r.Release.Hash, "rollout", r.ID)
		of.trial = nil
		return
	}
	of.trial = nil
	if w.Current == nil && !of.gave || of.release == nil || of.release.same(w.Current) {
		return
	}
	m.counts.back.Add(1)
	m.log.Warn("a roll-out of the fleet was stopped; the host goes back", "plugin", w.Plugin, "hash", of.hash, "rollout", r.ID, "reason", r.Reason)
}

// fetchError is a release whose files could not be read by now, which says nothing about them.
type fetchError struct {
	file string
	err  error
}

func (e *fetchError) Error() string { return e.file + ": " + e.err.Error() }

func (e *fetchError) Unwrap() error { return e.err }

// waits reports whether a release failed so lately that it is not tried by now.
func (of *held) waits(hash string) bool {
	return of.pause > 0 && of.tried == hash && time.Now().Before(of.again)
}

// later has a release that failed be tried again, after a pause that doubles. The log is told the first time.
func (m *Member) later(plugin string, of *held, hash string, err error) {
	if of.pause == 0 || of.tried != hash {
		m.log.Warn("the host does not serve what the fleet wants; it is tried again", "plugin", plugin, "error", err)
		of.pause = 0
	}
	of.pause = min(max(firstRetry, 2*of.pause), lastRetry)
	of.tried, of.again = hash, time.Now().Add(of.pause)
}

// converge has the host serve what all do that have no place in a roll-out.
func (m *Member) converge(w *Wanted, of *held) {
	want, hash := w.Current, ""
	if want != nil {
		hash = want.Hash
	}
	p := statsOf(m.host, w.Plugin)
	if want != nil {
		of.gave = false // all serve a release: there is nothing before the fleet to go back to
	}
	switch {
	case want == nil && !of.gave, want != nil && of.release.same(want) && p != nil && p.Hash == of.hash && p.Canary == nil:
		m.note(w.Plugin, nil) // also of a release that the host has refused
		of.pause = 0
		return
	case of.waits(hash):
		return
	}
	err := m.back(w.Plugin, want, of, p)
	m.note(w.Plugin, err)
	switch {
	case err == nil:
		of.pause = 0
	case m.ctx.Err() == nil:
		m.later(w.Plugin, of, hash, err)
	}
}

// back has the host serve a release that others serve already: as the version before if it is that, without a canary. nil is for what the
// host had before it followed the fleet.
func (m *Member) back(plugin string, want *Release, of *held, p *host.PluginStats) error {
	ctx, cancel := context.WithTimeout(m.ctx, deployTimeout)
	defer cancel()
	if want == nil {
		err := m.giveUp(ctx, plugin, of, p)
		if err == nil {
			of.release, of.hash, of.gave = nil, "", false
		}
		return err
	}
	if p != nil && p.Previous == want.Hash && p.Canary == nil {
		if err := m.host.Rollback(ctx, plugin, host.StateDefault); err != nil {
			m.log.Warn("the version before does not serve again; it is deployed anew", "plugin", plugin, "error", err)
		}
	}
	result, err := m.deploy(plugin, want, of)
	if err == nil && result == host.DeployCanary { // others have tried it
		if err = m.host.Promote(ctx, plugin); errors.Is(err, host.ErrNoCanary) {
			err = nil
		}
	}
	return err
}

// giveUp has the host serve what it did before it deployed a release, if it still has that.
func (m *Member) giveUp(ctx context.Context, plugin string, of *held, p *host.PluginStats) error {
	if p == nil || p.Hash != of.hash && (p.Canary == nil || p.Canary.Hash != of.hash) {
		return nil
	}
	err := m.host.Rollback(ctx, plugin, host.StateDefault)
	if errors.Is(err, host.ErrNoPrevious) {
		err = m.host.Unload(ctx, plugin)
	}
	return err
}

// deploy fetches a release, and deploys it.
func (m *Member) deploy(plugin string, r *Release, of *held) (result host.DeployResult, err error) {
	defer func() {
		if m.note(plugin, err); err != nil && m.ctx.Err() == nil {
			m.counts.refused.Add(1)
		}
	}()
	ctx, cancel := context.WithTimeout(m.ctx, deployTimeout)
	defer cancel()
	files := make(map[string][]byte, len(r.Files))
	for name, f := range r.Files {
		files[name], err = m.control.objects.fetch(ctx, f)
		switch broken := (*DigestError)(nil); {
		case errors.As(err, &broken):
			return host.DeployFailed, fmt.Errorf("%s: %w", name, err)
		case err != nil:
			return host.DeployFailed, &fetchError{name, err}
		}
	}
	source := host.SourceOf(plugin, files)
	if source.Hash() != r.Hash {
		return host.DeployFailed, fmt.Errorf("plugin %s: its files have the hash %s, and the release says %s: push the file again", plugin, source.Hash(), r.Hash)
	}
	if result, err = m.host.Deploy(ctx, source); err != nil {
		return result, err
	}
	of.release, of.hash, of.tried = r, r.Hash, ""
	if result != host.DeployUnchanged {
		m.counts.deployed.Add(1)
	}
	return result, nil
}

// note notes whether a plugin is as the fleet wants it.
func (m *Member) note(plugin string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		delete(m.faults, plugin)
		return
	}
	if m.ctx.Err() == nil {
		m.faults[plugin] = err.Error()
	}
}
