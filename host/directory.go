package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/store"
	"github.com/resonhost/resonhost/host/internal/watch"
	"github.com/resonhost/resonhost/internal/foreign"
)

// Files beside a plugin's.
const (
	testsSuffix = ".test.ndjson"
	signature   = ".wasm.minisig"
	sums        = "SHA256SUMS"
	sumsSigned  = "SHA256SUMS.minisig"
)

// maxTests bounds Source.Tests, in bytes.
const maxTests = 8 << 20

// watchConfig says which files of a directory are a plugin's.
func watchConfig(dir string, limit func(name string) int) watch.Config {
	return watch.Config{
		Dir: dir, Suffix: ".wasm", Beside: []string{testsSuffix, signature}, Shared: []string{sums, sumsSigned},
		MaxBytes: limit, MaxBeside: maxTests, Whole: watch.Module,
	}
}

func (h *Host) watchConfig() watch.Config {
	c := watchConfig(h.cfg.PluginDir, func(name string) int { return h.cfg.pluginConfig(name).MaxModule })
	c.Settle, c.Poll, c.Log = h.cfg.Settle, h.cfg.Poll, h.log
	return c
}

// sourceOf is the source that a file is.
func sourceOf(f *watch.File) Source {
	s := Source{Name: f.Name, WASM: f.WASM, Tests: f.Beside[f.Name+testsSuffix], Beside: maps.Clone(f.Beside)}
	delete(s.Beside, f.Name+testsSuffix)
	return s
}

// sources returns those that a start loads: Config.Plugins and PluginDir's.
func (h *Host) sources(ctx context.Context) (list []Source, err error) {
	list = append(list, h.cfg.Plugins...)
	if h.cfg.PluginDir == "" {
		return list, nil
	}
	files, err := watch.Read(ctx, h.watchConfig())
	if err != nil {
		return nil, fmt.Errorf("plugin directory: %w", err)
	}
	var errs []error
	for i := range files {
		f := &files[i]
		switch {
		case slices.ContainsFunc(list, func(s Source) bool { return s.Name == f.Name }):
			errs = append(errs, fmt.Errorf("plugin %s: it is in Plugins and in the plugin directory", f.Name))
		case f.Err == nil:
			list = append(list, sourceOf(f))
		case h.cfg.Watch:
			h.unread = append(h.unread, f)
		default:
			errs = append(errs, fmt.Errorf("plugin %s: %w", f.Name, f.Err))
		}
	}
	h.read = files
	return list, errors.Join(errs...)
}

// first makes the version with which a plugin begins to serve: the source, unless that was
// rolled back, is on trial, or cannot serve, and there is one that could.
func (h *Host) first(ctx context.Context, p *plugin, s Source) (*version, error) {
	r, id := h.recall(p), s.identity()
	h.setPaused(p, r)
	served := h.recordOf(s.Name, r.Serving)
	p.previous, p.rejected = h.recordOf(s.Name, r.Previous), fromHex(r.Rejected)
	again := func(s Source) (*version, error) {
		v, err := h.prepare(ctx, p, s, nil, deployment{})
		if err == nil && served != nil {
			v.since, v.by = r.Since, ReloadResult(r.By)
		}
		return v, err
	}
	if served == nil || served.identity == id {
		return again(s)
	}
	switch id {
	case p.rejected:
		h.log.Warn("the newest version was rolled back; the one before it serves", "plugin", s.Name)
		p.failure = newLoadError(s, StepRollback, errRolledBack)
		if !r.RejectedAt.IsZero() {
			p.failure.Time = r.RejectedAt
		}
		return again(served.source)
	case fromHex(r.Trial):
		if p.cfg.Canary > 0 {
			h.log.Info("the newest version is a canary still", "plugin", s.Name)
			h.mu.Lock()
			h.trials = append(h.trials, s)
			h.mu.Unlock()
			return again(served.source)
		}
	}
	v, err := h.prepare(ctx, p, s, nil, deployment{})
	if err == nil {
		p.previous, p.rejected, v.by = served, [32]byte{}, ReloadSwapped
		return v, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	if v, other := again(served.source); other == nil {
		_ = h.refuse(p, s, err, deployment{}) // which tells it
		h.log.Warn("the version that served last does so again", "plugin", s.Name, "version", v.manifest.Version, "hash", v.hash)
		return v, nil
	}
	return nil, err
}

// ErrCacheDir is wrapped by the error of [Host.Start] and [Validate] for a
// Config.CacheDir that cannot be used.
var ErrCacheDir = errors.New("cache directory")

// openStore opens CacheDir.
func (h *Host) openStore() error {
	if h.cfg.CacheDir == "" {
		return nil
	}
	s, err := store.Open(h.cfg.CacheDir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCacheDir, err)
	}
	h.modules = module.OpenCache(s.Compiled(), h.cfg.CacheBytes, h.log)
	if h.cfg.Watch {
		h.store = s
	}
	return nil
}

// recordKey names the record of a plugin among those of all directories.
func (h *Host) recordKey(p *plugin) string {
	sum := sha256.Sum256([]byte(h.dir() + "\x00" + p.source))
	return hex.EncodeToString(sum[:])
}

// dir is the plugin directory, from wherever it is looked at.
func (h *Host) dir() string {
	if dir, err := filepath.Abs(h.cfg.PluginDir); err == nil {
		return dir
	}
	return h.cfg.PluginDir
}

// recall returns what is kept of a plugin.
func (h *Host) recall(p *plugin) store.Record {
	if h.store == nil {
		return store.Record{}
	}
	r, err := h.store.Load(h.recordKey(p))
	if err != nil {
		h.log.Warn("what served before is not known", "plugin", p.source, "error", err)
	}
	return r
}

// setPaused has a plugin be paused if it was when the record was kept.
func (h *Host) setPaused(p *plugin, r store.Record) {
	p.recalled = true
	if r.Paused && !p.paused.Swap(true) {
		h.log.Warn("the plugin is paused, as it was before: it takes no tasks until it is resumed", "plugin", p.source)
	}
}

// recallPaused does that for a plugin that came after the start, once. p.deploying is held.
func (h *Host) recallPaused(p *plugin) {
	if h.store != nil && !p.recalled {
		h.setPaused(p, h.recall(p))
	}
}

const (
	wasmFile  = "plugin.wasm"
	testsFile = "tests.ndjson"
)

// recordOf reads a version that was kept, nil if there is none, or none that is whole.
func (h *Host) recordOf(source, id string) *record {
	if h.store == nil || id == "" {
		return nil
	}
	files, err := h.store.Read(id)
	if err == nil {
		s := Source{Name: source, WASM: files[wasmFile], Tests: files[testsFile], Beside: files}
		delete(files, wasmFile)
		delete(files, testsFile)
		if got := s.stamp(); hex.EncodeToString(got[:]) == id {
			return &record{s, s.identity(), s.hash()}
		}
		err = errors.New("it is not what it was")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		h.log.Warn("an earlier version cannot be read", "plugin", source, "version", id, "error", err)
	}
	return nil
}

// remember keeps which versions of a plugin serve, and those versions, for the next
// start.
func (h *Host) remember(p *plugin) {
	if err := h.save(p); err != nil {
		h.log.Warn("which version serves is not kept for the next start", "plugin", p.source, "error", err)
	}
}

// save keeps the record of a plugin: which versions serve, those versions, and whether it is paused.
func (h *Host) save(p *plugin) error {
	if h.store == nil {
		return nil
	}
	h.saving.Lock()
	defer h.saving.Unlock()
	h.mu.Lock()
	serving, previous, rejected, failure := p.serving.Load(), p.previous, p.rejected, p.failure
	var since time.Time
	var by ReloadResult
	if serving != nil {
		since, by = serving.current.since, serving.current.by
	}
	h.mu.Unlock()
	key := h.recordKey(p)
	r := store.Record{Plugin: p.source, Dir: h.dir(), Paused: p.paused.Load()}
	if serving == nil {
		if r.Paused {
			return h.store.Save(key, r)
		}
		return h.store.Forget(key)
	}
	r.Since, r.By = since, string(by)
	var err error
	if r.Serving, err = h.keep(&serving.current.record); err != nil {
		return err
	}
	if previous != nil {
		if r.Previous, err = h.keep(previous); err != nil {
			return err
		}
	}
	if rejected != ([32]byte{}) {
		r.Rejected = hex.EncodeToString(rejected[:])
		if failure != nil && failure.Step == StepRollback {
			r.RejectedAt = failure.Time
		}
	}
	if serving.trial != nil {
		id := serving.trial.version.record.identity
		r.Trial = hex.EncodeToString(id[:])
	}
	return errors.Join(h.store.Save(key, r), h.store.PruneVersions(h.cfg.CacheBytes))
}

// keep keeps a version in the store, and returns its name there.
func (h *Host) keep(r *record) (id string, err error) {
	files := maps.Clone(r.source.Beside)
	if files == nil {
		files = make(map[string][]byte)
	}
	files[wasmFile] = r.source.WASM
	if r.source.Tests != nil {
		files[testsFile] = r.source.Tests
	}
	sum := r.source.stamp()
	id = hex.EncodeToString(sum[:])
	return id, h.store.Keep(id, files)
}

func fromHex(s string) (id [32]byte) {
	_, _ = hex.Decode(id[:], []byte(s)) // the store has checked it
	return id
}

// How soon a file is tried again that may not be at fault, at first and at last.
const firstRetry, lastRetry = time.Second, time.Minute

// pending is a change of the plugin directory that is to be applied.
type pending struct {
	change watch.Change
	due    time.Time     // zero: at once
	delay  time.Duration // of the last attempt, if that may have failed for no fault of the file
}

// follow deploys what changes in the plugin directory, until the host ends: each plugin's
// changes one after the other, of which only the newest counts. It begins with waiting.
func (h *Host) follow(w *watch.Watcher, waiting map[string]pending) {
	h.followed.Go(func() {
		defer w.Close()
		ended := make(chan pending)
		busy := make(map[string]bool)
		timer := time.NewTimer(0)
		defer timer.Stop()
		changes, ending := w.Changes(), h.ending.Done()
		for ending != nil || len(busy) > 0 {
			select {
			case <-ending:
				ending, changes = nil, nil
				clear(waiting)
			case c := <-changes:
				waiting[c.Name] = pending{change: c}
				if busy[c.Name] {
					h.mu.Lock()
					p := h.plugins[c.Name]
					h.mu.Unlock()
					h.supersede(p)
				}
			case p := <-ended:
				name := p.change.Name
				delete(busy, name)
				if p.change.File == nil { // its name may be what another waits for
					for other, w := range waiting {
						w.due = time.Time{}
						waiting[other] = w
					}
				}
				if _, newer := waiting[name]; !newer && p.delay > 0 && ending != nil {
					p.due = time.Now().Add(p.delay)
					waiting[name] = p
				}
			case <-timer.C:
			}
			now, next := time.Now(), lastRetry
			for name, p := range waiting {
				if left := p.due.Sub(now); left > 0 {
					next = min(next, left)
					continue
				}
				if busy[name] || len(busy) >= h.cfg.Workers {
					continue
				}
				delete(waiting, name)
				busy[name] = true
				h.followed.Go(func() {
					p.delay = h.apply(p.change, p.delay)
					ended <- p
				})
			}
			timer.Reset(next)
		}
	})
}

// apply does what a change of the plugin directory asks for. It returns after how long to
// try that again, 0 for never; before is what it returned the last time.
func (h *Host) apply(c watch.Change, before time.Duration) (again time.Duration) {
	if c.File == nil {
		if err := h.unload(h.ending, c.Name); err != nil && h.ending.Err() == nil {
			h.log.Warn("a plugin whose file is gone is not unloaded", "plugin", c.Name, "error", err)
		}
		return 0
	}
	s := sourceOf(c.File)
	ctx, done, err := h.transact(h.ending)
	if err != nil {
		return 0
	}
	defer done()
	p, leave, err := h.place(ctx, c.Name)
	if err != nil {
		return 0
	}
	defer leave()
	identity, stamp := s.identity(), s.stamp()
	h.mu.Lock()
	p.listed = true
	settled := p.rejected == identity || p.refused == stamp && (p.failure == nil || !p.failure.Temporary)
	h.mu.Unlock()
	switch {
	case c.File.Err != nil:
		_ = h.refuse(p, s, newLoadError(s, StepRead, c.File.Err), deployment{})
	case !settled:
		// Whatever fails is told there.
		_, err = h.transaction(ctx, p, s, deployment{canary: true})
	}
	if e := (*LoadError)(nil); errors.As(err, &e) && e.Temporary {
		return min(max(firstRetry, 2*before), lastRetry)
	}
	return 0
}

// readSource reads a plugin's file anew.
func (h *Host) readSource(ctx context.Context, name string) (Source, error) {
	f, err := watch.ReadFile(ctx, h.watchConfig(), name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Source{}, fmt.Errorf("%w %q: there is no %s.wasm in the plugin directory", ErrUnknownPlugin, foreign.Cut(name), foreign.Cut(name))
	case err != nil:
		return Source{}, newLoadError(Source{Name: name}, StepRead, err)
	}
	return sourceOf(&f), nil
}
