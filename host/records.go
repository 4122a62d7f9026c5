package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/store"
)

// records keeps which versions of plugins serve, and those versions, for the next start. The
// methods of a nil one do nothing.
type records struct {
	store  *store.Store
	dir    string // the plugin directory, from wherever it is looked at
	bytes  int64  // that versions take at most
	log    *slog.Logger
	saving sync.Mutex // one record is saved at a time
}

// openCache opens Config.CacheDir: what plugins were compiled to, and, with Watch, the records.
func openCache(cfg *Config) (*module.Cache, *records, error) {
	if cfg.CacheDir == "" {
		return nil, nil, nil
	}
	s, err := store.Open(cfg.CacheDir)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrCacheDir, err)
	}
	modules := module.OpenCache(s.Compiled(), cfg.CacheBytes, cfg.Logger)
	if !cfg.Watch {
		return modules, nil, nil
	}
	dir, err := filepath.Abs(cfg.PluginDir)
	if err != nil {
		dir = cfg.PluginDir
	}
	return modules, &records{store: s, dir: dir, bytes: cfg.CacheBytes, log: cfg.Logger}, nil
}

// key names the record of a source among those of all directories.
func (r *records) key(source string) string {
	sum := sha256.Sum256([]byte(r.dir + "\x00" + source))
	return hex.EncodeToString(sum[:])
}

// recall returns what is kept of a source.
func (r *records) recall(source string) store.Record {
	if r == nil {
		return store.Record{}
	}
	kept, err := r.store.Load(r.key(source))
	if err != nil {
		r.log.Warn("what served before is not known", "plugin", source, "error", err)
	}
	return kept
}

const (
	wasmFile      = "plugin.wasm"
	testsFile     = "tests.ndjson"
	companionFile = "companion.yaml"
)

// read reads a version that was kept, nil if there is none, or none that is whole.
func (r *records) read(source, id string) *record {
	if r == nil || id == "" {
		return nil
	}
	files, err := r.store.Read(id)
	if err == nil {
		s := Source{Name: source, WASM: files[wasmFile], Tests: files[testsFile], Companion: files[companionFile], Beside: files}
		for _, own := range []string{wasmFile, testsFile, companionFile} {
			delete(files, own)
		}
		if got := s.stamp(); hex.EncodeToString(got[:]) == id {
			return &record{s, s.identity(), s.hash()}
		}
		err = errors.New("it is not what it was")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("an earlier version cannot be read", "plugin", source, "version", id, "error", err)
	}
	return nil
}

// kept is what is kept of a plugin.
type kept struct {
	serving  *serving
	previous *record
	rejected [32]byte
	paused   bool
	// since and by are the serving version's, and failed is when the one that was rolled back
	// was; zero if that is not so.
	since, failed time.Time
	by            DeployResult
}

// save keeps what now returns, which is the newest.
func (r *records) save(source string, now func() kept) error {
	if r == nil {
		return nil
	}
	r.saving.Lock()
	defer r.saving.Unlock()
	k, key := now(), r.key(source)
	doc := store.Record{Plugin: source, Dir: r.dir, Paused: k.paused}
	if k.serving == nil {
		if k.paused {
			return r.store.Save(key, doc)
		}
		return r.store.Forget(key)
	}
	doc.Since, doc.By = k.since, string(k.by)
	var err error
	if doc.Serving, err = r.keep(&k.serving.current.record); err != nil {
		return err
	}
	if k.previous != nil {
		if doc.Previous, err = r.keep(k.previous); err != nil {
			return err
		}
	}
	if k.rejected != ([32]byte{}) {
		doc.Rejected, doc.RejectedAt = hex.EncodeToString(k.rejected[:]), k.failed
	}
	if k.serving.trial != nil {
		id := k.serving.trial.version.record.identity
		doc.Trial = hex.EncodeToString(id[:])
	}
	return errors.Join(r.store.Save(key, doc), r.store.PruneVersions(r.bytes))
}

// keep keeps a version in the store, and returns its name there.
func (r *records) keep(v *record) (id string, err error) {
	files := maps.Clone(v.source.Beside)
	if files == nil {
		files = make(map[string][]byte)
	}
	files[wasmFile] = v.source.WASM
	if v.source.Tests != nil {
		files[testsFile] = v.source.Tests
	}
	if v.source.Companion != nil {
		files[companionFile] = v.source.Companion
	}
	sum := v.source.stamp()
	id = hex.EncodeToString(sum[:])
	return id, r.store.Keep(id, files)
}

func fromHex(s string) (id [32]byte) {
	_, _ = hex.Decode(id[:], []byte(s)) // the store has checked it
	return id
}
