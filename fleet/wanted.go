package fleet

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/resonhost/resonhost/abi"
)

// wantedFormat is the number of the form of a stored Wanted.
const wantedFormat = 1

// endRoom is how much of an entry is left for the version of a release and why its roll-out ends.
const endRoom = 2 << 10

// RolloutState is how far a roll-out is.
type RolloutState string

// States of a roll-out.
const (
	RolloutRolling RolloutState = "rolling" // hosts take the release, a share of them at a time
	RolloutDone    RolloutState = "done"    // all hosts serve the release
	RolloutStopped RolloutState = "stopped" // hosts go back to the version before
)

// Step is how far a host is in a roll-out.
type Step string

// Steps of a host.
const (
	StepTrying Step = "trying" // it deploys the release, or watches it
	StepGood   Step = "good"   // the release has passed on this host
)

// Place is a host's place in a roll-out.
type Place struct {
	Host  string    `json:"host"`
	Step  Step      `json:"step"`
	Since time.Time `json:"since"`
}

// Rollout is the last roll-out of a plugin, which may be under way.
type Rollout struct {
	// ID tells it from others.
	ID      string       `json:"id"`
	Release Release      `json:"release"`
	State   RolloutState `json:"state"`
	// Reason is why it was stopped; "" if it was not.
	Reason string `json:"reason,omitempty"`
	// Began and Ended are when, by the clocks of who pushed and of the host that ended it.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`

	// Share is which share of the hosts tries the release at a time, one host at least.
	Share float64 `json:"share"`
	// WatchMS is for how many milliseconds a host watches the release.
	WatchMS int64 `json:"watch_ms"`
	// MaxErrors is which share of its tasks may fail by the plugin's fault, beyond the share that did before.
	MaxErrors float64 `json:"max_errors"`

	// Places are those of hosts, by the number of their process.
	Places map[string]Place `json:"places,omitempty"`
}

// Watch is for how long a host watches the release.
func (r *Rollout) Watch() time.Duration { return time.Duration(r.WatchMS) * time.Millisecond }

// Wanted is what a fleet wants of a plugin. It is stored as JSON.
type Wanted struct {
	Format int `json:"format"`
	// Plugin is the name of its source.
	Plugin string `json:"plugin"`
	// Current is what all hosts serve that have no place in the roll-out; nil until a first roll-out is done. Until then
	// hosts have what their directories have.
	Current *Release `json:"current,omitempty"`
	// Previous is what a rollback goes back to; nil without.
	Previous *Release `json:"previous,omitempty"`
	Rollout  Rollout  `json:"rollout"`

	revision uint64 // of the entry that was read; 0 for none
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

// parseWanted reads the entry of a plugin.
func parseWanted(plugin string, data []byte) (*Wanted, error) {
	w := &Wanted{}
	if err := parseEntry(data, w, &w.Format, wantedFormat, func() error { return w.check(plugin) }); err != nil {
		return nil, err
	}
	return w, nil
}

// check refuses what no program of a fleet has written.
func (w *Wanted) check(plugin string) error {
	r := &w.Rollout
	errs := []error{
		checkSourceName(plugin),
		must(w.Plugin == plugin, "plugin", "must be that of the key"),
		must(instanceName.MatchString(r.ID), "rollout.id", "must be letters and digits"),
		must(slices.Contains([]RolloutState{RolloutRolling, RolloutDone, RolloutStopped}, r.State), "rollout.state", "must be rolling, done or stopped"),
		must(len(r.Reason) <= maxReason && printable(r.Reason), "rollout.reason", "must be a line of text"),
		must(r.Share > 0 && r.Share <= 1, "rollout.share", "must be above 0, and at most 1"),
		must(r.WatchMS >= 0 && r.WatchMS <= MaxWatch.Milliseconds(), "rollout.watch_ms", "must be a day at most"),
		must(r.MaxErrors >= 0 && r.MaxErrors <= 1, "rollout.max_errors", "must be 0 to 1"),
		r.Release.check(plugin),
	}
	for _, of := range []*Release{w.Current, w.Previous} {
		if of != nil {
			errs = append(errs, of.check(plugin))
		}
	}
	for instance, p := range r.Places {
		errs = append(errs, must(instanceName.MatchString(instance) && checkHostName(p.Host) == nil && (p.Step == StepTrying || p.Step == StepGood),
			"rollout.places", "must have a host and a step each"))
	}
	return errors.Join(errs...)
}

// checkHostName refuses what is no name of a host.
func checkHostName(name string) error {
	if name == "" || len(name) > maxName || !printable(name) {
		return &abi.FieldError{Field: "host", Rule: fmt.Sprintf("must be 1 to %d bytes of text without control characters", maxName)}
	}
	return nil
}

// encode returns the stored form.
func (w *Wanted) encode() ([]byte, error) {
	data, err := json.Marshal(w, json.Deterministic(true))
	if err == nil && len(data) > maxEntry {
		err = fmt.Errorf("the roll-out of %s has %d hosts, and an entry of a bucket has room for %d bytes: use several fleets", w.Plugin, len(w.Rollout.Places), maxEntry)
	}
	return data, err
}

// clone returns a copy that may be changed.
func (w *Wanted) clone() *Wanted {
	c := *w
	c.Rollout.Places = maps.Clone(w.Rollout.Places)
	if c.Rollout.Places == nil {
		c.Rollout.Places = make(map[string]Place)
	}
	return &c
}

// rolling reports whether a roll-out is under way.
func (w *Wanted) rolling() bool { return w.Rollout.State == RolloutRolling }

// follows reports whether the entry is one that was stored, or what hosts have made of its roll-out since.
func (w *Wanted) follows(stored *Wanted) bool {
	ended := stored.Rollout.Ended
	return w.Rollout.ID == stored.Rollout.ID && (ended.IsZero() || w.Rollout.Ended.Equal(ended))
}

// Good returns how many hosts have found the release good.
func (r *Rollout) Good() int { return r.at(StepGood) }

// at returns how many hosts are at a step.
func (r *Rollout) at(step Step) (n int) {
	for _, p := range r.Places {
		if p.Step == step {
			n++
		}
	}
	return n
}

// presence is which hosts there are.
type presence struct {
	hosts []HostInfo
	heard bool // each has had the time to give a sign
	sure  bool // a host that is not among them has gone for certain
}

// has reports whether a host is among them, or may be.
func (p *presence) has(instance string) bool {
	return !p.sure || slices.ContainsFunc(p.hosts, func(h HostInfo) bool { return h.Instance == instance })
}

// take returns the entry with a place for a host, nil if there is none free. Places of hosts that have gone are left out. If the entry
// has no room, the roll-out is stopped with that reason.
func (w *Wanted) take(instance, name string, p *presence, now time.Time) *Wanted {
	if w.Rollout.at(StepTrying) >= max(1, int(w.Rollout.Share*float64(len(p.hosts)))) {
		return nil
	}
	next := w.clone()
	maps.DeleteFunc(next.Rollout.Places, func(of string, place Place) bool { return place.Step == StepGood && !p.has(of) })
	next.Rollout.Places[instance] = Place{name, StepTrying, now.UTC()}
	if data, err := next.encode(); err == nil && len(data) <= maxEntry-endRoom {
		return next
	}
	if !p.sure {
		return nil // some may have gone
	}
	return w.stopped(fmt.Sprintf("there is no room for the places of more than %d hosts: push with the hosts in several fleets", len(w.Rollout.Places)), now)
}

// good returns the entry with the release found good by a host, of which it said the version.
func (w *Wanted) good(instance, version string, now time.Time) *Wanted {
	next := w.clone()
	p := next.Rollout.Places[instance]
	p.Step, p.Since = StepGood, now.UTC()
	next.Rollout.Places[instance] = p
	if version = oneLine(version); next.Rollout.Release.Version == "" && len(version) <= maxVersion {
		next.Rollout.Release.Version = version
	}
	return next
}

// without returns the entry without the place of a host.
func (w *Wanted) without(instance string) *Wanted {
	next := w.clone()
	delete(next.Rollout.Places, instance)
	return next
}

// stopped returns the entry with the roll-out stopped for a reason.
func (w *Wanted) stopped(reason string, now time.Time) *Wanted {
	next := w.clone()
	next.Rollout.State, next.Rollout.Reason, next.Rollout.Ended = RolloutStopped, oneLine(reason), now.UTC()
	return next
}

// done returns the entry with the roll-out through.
func (w *Wanted) done(now time.Time) *Wanted {
	next := w.clone()
	next.Rollout.State, next.Rollout.Ended = RolloutDone, now.UTC()
	release := next.Rollout.Release
	next.Previous, next.Current = w.Current, &release
	return next
}

// outcome returns the entry that follows from which hosts there are, nil if nothing does: stopped, if one has gone that tried the
// release, or done, if all serve it that do frames.
func (w *Wanted) outcome(known *presence, now time.Time) *Wanted {
	there := make(map[string]bool, len(known.hosts))
	through := len(known.hosts) > 0
	for i := range known.hosts {
		h := &known.hosts[i]
		there[h.Instance] = true
		if p, ok := w.Rollout.Places[h.Instance]; (!ok || p.Step != StepGood) && !h.Draining {
			through = false
		}
	}
	for _, instance := range slices.Sorted(maps.Keys(w.Rollout.Places)) {
		p := w.Rollout.Places[instance]
		switch {
		case p.Step != StepTrying || there[instance]:
		case !known.sure:
			return nil
		default:
			return w.stopped(fmt.Sprintf("host %s has gone while it tried the release: see why it ended, and push again", p.Host), now)
		}
	}
	if through && w.Rollout.Good() > 0 {
		return w.done(now)
	}
	return nil
}
