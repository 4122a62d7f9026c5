package host

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/resonhost/resonhost/host/event"
)

// retired is what does not serve any more.
type retired struct {
	transforms []*transform
	versions   []*version
}

// publishLocked makes the plugin serve next, or nothing if that is nil, in one store.
// What does not serve any more it returns for [plugins.retire].
func (ps *plugins) publishLocked(p *plugin, next *serving) (gone retired) {
	before := p.serving.Load()
	kept := next.versions()
	for _, v := range kept {
		if v.specs == nil { // else tasks read them
			p.bindLocked(v, ps.runner, ps.cfg.Mode == ModeSandbox)
		}
		if !slices.Contains(p.versions, v) {
			p.versions = append(p.versions, v)
		}
	}
	for _, v := range before.versions() {
		if !slices.Contains(kept, v) {
			gone.versions = append(gone.versions, v)
		}
	}
	p.transforms = slices.DeleteFunc(p.transforms, func(t *transform) bool {
		if slices.ContainsFunc(kept, func(v *version) bool { return v.spec(t.slot) != nil }) {
			return false
		}
		for _, v := range before.versions() {
			if v.spec(t.slot) != nil {
				t.last.Store(v) // before the store below: its tasks find one or the other
			}
		}
		gone.transforms = append(gone.transforms, t)
		return true
	})
	p.serving.Store(next)
	ps.shareLocked(p)
	for _, t := range p.transforms {
		if s := t.current().spec(t.slot); s != nil {
			t.schema.Store(s.ofPayload())
		}
	}
	if ps.names.Load() != nil { // else the start has not ended
		ps.nameLocked()
	}
	return gone
}

// shareLocked has the tasks of a plugin share the workers as the versions that serve are set. A canary
// and the version beside it share what they have, so the lower limit holds for both.
func (ps *plugins) shareLocked(p *plugin) {
	s := p.serving.Load()
	if s == nil {
		return
	}
	cfg := &s.current.cfg
	limit := cfg.MaxInstances
	for _, v := range s.versions() {
		limit = min(limit, v.cfg.MaxInstances)
	}
	ps.sched.SetLimit(p.class, limit)
	for _, t := range p.transforms {
		ps.sched.SetWeight(t.group, cfg.Weight)
		if ps.cfg.Mode == ModeSandbox {
			t.row.SetTarget(cfg.BatchTarget)
		}
	}
}

// nameLocked has tasks find the transforms that serve by their names.
func (ps *plugins) nameLocked() {
	names := make(map[string]*transform)
	for _, p := range ps.all {
		for _, t := range p.servedLocked() {
			names[t.name] = t
		}
	}
	ps.names.Store(&names)
}

// clashLocked returns an error if another plugin has the name of a version's manifest, which
// is in front of all its transforms'. The version may take over that of one source.
func (ps *plugins) clashLocked(p *plugin, v *version, replaces string) error {
	for _, source := range slices.Sorted(maps.Keys(ps.all)) {
		other := ps.all[source]
		if other == p || source == replaces {
			continue
		}
		for _, o := range other.serving.Load().versions() {
			if o.manifest.Name == v.manifest.Name {
				return clash{v.manifest.Name, source}
			}
		}
	}
	return nil
}

// retire ends what [plugins.publishLocked] has taken out of service. A version is closed once its
// tasks have ended. A task that runs has SwapTimeout for that; then it is stopped, and begins anew on
// the version that serves: [task.alone] has it do so, and [frame] if it shares a frame. A task that
// waits loses nothing: it takes the version that serves once it has a worker, see [lease.choose]. If
// that version lacks its transform, the last one that had it does the task, within SwapTimeout. What has not
// ended by then has no version that could do it, and fails.
func (ps *plugins) retire(p *plugin, gone retired) {
	if len(gone.transforms)+len(gone.versions) == 0 {
		return
	}
	ps.retiring.Go(func() {
		began := time.Now()
		patience := make([]*time.Timer, len(gone.versions))
		for i, v := range gone.versions {
			patience[i] = time.AfterFunc(v.cfg.SwapTimeout, func() { v.cancel(errReplaced) })
		}
		for _, t := range gone.transforms {
			<-ps.sched.Retire(t.group)
		}
		for i, v := range gone.versions {
			ps.free(p, v)
			patience[i].Stop()
			ps.log.Info("an earlier version is closed", v.label().attrs("drained_in", time.Since(began))...)
		}
		ps.mu.Lock()
		defer ps.mu.Unlock()
		ps.forgetLocked(p)
	})
}

// free waits for a version's tasks and frees it.
func (ps *plugins) free(p *plugin, v *version) {
	err := v.end(context.Background())
	if err != nil {
		ps.log.Warn("a version could not be freed", "plugin", v.manifest.Name, "version", v.manifest.Version, "error", err)
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.past.add(v)
	p.versions = slices.DeleteFunc(p.versions, func(o *version) bool { return o == v })
	if err != nil {
		ps.freeing = append(ps.freeing, err)
	}
}

// close frees all that is left.
func (ps *plugins) close() error {
	ps.mu.Lock()
	var left []candidate
	for _, p := range ps.all {
		for _, v := range p.versions {
			left = append(left, candidate{p, v})
		}
	}
	ps.mu.Unlock()
	for _, l := range left {
		ps.free(l.plugin, l.version)
		ps.tell(l.version.label(), event.PluginClosed, "")
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return errors.Join(ps.freeing...)
}

// candidate is a version of a plugin that could serve.
type candidate struct {
	plugin  *plugin
	version *version
}
