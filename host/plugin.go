package host

import (
	"context"
	"slices"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/framefit"
	"github.com/resonhost/resonhost/host/internal/pool"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/store"
)

// plugin is the place of one source: what serves under its name, whichever version,
// and what became of the others. It stays as long as there is anything to tell of it.
type plugin struct {
	service

	source string
	class  *sched.Class
	// functions are what its guests may call.
	functions []*callable

	// deploying has a token while a transaction is under way, of which there is one at a
	// time. It goes before plugins.mu.
	deploying chan struct{}

	// recalled is whether it is known if it was paused when an earlier host ended. Its
	// transactions alone look at it.
	recalled bool

	// plugins.mu guards the rest.

	users      int          // transactions that hold deploying, or wait for it
	versions   []*version   // that are not closed yet
	transforms []*transform // that a version which serves has
	slots      int          // transforms there were, which is the next one's slot
	previous   *record      // what Rollback goes back to; nil without
	// rejected is the identity of the source that was rolled back last, and refused the
	// stamp of the one that could not serve: they are let be in the plugin directory.
	rejected, refused [32]byte
	failure           *LoadError // of the newest source, nil if that serves
	// held is what was decided before the start and cannot be heeded, since a version is not kept or cannot
	// serve. It stays the plugin's record until somebody decides anew, or another version serves.
	held   *store.Record
	listed bool                    // it is, or was, a file of the plugin directory
	abort  context.CancelCauseFunc // of the transaction under way; nil without
	past   counted                 // by versions that are closed
}

// servedLocked returns the transforms that tasks find by their names, in the manifest's order.
func (p *plugin) servedLocked() (served []*transform) {
	v := p.current()
	if v == nil {
		return nil
	}
	for _, slot := range v.slots {
		at := slices.IndexFunc(p.transforms, func(t *transform) bool { return t.slot == slot })
		served = append(served, p.transforms[at])
	}
	return served
}

// bindLocked gives a version its transforms: those the plugin has by the same name
// and media types, and new ones.
func (p *plugin) bindLocked(v *version, r *runner, sandboxed bool) {
	for index, want := range v.manifest.Transforms {
		at := slices.IndexFunc(p.transforms, func(t *transform) bool {
			return t.name == want.Name && t.input == want.Input && t.output == want.Output
		})
		if at < 0 {
			at = len(p.transforms)
			p.transforms = append(p.transforms, p.newTransform(want, r))
		}
		slot := p.transforms[at].slot
		for len(v.specs) <= slot {
			v.specs = append(v.specs, nil)
		}
		s := &spec{Transform: want, index: index, schemas: v.schemas[index]}
		if sandboxed {
			s.timeout, s.timeoutBy = v.cfg.timeoutOf(&want)
		}
		v.specs[slot] = s
		v.slots = append(v.slots, slot)
	}
}

func (p *plugin) newTransform(spec manifest.Transform, r *runner) *transform {
	t := &transform{
		service: &p.service, name: spec.Name, input: spec.Input, output: spec.Output, slot: p.slots,
		group: r.sched.NewGroup(p.class, p.cfg.Weight), over: r.over,
	}
	p.slots++
	t.row.Max = framefit.Max
	t.row.Warn = func(size int, cost time.Duration) {
		r.log.Warn("rows of tasks have been as short or as long as they can for 5 minutes",
			"transform", t.name, "tasks", size, "task_takes", cost, "target", t.row.Target())
	}
	return t
}

func (p *plugin) describeLocked() Plugin {
	d := Plugin{Source: p.source, Paused: p.paused.Load(), Failure: p.failure, Deploying: p.abort != nil}
	if p.previous != nil {
		d.Previous = p.previous.hash
	}
	s := p.serving.Load()
	if s == nil {
		return d
	}
	v := s.current
	d.Since, d.By = v.since, v.by
	d.Name, d.Version, d.Hash = v.manifest.Name, v.manifest.Version, v.hash
	if r, ok := v.engine.(sandbox); ok {
		info := r.Info()
		d.Kind, d.Loading, d.Compiling = info.Kind, v.loading, info.Compiling
	}
	d.Mismatch = v.sampler.Mismatch()
	for _, slot := range v.slots {
		d.Transforms = append(d.Transforms, v.describe(v.specs[slot]))
	}
	if c := s.trial; c != nil {
		n := c.Stats()
		d.Canary = &Canary{
			Version: c.version.manifest.Version, Hash: c.version.hash, Share: n.Share, Since: n.Since,
			Tasks: n.Tasks, Failed: n.Failed, Slowdown: n.Slowdown,
		}
	}
	return d
}

func (p *plugin) statsLocked() PluginStats {
	s := PluginStats{Plugin: p.describeLocked(), MaxInstances: p.cfg.MaxInstances}
	if v := p.current(); v != nil {
		s.MaxInstances = v.cfg.MaxInstances
	}
	sum := p.past
	for _, v := range p.versions {
		sum.add(v)
		s.Instances += sum.size
		s.InUse += sum.lent
	}
	s.Created, s.CreateFailed = sum.made, sum.failed
	s.Broken, s.Replaced, s.Retired, s.Evicted = sum.left[pool.Broken], sum.left[pool.Replaced], sum.left[pool.Retired], sum.left[pool.Evicted]
	for _, f := range p.functions {
		s.Functions = append(s.Functions, f.stats())
	}
	s.LogDropped, s.Suspensions, s.Verify = sum.logDropped, sum.suspensions, sum.verify
	v := p.current()
	if v == nil {
		return s
	}
	if r, ok := v.engine.(sandbox); ok {
		s.InstanceMemory = r.Info().Memory
	}
	s.Suspended, _ = v.breaker.Stats()
	for _, t := range p.servedLocked() {
		s.Transforms = append(s.Transforms, t.stats())
	}
	return s
}
