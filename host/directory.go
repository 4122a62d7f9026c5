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

	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/store"
	"github.com/resonhost/resonhost/host/internal/watch"
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
		if files[i].Err != nil && !h.cfg.Watch {
			errs = append(errs, fmt.Errorf("plugin %s: %w", files[i].Name, files[i].Err))
			continue
		}
		list = append(list, sourceOf(&files[i]))
	}
	h.read = files
	return list, errors.Join(errs...)
}

// first makes the version with which a plugin begins to serve: the source, unless that was
// rolled back, or cannot serve and there is one that could.
func (h *Host) first(ctx context.Context, p *plugin, s Source) (*version, error) {
	r, id := h.recall(p), s.identity()
	served := h.recordOf(s.Name, r.Serving)
	p.previous, p.rejected = h.recordOf(s.Name, r.Previous), fromHex(r.Rejected)
	if served == nil || served.identity == id {
		return h.prepare(ctx, p, s, nil)
	}
	if p.rejected == id {
		h.log.Warn("the newest version was rolled back; the one before it serves", "plugin", s.Name)
		p.failure = newLoadError(s, StepRollback, errRolledBack)
		return h.prepare(ctx, p, served.source, nil)
	}
	v, err := h.prepare(ctx, p, s, nil)
	if err == nil {
		p.previous, p.rejected = served, [32]byte{}
		return v, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	if v, other := h.prepare(ctx, p, served.source, nil); other == nil {
		_ = h.refuse(p, s, err) // which tells it
		h.log.Warn("the version that served last does so again", "plugin", s.Name, "version", v.manifest.Version, "hash", v.hash)
		return v, nil
	}
	return nil, err
}

// openStore opens CacheDir.
func (h *Host) openStore() error {
	if h.cfg.CacheDir == "" {
		return nil
	}
	s, err := store.Open(h.cfg.CacheDir)
	if err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	h.modules = module.OpenCache(s.Compiled(), h.cfg.CacheBytes, h.log)
	if h.cfg.Watch {
		h.store = s
	}
	return nil
}

// recordKey names the record of a plugin among those of all directories.
func (h *Host) recordKey(p *plugin) string {
	dir, err := filepath.Abs(h.cfg.PluginDir)
	if err != nil {
		dir = h.cfg.PluginDir
	}
	sum := sha256.Sum256([]byte(dir + "\x00" + p.source))
	return hex.EncodeToString(sum[:])
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
		if got := s.identity(); hex.EncodeToString(got[:]) == id {
			return &record{s, got}
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
	if h.store == nil {
		return
	}
	h.saving.Lock()
	defer h.saving.Unlock()
	h.mu.Lock()
	v, previous, rejected := p.now(), p.previous, p.rejected
	h.mu.Unlock()
	if err := h.save(p, v, previous, rejected); err != nil {
		h.log.Warn("which version serves is not kept for the next start", "plugin", p.source, "error", err)
	}
}

func (h *Host) save(p *plugin, v *version, previous *record, rejected [32]byte) error {
	key := h.recordKey(p)
	if v == nil {
		return h.store.Forget(key)
	}
	r := store.Record{Plugin: p.source, Serving: hex.EncodeToString(v.record.identity[:])}
	keep := []string{r.Serving}
	records := []*record{&v.record}
	if previous != nil {
		r.Previous = hex.EncodeToString(previous.identity[:])
		keep, records = append(keep, r.Previous), append(records, previous)
	}
	if rejected != ([32]byte{}) {
		r.Rejected = hex.EncodeToString(rejected[:])
	}
	for i, rec := range records {
		files := map[string][]byte{wasmFile: rec.source.WASM}
		maps.Copy(files, rec.source.Beside)
		if rec.source.Tests != nil {
			files[testsFile] = rec.source.Tests
		}
		if err := h.store.Keep(keep[i], files); err != nil {
			return err
		}
	}
	return errors.Join(h.store.Save(key, r), h.store.PruneVersions(h.cfg.CacheBytes, keep...))
}

func fromHex(s string) (id [32]byte) {
	_, _ = hex.Decode(id[:], []byte(s)) // the store has checked it
	return id
}

// follow deploys what changes in the plugin directory, until the host ends: each plugin's
// changes one after the other, of which only the newest counts.
func (h *Host) follow(w *watch.Watcher) {
	h.followed.Go(func() {
		defer w.Close()
		ended := make(chan string)
		pending := make(map[string]watch.Change)
		busy := make(map[string]bool)
		changes, ending := w.Changes(), h.ending.Done()
		for ending != nil || len(busy) > 0 {
			select {
			case <-ending:
				ending, changes = nil, nil
				clear(pending)
			case c := <-changes:
				pending[c.Name] = c
			case name := <-ended:
				delete(busy, name)
			}
			for name, c := range pending {
				if busy[name] || len(busy) >= h.cfg.Workers {
					continue
				}
				delete(pending, name)
				busy[name] = true
				h.followed.Go(func() {
					h.apply(c)
					ended <- name
				})
			}
		}
	})
}

// apply does what a change of the plugin directory asks for.
func (h *Host) apply(c watch.Change) {
	if c.File == nil {
		if err := h.Unload(h.ending, c.Name); err != nil && !errors.Is(err, ErrUnknownPlugin) && h.ending.Err() == nil {
			h.log.Warn("a plugin whose file is gone is not unloaded", "plugin", c.Name, "error", err)
		}
		return
	}
	s := sourceOf(c.File)
	switch {
	case c.File.Err != nil:
		p, leave := h.place(c.Name)
		defer leave()
		_ = h.refuse(p, s, newLoadError(s, StepRead, c.File.Err))
	case h.settled(&s):
	default:
		// Whatever fails is told by deploy, and the file is let be until it changes.
		_, _ = h.deploy(h.ending, s, deployment{canary: true})
	}
}

// settled reports whether a source was refused or rolled back and has not changed since.
func (h *Host) settled(s *Source) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.plugins[s.Name]
	return p != nil && p.rejected == s.identity()
}

// readSource reads a plugin's file anew.
func (h *Host) readSource(ctx context.Context, name string) (Source, error) {
	f, err := watch.ReadFile(ctx, h.watchConfig(), name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Source{}, fmt.Errorf("%w %q: there is no %s.wasm in the plugin directory", ErrUnknownPlugin, name, name)
	case err != nil:
		return Source{}, newLoadError(Source{Name: name}, StepRead, err)
	}
	return sourceOf(&f), nil
}
