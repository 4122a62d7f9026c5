package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/outage"
)

const (
	// beatsInAge is how many signs of life a host gives in the time for which one is kept.
	beatsInAge = 10
	// beatsHeard is how many signs of its own a host gives until those of all others count as heard, after it has joined or was cut off.
	beatsHeard = 2
	// rewatch is after how long what is wanted is read anew, whatever the server tells: one that dies takes what it tells with it.
	rewatch = 10 * time.Second
	// deployTimeout bounds the deployment of a release, its files' way included.
	deployTimeout = 10 * time.Minute
	// leaveTimeout bounds what a host tells when it leaves.
	leaveTimeout = 2 * callTimeout
)

// Member has a host serve what its fleet wants, and tell of itself.
type Member struct {
	control  *Control
	host     *host.Host
	worker   *Worker
	log      *slog.Logger
	name     string
	instance string
	since    time.Time

	ctx    context.Context //nolint:containedctx // the life of it
	cancel context.CancelFunc
	group  sync.WaitGroup
	left   sync.Once     // by Close, also after a Start that was told to end
	news   chan struct{} // has something if the next sign of life is to be given at once

	counts memberCounts
	teller *teller // nil tells nothing

	// What follows is the goroutine's that follows what is wanted, or Start's before that.
	entries map[string]jetstream.KeyValueEntry // of the bucket of what is wanted; nil of one that cannot be read
	plugins map[string]*held                   // by source
	unheard outage.Outage                      // which hosts there are cannot be read

	mu     sync.Mutex
	faults map[string]string // guarded by mu: why plugins are not as the fleet wants them, by source
	steady time.Time         // guarded by mu: since when signs of life arrive; zero while they do not
	beats  outage.Outage     // guarded by mu: they do not arrive
}

// held is what a host has of the fleet's plugin.
type held struct {
	release *Release  // that it deployed last; nil for none
	hash    string    // of that
	gave    bool      // it took the place of what the host had before the fleet, in a first roll-out that is not done
	missing time.Time // since when there is no record; zero while there is one
	trial   *trial    // nil but in a roll-out
	tried   string    // hash of the one that failed last; with pause
	again   time.Time
	pause   time.Duration // 0 but after a failure
}

type memberCounts struct{ deployed, refused, back, beatsFailed, readsFailed atomic.Uint64 }

// MemberStats is a snapshot of a member. Counters count from [Control.NewMember].
type MemberStats struct {
	// Deployed is how many releases the host has deployed, Refused how many could not be, and Back how often it went back to the
	// version before since a roll-out was stopped.
	Deployed, Refused, Back uint64
	// FetchedAgain is how often an object was asked for again, and Garbled how many entries of the fleet could not be read.
	FetchedAgain, Garbled uint64
	// BeatsFailed is how many signs of life did not arrive.
	BeatsFailed uint64
	// ReadsFailed is how often it could not be read what the fleet wants, whether the host is drained, or which hosts there are.
	ReadsFailed uint64
	// EventsDropped is how many events did not get to the fleet: what waits has a bound, and none is sent while NATS is away.
	EventsDropped uint64
	// Behind is how many plugins are not as the fleet wants them, and Draining whether the host takes no frames.
	Behind   int
	Draining bool
}

// Stats returns a snapshot.
func (m *Member) Stats() MemberStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return MemberStats{
		Deployed: m.counts.deployed.Load(), Refused: m.counts.refused.Load(), Back: m.counts.back.Load(),
		FetchedAgain: m.control.objects.again.Load(), Garbled: m.control.garbled.Load(), BeatsFailed: m.counts.beatsFailed.Load(),
		ReadsFailed: m.counts.readsFailed.Load(), EventsDropped: m.teller.dropped(),
		Behind: len(m.faults), Draining: m.worker.Draining(),
	}
}

// NewMember returns a member for a host and its worker, which is to be started before the worker is.
func (c *Control) NewMember(h *host.Host, w *Worker) *Member {
	m := &Member{
		control: c, host: h, worker: w, log: c.log, instance: nuid.Next(), since: time.Now(),
		entries: make(map[string]jetstream.KeyValueEntry), plugins: make(map[string]*held), faults: make(map[string]string),
		news: make(chan struct{}, 1),
	}
	m.name = cmp.Or(c.fleet.cfg.Name, m.instance)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Start has the host serve what the fleet wants by now, and from then on. Plugins that cannot be had are told to the log, and tried
// again. Who starts a member closes it, also after an error.
func (m *Member) Start(ctx context.Context) error {
	all, err := entries(ctx, m.control.wanted)
	if err != nil {
		return err
	}
	m.group.Go(m.live) // it is there while it compiles
	if m.teller != nil {
		m.group.Go(m.tell)
	}
	for _, e := range all {
		m.entries[e.Key()] = e
	}
	stop := context.AfterFunc(ctx, m.cancel)
	defer stop()
	m.drain(m.entries[drainKeyOf(m.name)] != nil)
	m.look(false)
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	m.group.Go(m.followWanted)
	m.group.Go(m.followDrain)
	return nil
}

// Close has the host follow the fleet no more, and tell that it has gone: a roll-out goes on without it. It returns when nothing of
// the member runs any more. Calling it again is fine.
func (m *Member) Close(ctx context.Context) (err error) {
	m.cancel()
	m.group.Wait()
	m.left.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
		defer cancel()
		err = m.leave(ctx)
		if gone := m.control.hosts.Purge(ctx, m.instance); gone != nil {
			err = errors.Join(err, fmt.Errorf("tell the fleet that the host has gone: %w", gone))
		}
	})
	return err
}

// leave gives back the places of roll-outs that the host has and is not through with.
func (m *Member) leave(ctx context.Context) error {
	all, err := m.control.Plugins(ctx) // a place may be stored that the host has not read yet
	errs := []error{err}
	for _, w := range all {
		tries := func() bool { return w.rolling() && w.Rollout.Places[m.instance].Step == StepTrying }
		if !tries() {
			continue
		}
		err := ErrConflict
		for errors.Is(err, ErrConflict) { // until ctx ends: each time somebody else has succeeded
			if w, err = m.control.Plugin(ctx, w.Plugin); err == nil && tries() {
				err = m.control.save(ctx, w.without(m.instance))
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// live gives signs of life.
func (m *Member) live() {
	tick := time.NewTicker(m.control.BeatEvery())
	defer tick.Stop()
	for {
		m.beat()
		select {
		case <-tick.C:
		case <-m.news:
		case <-m.ctx.Done():
			return
		}
	}
}

// beat gives a sign of life.
func (m *Member) beat() {
	info := m.info()
	data, err := info.encode()
	if err == nil {
		ctx, cancel := context.WithTimeout(m.ctx, callTimeout)
		_, err = m.control.hosts.Put(ctx, m.instance, data)
		cancel()
	}
	if m.ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		if lasted, ended := m.beats.End(); ended {
			m.log.Info("signs of life arrive again", "fleet", m.control.fleet.cfg.Fleet, "outage", lasted)
		}
		if m.steady.IsZero() {
			m.steady = time.Now()
		}
		return
	}
	m.counts.beatsFailed.Add(1)
	m.steady = time.Time{}
	if !m.beats.Begin() {
		m.control.fleet.unheard(time.Since(m.beats.Since()), err)
	} else {
		m.log.Warn("the host's signs of life do not arrive; it is tried again", "fleet", m.control.fleet.cfg.Fleet, "error", err)
	}
}

// steadyFor is for how long the host's own signs of life have arrived. Once they have for as long as one lasts, hosts of which there is
// none have gone.
func (m *Member) steadyFor() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.steady.IsZero() {
		return 0
	}
	return time.Since(m.steady)
}

// isThere reports whether others know of the host.
func (m *Member) isThere() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.steady.IsZero()
}

// info is what the host says of itself.
func (m *Member) info() *HostInfo {
	s, w := m.host.Stats(), m.worker.Stats()
	info := &HostInfo{
		Format: hostFormat, Host: m.name, Instance: m.instance, Since: m.since.UTC(),
		Workers: s.Workers, Active: s.Active, Waiting: s.QueueDepth,
		UnderWay: w.UnderWay, Frames: w.Answered, Draining: m.worker.Draining(), Transforms: transformsOf(m.host),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	add := func(p HostPlugin) {
		p.Failure = clip(oneLine(m.faults[p.Source]), maxFailure)
		if len(info.Plugins) < maxHostPlugins && len(p.Source) <= maxSourceName {
			info.Plugins = append(info.Plugins, p)
		}
	}
	there := make(map[string]bool)
	for i := range s.Plugins {
		p := &s.Plugins[i]
		for j := range p.Transforms {
			t := &p.Transforms[j]
			info.Tasks += t.OK
			for _, n := range t.Errors {
				info.Tasks, info.Failed = info.Tasks+n, info.Failed+n
			}
		}
		there[p.Source] = true
		of := HostPlugin{Source: p.Source, Version: clip(oneLine(p.Version), maxVersion), Hash: p.Hash}
		if p.Canary != nil {
			of.Canary = p.Canary.Hash
		}
		add(of)
	}
	for source := range m.faults {
		if !there[source] {
			add(HostPlugin{Source: source})
		}
	}
	return info
}

// transformsOf returns the names of a host's transforms, sorted; nil while it loads a plugin, which may bring others.
func transformsOf(h *host.Host) []string {
	names := []string{}
	for _, p := range h.Plugins() {
		if p.Deploying {
			return nil
		}
		for i := range p.Transforms {
			names = append(names, p.Transforms[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

// look does what is wanted. Only with rolling does it take part in roll-outs.
func (m *Member) look(rolling bool) {
	hosts := sync.OnceValue(m.presence) // for all roll-outs, and not without one
	for key, e := range m.entries {
		if m.ctx.Err() != nil {
			return
		}
		if e == nil {
			continue
		}
		if source, ok := strings.CutPrefix(key, pluginKey); ok {
			w, err := parseWanted(source, e.Value())
			if err != nil {
				m.refuse(e, err)
				continue
			}
			w.revision = e.Revision()
			m.step(w, rolling, hosts)
			continue
		}
		encoded, ok := strings.CutPrefix(key, drainKey)
		if _, err := drainedBy(encoded); !ok || err != nil { // others follow it, see followDrain
			m.refuse(e, errors.New("it is of no kind that this program knows"))
		}
	}
	m.forget()
}

// forget ends what the host does of plugins whose records were removed: it goes back to what it had before a first roll-out. A
// record counts as removed once it has been missing for as long as a sign of life lasts, as a server may be behind the others.
func (m *Member) forget() {
	for source, of := range m.plugins {
		_, there := m.entries[pluginKey+source]
		switch {
		case there:
			of.missing = time.Time{}
			continue
		case of.missing.IsZero():
			of.missing = time.Now()
		}
		if m.ctx.Err() != nil || time.Since(of.missing) < m.control.age {
			continue
		}
		m.step(&Wanted{Plugin: source}, false, nil)
		if !of.gave {
			delete(m.plugins, source)
		}
	}
}

// refuse notes an entry that cannot be read, once each time that the server tells of it.
func (m *Member) refuse(e jetstream.KeyValueEntry, err error) {
	m.entries[e.Key()] = nil
	m.control.refused(e, err)
}
