package fleet

import (
	"fmt"
	"time"

	"github.com/resonhost/resonhost/host"
)

// minTasks is how many tasks of a plugin must have ended until their faults end a roll-out before its watch is over.
const minTasks = 20

// trial is a release on one host while a roll-out of it is under way.
type trial struct {
	rollout string            // its ID
	hash    string            // of the version
	before  map[string]faults // when it was deployed, by transform
	began   time.Time
	refused string // why it could not be deployed; "" if it was
}

// faults are tasks of a plugin that have ended, and those among them that failed by its fault.
type faults struct{ tasks, failed uint64 }

// guestFaults are the kinds of errors that are a plugin's fault.
var guestFaults = []host.Kind{host.KindTimeout, host.KindTrap, host.KindExit, host.KindOutOfMemory, host.KindOutOfFuel, host.KindABI}

// faultsOf returns those of the transforms that a plugin has now, by name; none of nil.
func faultsOf(p *host.PluginStats) map[string]faults {
	all := make(map[string]faults)
	if p == nil {
		return all
	}
	for i := range p.Transforms {
		t := &p.Transforms[i]
		f := faults{tasks: t.OK}
		for _, n := range t.Errors {
			f.tasks += n
		}
		for _, k := range guestFaults {
			f.failed += t.Errors[k]
		}
		all[t.Name] = f
	}
	return all
}

// sum returns the faults of all transforms together.
func sum(all map[string]faults) (f faults) {
	for _, of := range all {
		f.tasks, f.failed = f.tasks+of.tasks, f.failed+of.failed
	}
	return f
}

// after returns what came after before. A transform counts on from one version to the next, and one may have others than the last.
func after(now, before map[string]faults) faults {
	all := make(map[string]faults, len(now))
	for name, f := range now {
		all[name] = f.minus(before[name])
	}
	return sum(all)
}

func (f faults) share() float64 {
	if f.tasks == 0 {
		return 0
	}
	return float64(f.failed) / float64(f.tasks)
}

// minus returns what came after before, all of it if it counts anew.
func (f faults) minus(before faults) faults {
	if f.tasks < before.tasks || f.failed < before.failed {
		return f
	}
	return faults{f.tasks - before.tasks, f.failed - before.failed}
}

// verdict is what a host finds of a release.
type verdict int

const (
	pending verdict = iota
	passed
	failed
)

// statsOf returns the statistics of the plugin of a source's name; nil if none serves.
func statsOf(h *host.Host, source string) *host.PluginStats {
	s := h.Stats()
	for i := range s.Plugins {
		if s.Plugins[i].Source == source {
			return &s.Plugins[i]
		}
	}
	return nil
}

// judge returns what is found of the release by now. why is for failed.
func (t *trial) judge(p *host.PluginStats, r *Rollout, now time.Time) (v verdict, why string) {
	switch {
	case t.refused != "":
		return failed, t.refused
	case p == nil:
		return failed, "it serves no more"
	case p.Canary != nil && p.Canary.Hash == t.hash:
		t.began = now // the host's own rules decide first
		return pending, ""
	case p.Hash != t.hash && p.Failure != nil:
		return failed, p.Failure.Error()
	case p.Hash != t.hash:
		return failed, "somebody has replaced it on this host"
	case p.Suspended:
		return failed, "the plugin is suspended, as too many tasks failed in a row"
	}
	f, before := after(faultsOf(p), t.before), sum(t.before).share()
	over := now.Sub(t.began) >= r.Watch()
	if f.share() > r.MaxErrors+before && (over || f.tasks >= minTasks) {
		return failed, fmt.Sprintf("%d of %d tasks failed by its fault, and %.3g %% may (--max-errors), beyond the %.3g %% before it",
			f.failed, f.tasks, 100*r.MaxErrors, 100*before)
	}
	if over {
		return passed, ""
	}
	return pending, ""
}
