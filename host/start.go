package host

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/store"
	"github.com/resonhost/resonhost/host/internal/watch"
	"github.com/resonhost/resonhost/internal/spell"
)

// startup is what a start finds and makes.
type startup struct {
	*plugins

	sources []Source      // that are to be loaded
	files   []watch.File  // of PluginDir
	unread  []*watch.File // those of them that cannot be read
	strays  []watch.Stray // in PluginDir, of which it was told
	made    []candidate   // what could serve
	clashed []clashing    // of that what cannot, since another plugin has its name; with Watch

	trialsMu sync.Mutex
	trials   []Source // that are to be deployed as canaries
}

// clashing is what could serve but for its name, and why.
type clashing struct {
	candidate

	err error
}

// load makes versions of all plugins. With an error it has those that were made.
func (s *startup) load(ctx context.Context) (err error) {
	if s.cfg.Mode == ModeInline {
		return s.loadNative()
	}
	var versions *store.Store
	if s.modules, versions, err = openCache(s.cfg); err != nil {
		return err
	}
	records, err := openRecords(ctx, s.cfg, versions)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.plugins.records = records
	s.mu.Unlock()
	if err := s.find(ctx); err != nil {
		return err
	}
	if err := s.checkOverrides(); err != nil {
		return err
	}
	return s.refuseFailed(ctx, s.prepareAll(ctx))
}

// find finds what is to be loaded: Config.Plugins and what PluginDir has.
func (s *startup) find(ctx context.Context) error {
	s.sources = slices.Clone(s.cfg.Plugins)
	if s.cfg.PluginDir != "" {
		files, err := watch.Read(ctx, dirConfig(s.cfg))
		if err != nil {
			return fmt.Errorf("plugin directory: %w", err)
		}
		if err := s.sort(files); err != nil {
			return err
		}
		s.strays = watch.Strays(dirConfig(s.cfg))
		for _, stray := range s.strays {
			s.log.Warn("a file is not read", "file", stray.File, "reason", stray.Reason)
		}
	}
	if len(s.sources) == 0 && !s.mayBeEmpty() {
		if len(s.unread) > 0 {
			return unreadable(s.unread)
		}
		return fmt.Errorf("no plugin: %s has no *.wasm file", s.cfg.PluginDir)
	}
	if len(s.sources)+len(s.unread) == 0 && s.cfg.Watch {
		// A directory may be filled later, and is as often not the one that was meant.
		s.log.Warn("there is no plugin yet: the plugin directory has no *.wasm file, and is watched for some", "dir", s.cfg.PluginDir)
	}
	return nil
}

// sort sorts files into sources and those that cannot be read.
func (s *startup) sort(files []watch.File) error {
	var errs []error
	for i := range files {
		f := &files[i]
		switch {
		case slices.ContainsFunc(s.sources, func(s Source) bool { return s.Name == f.Name }):
			errs = append(errs, fmt.Errorf("plugin %s: it is in Plugins and in the plugin directory", f.Name))
		case f.Err == nil:
			s.sources = append(s.sources, sourceOf(f))
		default: // which ends a start that may not leave any out, once all have been tried
			s.unread = append(s.unread, f)
		}
	}
	s.files = files
	return errors.Join(errs...)
}

// unreadable joins the errors of files.
func unreadable(files []*watch.File) error {
	errs := make([]error, len(files))
	for i, f := range files {
		errs[i] = fmt.Errorf("plugin %s: %w", f.Name, f.Err)
	}
	return errors.Join(errs...)
}

// mayBeEmpty is whether plugins may come later.
func (s *startup) mayBeEmpty() bool { return s.cfg.Watch || s.cfg.StartEmpty }

// mayBePart is whether plugins that cannot be loaded may be left out.
func (s *startup) mayBePart() bool { return s.cfg.Watch || s.cfg.StartPartly }

// checkOverrides looks for settings of plugins that there are not. Where plugins may come later
// that is no error, and is told if there are others.
func (s *startup) checkOverrides() error {
	known := make([]string, 0, len(s.sources)+len(s.unread))
	for _, s := range s.sources {
		known = append(known, s.Name)
	}
	for _, f := range s.unread {
		known = append(known, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Overrides)) {
		switch {
		case slices.Contains(known, name), s.mayBeEmpty() && len(known) == 0:
		case s.mayBeEmpty():
			s.log.Warn("there are settings for a plugin that is not there"+spell.DidYouMean(name, known), "plugin", name)
		default:
			return noSuchPlugin(name, known)
		}
	}
	return nil
}

func noSuchPlugin(name string, known []string) error {
	return fmt.Errorf("Overrides[%q]: there is no such plugin%s", name, spell.DidYouMean(name, known))
}

// prepareAll makes versions of the sources, as many at a time as there are workers. It returns the
// error of each source that could not serve, in its place.
func (s *startup) prepareAll(ctx context.Context) []error {
	s.compiling = s.tellCompiling(len(s.sources))
	defer func() { s.compiling = nil }() // no version is made before the start has ended, but here
	made, errs := make([]candidate, len(s.sources)), make([]error, len(s.sources))
	var g errgroup.Group
	g.SetLimit(s.cfg.Workers)
	for i, source := range s.sources {
		p := s.add(source.Name)
		p.listed = s.mayBePart()
		g.Go(func() error {
			began := time.Now()
			v, err := s.first(ctx, p, source) // its plugin is nobody else's yet
			if err == nil {
				made[i] = candidate{p, v}
				s.log.Info("plugin is ready", v.label().attrs("transforms", len(v.manifest.Transforms), "took", time.Since(began))...)
			}
			errs[i] = err
			return nil
		})
	}
	_ = g.Wait() // each error is kept in its place
	s.made = slices.DeleteFunc(made, func(l candidate) bool { return l.version == nil })
	slices.SortStableFunc(s.made, func(a, b candidate) int { return strings.Compare(a.version.manifest.Name, b.version.manifest.Name) })
	return errs
}

// refuseFailed returns the errors of sources that could not serve; but if some may be left out, and
// any could serve, they are refused as if they came later.
func (s *startup) refuseFailed(ctx context.Context, errs []error) error {
	if s.mayBePart() && ctx.Err() == nil && len(s.made) > 0 {
		for i, source := range s.sources {
			if errs[i] != nil {
				_ = s.refuse(s.all[source.Name], source, errs[i], deployment{})
			}
		}
		for _, f := range s.unread {
			p := s.add(f.Name)
			p.listed = true
			_ = s.refuse(p, Source{Name: f.Name}, newLoadError(Source{Name: f.Name}, StepRead, f.Err), deployment{})
		}
		return nil
	}
	var unread []error
	for _, f := range s.unread {
		unread = append(unread, newLoadError(Source{Name: f.Name}, StepRead, f.Err))
	}
	return errors.Join(append(unread, errs...)...)
}

// first makes the version with which a plugin begins to serve: the source, unless that was
// rolled back, is on trial, or cannot serve, and there is one that could. The record of a plugin without
// any stays as it is.
func (s *startup) first(ctx context.Context, p *plugin, source Source) (*version, error) {
	r := s.records.recall(source.Name)
	s.setPaused(p, r.Paused)
	v, err := s.choose(ctx, p, source, r)
	if err != nil && r.Plugin != "" {
		p.held = &r
	}
	return v, err
}

// choose makes the version that first returns, by the plugin's record.
func (s *startup) choose(ctx context.Context, p *plugin, source Source, r store.Record) (*version, error) {
	id := source.identity()
	served := s.records.read(source.Name, r.Serving)
	p.previous, p.rejected = s.records.read(source.Name, r.Previous), fromHex(r.Rejected)
	again := func(source Source) (*version, error) {
		d := deployment{}
		if served != nil || recordOf(source).name() == r.Serving { // which is the same, though it need not be kept
			d.rule = ruleOf(&r)
		}
		v, err := s.prepare(ctx, p, source, nil, d)
		if err == nil && v.record.name() == r.Serving {
			v.since, v.by = r.Since, DeployResult(r.By)
		}
		return v, err
	}
	if served == nil {
		if err := s.lack(p, source, r); err != nil {
			return nil, err
		}
	}
	if served == nil || served.identity == id {
		return again(source)
	}
	switch id {
	case p.rejected:
		p.failure = rolledBack(source, r.RejectedAt)
		v, err := again(served.source)
		if err == nil {
			s.log.Warn("the newest version was rolled back; the one before it serves", "plugin", source.Name)
		}
		return v, err
	case fromHex(r.Trial):
		if cfg, err := s.cfg.ofSource(source); err == nil && cfg.Canary > 0 {
			s.log.Info("the newest version is a canary still", "plugin", source.Name)
			s.trialsMu.Lock()
			s.trials = append(s.trials, source)
			s.trialsMu.Unlock()
			return again(served.source)
		}
	}
	v, err := s.prepare(ctx, p, source, nil, deployment{})
	if err == nil {
		p.previous, p.rejected, v.by = served, [32]byte{}, DeploySwapped
		return v, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	if v, other := again(served.source); other == nil {
		_ = s.refuse(p, source, err, deployment{}) // which tells it
		s.log.Warn("the version that served last serves again", "plugin", source.Name, "version", v.manifest.Version, "hash", v.hash)
		return v, nil
	}
	return nil, err
}

// lack heeds what was decided about a source as far as that can be, since the version that is to serve is
// not kept. One that was rolled back is refused. A canary does all tasks, and its record stays.
func (s *startup) lack(p *plugin, source Source, r store.Record) error {
	switch source.identity() {
	case p.rejected:
		return newLoadError(source, StepRollback, errAlone)
	case fromHex(r.Trial):
		p.held = &r
		s.log.Error("a canary does all tasks of its plugin, since the version beside it is not kept; it is a canary again at a start with the cache directory that has that version "+
			"(Config.CacheDir and Watch, --cache-dir), until it is promoted or another version serves", "plugin", source.Name)
	}
	return nil
}

// tellCompiling returns what says, once, that a start of so many plugins compiles, which takes
// seconds.
func (s *startup) tellCompiling(plugins int) func() {
	return sync.OnceFunc(func() {
		if s.cfg.CacheDir == "" {
			s.log.Info("compiling plugins, as at each start without a cache directory (CacheDir, --cache-dir)", "plugins", plugins)
			return
		}
		s.log.Info("compiling plugins; the next start has them from the cache", "plugins", plugins, "dir", s.cfg.CacheDir)
	})
}

func (s *startup) loadNative() error {
	var errs []error
	for i, n := range s.cfg.Native {
		l, err := s.openNative(n)
		if err == nil && l.version.cfg.StateRule == StateRefuse {
			if err = (&stateCheck{formats: s.streams.Formats, next: l.version}).run(); err != nil {
				err = refusedState(err)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("native plugin %d: %w", i, err))
			continue
		}
		s.made = append(s.made, l)
	}
	for name := range s.cfg.Overrides {
		if s.all[name] == nil {
			errs = append(errs, noSuchPlugin(name, slices.Collect(maps.Keys(s.all))))
		}
	}
	return errors.Join(errs...)
}

func (s *startup) openNative(n Native) (candidate, error) {
	doc := n.Manifest()
	m, err := manifest.Parse([]byte(doc))
	if err != nil {
		return candidate{}, err
	}
	// There is no binary to tell versions apart by; the manifest is the next
	// best.
	sum := sha256.Sum256([]byte(doc))
	p := s.add(m.Name) // if another has the name, serve says so
	cfg := &p.cfg
	// Native code cannot be interrupted. Its tasks share no crossing, so that one
	// that fails harms no other; the crossing is a call.
	cfg.Interrupt, cfg.Isolation, cfg.BreakAfter = InterruptOff, IsolationPristine, 0
	e := &inline{code: n, manifest: m, limits: frameLimits(*cfg)}
	v, err := newVersion(s.ctx, record{source: Source{Name: m.Name}, hash: hex.EncodeToString(sum[:])}, m, e, ofVersion{PluginConfig: *cfg})
	return candidate{p, v}, err
}

// serve publishes what was loaded, unless that failed or Close has begun. With Watch, what has
// a name that another has does not serve.
func (s *startup) serve(failed error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is(stageClosing) {
		failed = ErrClosed // whatever else failed, failed for this
	}
	var serve []candidate
	var clashes []error
	for _, l := range s.made {
		if failed == nil {
			switch clash := s.clashLocked(l.plugin, l.version, ""); {
			case clash == nil:
				if l.version.since.IsZero() { // else it serves again
					l.version.since, l.version.by = time.Now(), cmp.Or(l.version.by, DeployLoaded)
				}
				s.publishLocked(l.plugin, &serving{current: l.version})
				serve = append(serve, l)
			case s.cfg.Watch:
				s.clashed = append(s.clashed, clashing{l, clash})
			default:
				clashes = append(clashes, l.version.record.loadError(StepPublish, clash))
			}
		}
		if !slices.Contains(l.plugin.versions, l.version) { // for Close to find
			l.plugin.versions = append(l.plugin.versions, l.version)
		}
	}
	if failed == nil {
		failed = errors.Join(clashes...)
	}
	switch {
	case failed != nil:
		return failed
	case !s.started():
		return ErrClosed // meanwhile: Close finds the versions
	}
	s.made = serve
	s.nameLocked()
	return nil
}

// again are the files that are tried again: of plugins whose name another has.
func (s *startup) again() map[string]fileChange {
	again := make(map[string]fileChange)
	for i := range s.files {
		f := &s.files[i]
		if slices.ContainsFunc(s.clashed, func(l clashing) bool { return l.plugin.source == f.Name }) {
			again[f.Name] = fileChange{of: watch.Change{Name: f.Name, File: f}, delay: firstRetry, due: time.Now().Add(firstRetry)}
		}
	}
	return again
}

// refuseClashed refuses the versions whose name another plugin has, as if they had come later.
func (s *startup) refuseClashed() {
	for _, l := range s.clashed {
		_ = s.refuse(l.plugin, l.version.record.source, l.version.record.loadError(StepPublish, l.err), deployment{})
		s.retire(l.plugin, retired{versions: []*version{l.version}})
	}
}

// tell tells what serves, and begins trials that had begun.
func (s *startup) tell(ctx context.Context) {
	for _, l := range s.made {
		s.attempts.count(l.plugin.source, DeployLoaded)
		s.remember(ctx, l.plugin)
		s.runner.tell(l.version.label(), event.PluginReady, "")
		if l.plugin.paused.Load() {
			s.runner.tell(l.version.label(), event.PluginPaused, "")
		}
	}
	for _, source := range s.trials { // as they were; what fails is told
		_, _ = s.deploy(ctx, source, deployment{canary: true})
	}
}
