package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/breaker"
	"github.com/resonhost/resonhost/host/internal/framefit"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/row"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// table is what the host serves: which transform a name is.
type table struct {
	plugins    []*plugin // those that serve, sorted by their manifests' names
	transforms map[string]*transform
}

// plugin is the place of one source: what serves under its name, whichever version,
// and what became of the others. It stays as long as there is anything to tell of it.
type plugin struct {
	source string
	cfg    PluginConfig
	class  *sched.Class

	// serving is what tasks run on; nil while nothing serves. One pointer, so that a
	// swap is one store.
	serving atomic.Pointer[serving]
	paused  atomic.Bool

	// deploying has a token while a transaction is under way, of which there is one at a
	// time. It goes before Host.mu.
	deploying chan struct{}

	// recalled is whether it is known if it was paused when an earlier host ended. Its
	// transactions alone look at it.
	recalled bool

	// Host.mu guards the rest.

	users      int          // transactions that hold deploying, or wait for it
	versions   []*version   // that are not closed yet
	transforms []*transform // that a version which serves has
	slots      int          // transforms there were, which is the next one's slot
	previous   *record      // what Rollback goes back to; nil without
	// rejected is the identity of the source that was rolled back last, and refused the
	// stamp of the one that could not serve: they are let be in the plugin directory.
	rejected, refused [32]byte
	failure           *LoadError              // of the newest source, nil if that serves
	listed            bool                    // it is, or was, a file of the plugin directory
	abort             context.CancelCauseFunc // of the transaction under way; nil without
	past              counted                 // by versions that are closed
}

// serving is what the tasks of a plugin run on.
type serving struct {
	current *version
	trial   *trial // of a canary; nil without
}

// version is one version of a plugin: a module with instances of its own.
type version struct {
	record // as it was offered; hash is what it is told apart by

	plugin   *plugin
	manifest *manifest.Manifest
	engine   engine
	breaker  breaker.Breaker
	sampler  *sampler      // of its tasks; nil without
	tests    int           // of record.source.Tests, which it passed
	loading  time.Duration // how long prepare took
	cfg      PluginConfig  // the plugin's, but for an isolation that the module cannot have
	// ctx ends when its tasks must: when the host's patience ends, or that with a
	// version that was replaced.
	ctx    context.Context //nolint:containedctx // the life of it
	cancel context.CancelCauseFunc
	// specs are what it does of each transform, by transform.slot; nil for one that it
	// does not have. order has them as the manifest does. Both are set before it serves.
	specs []*spec
	order []*transform
	// since is when it began to serve alone, and by what. Host.mu guards both, once it serves.
	since time.Time
	by    ReloadResult
}

// spec is a transform as one version has it.
type spec struct {
	manifest.Transform

	index   int
	timeout time.Duration
}

// takes reports whether the transform can have the state of a stream; any has none.
func (s *spec) takes(e *stream.Entry[sched.Serial]) bool {
	return len(e.State) == 0 || len(e.State) <= s.StateBytes && s.Reads(e.Format)
}

// record is a version as it was offered, from which it can be loaded again.
type record struct {
	source   Source
	identity [32]byte
	hash     string // of the binary, as Source.hash has it
}

// loadError is newLoadError of what was hashed before.
func (r *record) loadError(step Step, err error) *LoadError {
	return makeLoadError(r.source.Name, r.hash, step, err)
}

// transform is one transform that is served, through all versions that have it with the
// same media types: its queue, and what is counted of it.
type transform struct {
	plugin        *plugin
	name          string
	input, output string
	slot          int
	group         *sched.Group
	meter         meter
	row           row.Row
	// last is the version that does the tasks it still has, once no version that serves
	// has it; nil before.
	last atomic.Pointer[version]
	full atomic.Pointer[Error] // see fullQueue
	over chan struct{}         // the host's
	// fits is how many tasks share a frame.
	fits framefit.Fit
}

// engine lends instances, of a guest or of native code.
type engine interface {
	// TryBorrow returns nil if no instance is idle. Borrow makes one, or waits for
	// one until ctx is done; once the engine is closed its error is
	// registry.ErrClosed.
	TryBorrow() instance
	Borrow(ctx context.Context) (instance, error)
	// Close waits for what is lent out.
	Close(ctx context.Context) error
}

// instance runs items, as module.Instance.Run does. Its borrower gives it back by
// Return, whatever became of it.
type instance interface {
	Run(ctx context.Context, c module.Call) (fuel uint64, err error)
	Return()
	// Starved reports whether a guest's answer may depend on memory that was denied to it.
	Starved() bool
}

// sandbox is the engine of a guest.
type sandbox struct{ *registry.Plugin }

// TryBorrow implements engine.
func (s sandbox) TryBorrow() instance {
	if in := s.Plugin.TryBorrow(); in != nil {
		return in
	}
	return nil
}

// Borrow implements engine.
func (s sandbox) Borrow(ctx context.Context) (instance, error) {
	in, err := s.Plugin.Borrow(ctx)
	if err != nil {
		return nil, err // not a nil *registry.Instance, which would be an instance
	}
	return in, nil
}

// now returns the version that serves, nil if none does.
func (p *plugin) now() *version {
	if s := p.serving.Load(); s != nil {
		return s.current
	}
	return nil
}

// spec returns what the version does of a transform, nil if it does not have it.
func (v *version) spec(t *transform) *spec {
	if t.slot < len(v.specs) {
		return v.specs[t.slot]
	}
	return nil
}

// current returns the version that does a transform's tasks, canaries aside.
func (t *transform) current() *version {
	if v := t.plugin.now(); v != nil && v.spec(t) != nil {
		return v
	}
	return t.last.Load()
}

// bindLocked gives the version its transforms: those the plugin has by the same name
// and media types, and new ones. Host.mu is held.
func (h *Host) bindLocked(v *version) {
	p := v.plugin
	for index, want := range v.manifest.Transforms {
		at := slices.IndexFunc(p.transforms, func(t *transform) bool {
			return t.name == want.Name && t.input == want.Input && t.output == want.Output
		})
		var t *transform
		if at >= 0 {
			t = p.transforms[at]
		} else {
			t = h.newTransform(p, want)
			p.transforms = append(p.transforms, t)
		}
		for len(v.specs) <= t.slot {
			v.specs = append(v.specs, nil)
		}
		s := &spec{Transform: want, index: index}
		if h.cfg.Mode == Sandbox {
			s.timeout = orDefault(p.cfg.RunTimeout, orDefault(want.Timeout(), DefaultRunTimeout))
		}
		v.specs[t.slot] = s
		v.order = append(v.order, t)
	}
}

func (h *Host) newTransform(p *plugin, spec manifest.Transform) *transform {
	t := &transform{
		plugin: p, name: spec.Name, input: spec.Input, output: spec.Output, slot: p.slots,
		group: h.sched.NewGroup(p.class, p.cfg.Weight), over: h.over,
	}
	p.slots++
	if h.cfg.Mode == Sandbox {
		t.row.Target = p.cfg.BatchTarget
	}
	t.row.Max = framefit.Max
	t.row.Warn = func(size int, cost time.Duration) {
		h.log.Warn("batches have been as small or as large as they can for 5 minutes",
			"transform", t.name, "tasks", size, "task_takes", cost, "target", t.row.Target)
	}
	return t
}

// retired is what does not serve any more.
type retired struct {
	transforms []*transform
	versions   []*version
}

// publishLocked makes the plugin serve next, or nothing if that is nil, in one store.
// What does not serve any more it returns for [Host.retire]. Host.mu is held.
func (h *Host) publishLocked(p *plugin, next *serving) (gone retired) {
	before := p.serving.Load()
	kept := next.versions()
	for _, v := range kept {
		if v.specs == nil { // else tasks read them
			h.bindLocked(v)
		}
	}
	if next != nil && !slices.Contains(p.versions, next.current) {
		p.versions = append(p.versions, next.current)
	}
	if next != nil && next.trial != nil && !slices.Contains(p.versions, next.trial.version) {
		p.versions = append(p.versions, next.trial.version)
	}
	for _, v := range before.versions() {
		if !slices.Contains(kept, v) {
			gone.versions = append(gone.versions, v)
		}
	}
	p.transforms = slices.DeleteFunc(p.transforms, func(t *transform) bool {
		if slices.ContainsFunc(kept, func(v *version) bool { return v.spec(t) != nil }) {
			return false
		}
		for _, v := range before.versions() {
			if v.spec(t) != nil {
				t.last.Store(v) // before the store below: its tasks find one or the other
			}
		}
		gone.transforms = append(gone.transforms, t)
		return true
	})
	p.serving.Store(next)
	if h.state == started {
		h.table.Store(h.newTableLocked())
	}
	return gone
}

// versions are those that serve: none of a nil serving.
func (s *serving) versions() []*version {
	switch {
	case s == nil:
		return nil
	case s.trial == nil:
		return []*version{s.current}
	}
	return []*version{s.current, s.trial.version}
}

func (h *Host) newTableLocked() *table {
	t := &table{transforms: make(map[string]*transform)}
	for _, p := range h.plugins {
		v := p.now()
		if v == nil {
			continue
		}
		t.plugins = append(t.plugins, p)
		for _, tr := range v.order {
			t.transforms[tr.name] = tr
		}
	}
	slices.SortFunc(t.plugins, func(a, b *plugin) int {
		return strings.Compare(a.now().manifest.Name, b.now().manifest.Name)
	})
	return t
}

// clash is that another plugin has the name of a manifest.
type clash struct{ name, source string }

var errClash = errors.New("another plugin has the name")

func (c clash) Error() string {
	return fmt.Sprintf("its manifest's name, %s, is that of plugin %s already", c.name, c.source)
}

func (clash) Is(target error) bool { return target == errClash }

// clashLocked returns an error if another plugin has the manifest's name, which is in
// front of all its transforms'.
func (h *Host) clashLocked(v *version) error {
	for _, source := range slices.Sorted(maps.Keys(h.plugins)) {
		other := h.plugins[source]
		if other == v.plugin {
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

// retire ends what [Host.publishLocked] has taken out of service: tasks that wait for a
// transform that is gone are done, by the version that had it; versions are closed once
// their tasks have ended, which they must within SwapTimeout.
func (h *Host) retire(p *plugin, gone retired) {
	if len(gone.transforms)+len(gone.versions) == 0 {
		return
	}
	h.retiring.Go(func() {
		began := time.Now()
		patience := time.AfterFunc(p.cfg.SwapTimeout, func() {
			for _, v := range gone.versions {
				v.cancel(errReplaced)
			}
		})
		defer patience.Stop()
		for _, t := range gone.transforms {
			<-h.sched.Retire(t.group)
		}
		for _, v := range gone.versions {
			h.closeVersion(v)
			h.log.Info("an earlier version is closed", "plugin", v.manifest.Name, "version", v.manifest.Version, "hash", v.hash, "drained_in", time.Since(began))
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.forgetLocked(p)
	})
}

// forgetLocked forgets a plugin of which there is nothing to tell any more.
func (h *Host) forgetLocked(p *plugin) {
	if h.plugins[p.source] == p && p.users == 0 && p.serving.Load() == nil && len(p.versions) == 0 && (p.failure == nil || !p.listed) {
		delete(h.plugins, p.source)
		h.sched.RemoveClass(p.class)
	}
}

// closeVersion waits for the version's tasks and frees it.
func (h *Host) closeVersion(v *version) {
	v.sampler.stop() // which has the engine's snapshot
	err := v.engine.Close(context.Background())
	v.cancel(errReplaced)
	if err != nil {
		h.log.Warn("a version could not be freed", "plugin", v.manifest.Name, "version", v.manifest.Version, "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	v.plugin.past.version(v)
	v.plugin.versions = slices.DeleteFunc(v.plugin.versions, func(o *version) bool { return o == v })
	if err != nil {
		h.freeing = append(h.freeing, err)
	}
}
