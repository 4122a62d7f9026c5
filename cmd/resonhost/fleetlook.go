package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
)

const (
	// fleetFresh is for how long what was seen of a fleet is shown to who asks the server.
	fleetFresh = time.Second
	// fleetPatience bounds a look for who asks the server.
	fleetPatience = 5 * time.Second
	// ratePast is how old figures are at most from which a rate is made.
	ratePast = time.Minute
)

// errNoNATS is shown to who asks a server for its fleet meanwhile.
var errNoNATS = errors.New("there is no connection to NATS; it is tried again")

// fleetEye looks at a fleet, and knows what it saw before. It is for one goroutine at a time.
type fleetEye struct {
	control *fleet.Control
	name    string
	before  map[string]seenHost // by the number of their process
}

// seenHost is what was seen of a host, for its rate.
type seenHost struct {
	tasks uint64
	at    time.Time
	rate  *float64
}

// look looks at the fleet. Of hosts that were there before it has the rates since then.
func (e *fleetEye) look(ctx context.Context) (*api.Fleet, error) {
	f := &api.Fleet{Time: time.Now().UTC(), Name: e.name, Plugins: []api.FleetPlugin{}, Drained: []string{}}
	hosts, err := e.control.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	f.Hosts = fleetHosts(hosts, e.control.BeatEvery())
	e.rate(f)
	plugins, err := e.control.Plugins(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range plugins {
		f.Plugins = append(f.Plugins, *fleetPlugin(w))
	}
	drained, err := e.control.Drained(ctx)
	if err != nil {
		return nil, err
	}
	f.Drained = append(f.Drained, drained...)
	q, err := e.control.Queue(ctx)
	f.Queue = api.FleetQueue{Waiting: q.Waiting, UnderWay: q.UnderWay, Bytes: q.Bytes, Oldest: q.Oldest.Seconds(), Dead: q.Dead}
	return f, err
}

// rate adds the hosts' rates, and remembers the hosts.
func (e *fleetEye) rate(f *api.Fleet) {
	seen := make(map[string]seenHost, len(f.Hosts))
	for i := range f.Hosts {
		h := &f.Hosts[i]
		now := seenHost{tasks: h.Tasks, at: f.Time.Add(-time.Duration(h.Age * float64(time.Second)))}
		if was, ok := e.before[h.Instance]; ok {
			switch passed := now.at.Sub(was.at); {
			case passed <= 100*time.Millisecond: // it has said nothing since
				now = was
			case passed <= ratePast:
				rate := float64(grown(h.Tasks, was.tasks)) / passed.Seconds()
				now.rate = &rate
			}
		}
		h.Rate = now.rate
		seen[h.Instance] = now
	}
	e.before = seen
}

// fleetHosts are hosts as programs are shown them. Each gives a sign of life every beatEvery.
func fleetHosts(hosts []fleet.HostInfo, beatEvery time.Duration) []api.FleetHost {
	list := make([]api.FleetHost, len(hosts))
	for i := range hosts {
		h := &hosts[i]
		list[i] = api.FleetHost{
			Name: h.Host, Instance: h.Instance, State: fleetHostState(h, hosts, beatEvery), Since: h.Since, Workers: h.Workers, Active: h.Active, Waiting: h.Waiting,
			UnderWay: h.UnderWay, Frames: h.Frames, Tasks: h.Tasks, Failed: h.Failed, Age: h.Age.Seconds(), Plugins: []api.FleetHostPlugin{}, Transforms: h.Transforms, Unreadable: h.Unreadable,
		}
		for _, p := range h.Plugins {
			list[i].Plugins = append(list[i].Plugins, api.FleetHostPlugin(p))
		}
	}
	return list
}

// silentBeats is how many signs of life a host must have missed to count as silent.
const silentBeats = 3

// replaced reports whether a host is silent and another of its name has joined since it did.
func replaced(h *fleet.HostInfo, hosts []fleet.HostInfo, beatEvery time.Duration) bool {
	return h.Age > silentBeats*beatEvery && slices.ContainsFunc(hosts, func(o fleet.HostInfo) bool {
		return o.Host == h.Host && o.Since.After(h.Since) && o.Age < h.Age
	})
}

func fleetHostState(h *fleet.HostInfo, hosts []fleet.HostInfo, beatEvery time.Duration) api.FleetHostState {
	switch {
	case h.Unreadable != "":
		return api.FleetHostUnreadable
	case replaced(h, hosts, beatEvery):
		return api.FleetHostGone
	case h.Drained():
		return api.FleetHostDrained
	case h.Draining:
		return api.FleetHostDraining
	}
	return api.FleetHostServing
}

// fleetPlugin is what a fleet wants of a plugin, as programs are shown it.
func fleetPlugin(w *fleet.Wanted) *api.FleetPlugin {
	r := &w.Rollout
	p := &api.FleetPlugin{
		Plugin: w.Plugin, Current: fleetRelease(w.Current), Previous: fleetRelease(w.Previous),
		Rollout: api.FleetRollout{
			ID: r.ID, Release: *fleetRelease(&r.Release), State: api.FleetRolloutState(r.State), Reason: r.Reason, Began: r.Began, Ended: r.Ended,
			Share: r.Share, WatchMS: r.WatchMS, MaxErrors: r.MaxErrors, Places: make(map[string]api.FleetPlace, len(r.Places)),
		},
	}
	for instance, place := range r.Places {
		p.Rollout.Places[instance] = api.FleetPlace{Host: place.Host, Step: api.FleetStep(place.Step), Since: place.Since}
	}
	return p
}

// fleetRelease is a release as programs are shown it; nil of nil.
func fleetRelease(r *fleet.Release) *api.FleetRelease {
	if r == nil {
		return nil
	}
	out := &api.FleetRelease{Hash: r.Hash, Version: r.Version, Files: make(map[string]api.FleetReleaseFile, len(r.Files))}
	for name, f := range r.Files {
		out.Files[name] = api.FleetReleaseFile(f)
	}
	return out
}

// fleetSeen is the fleet of a host, for its server. All who ask within a moment are shown the same, so that they do not ask
// NATS each for themselves.
type fleetSeen struct {
	turn chan struct{} // has a place for who looks
	eye  fleetEye      // guarded by turn, as is what follows
	last *api.Fleet
	err  error
	at   time.Time
}

func newFleetSeen(control *fleet.Control, name string) *fleetSeen {
	return &fleetSeen{turn: make(chan struct{}, 1), eye: fleetEye{control: control, name: name}}
}

// Name implements [server.Fleet].
func (s *fleetSeen) Name() string { return s.eye.name }

// Look implements [server.Fleet].
func (s *fleetSeen) Look(ctx context.Context) (*api.Fleet, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	if time.Since(s.at) < fleetFresh {
		return s.last, s.err
	}
	look, cancel := context.WithTimeout(ctx, fleetPatience)
	defer cancel()
	f, err := s.eye.look(look)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // which is of this caller alone
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // of a connection that holds nothing back
		err = errNoNATS
	}
	s.last, s.err, s.at = f, err, time.Now()
	return f, err
}
