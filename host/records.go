package host

import (
	"context"
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

	"github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/store"
	"github.com/resonhost/resonhost/state"
)

// records keeps what was decided about plugins, and the versions that serve, for the next start. The
// methods of a nil one do nothing.
//
// Versions lie in Config.CacheDir, and so does a copy of what was decided, by which a host without
// Config.State goes on. What Config.State has of a plugin goes before that copy.
type records struct {
	decisions *decisions // nil without Config.State

	store  *store.Store // nil without Config.CacheDir and Watch
	dir    string       // the plugin directory, from wherever it is looked at
	bytes  int64        // that versions take at most
	log    *slog.Logger
	saving sync.Mutex // one record is saved in files at a time
}

// openCache opens Config.CacheDir: what plugins were compiled to, and where versions are kept.
func openCache(cfg *Config) (*module.Cache, *store.Store, error) {
	if cfg.CacheDir == "" {
		return nil, nil, nil
	}
	s, err := store.Open(cfg.CacheDir)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrCacheDir, err)
	}
	return module.OpenCache(s.Compiled(), cfg.CacheBytes, cfg.Logger), s, nil
}

// openRecords opens the records; nil if nothing keeps any. Without Config.Watch the versions are
// those that there are, and none is kept.
func openRecords(ctx context.Context, cfg *Config, versions *store.Store) (*records, error) {
	d, err := openDecisions(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r := &records{decisions: d, bytes: cfg.CacheBytes, log: cfg.Logger}
	if cfg.Watch && versions != nil {
		r.store = versions
		if r.dir, err = filepath.Abs(cfg.PluginDir); err != nil {
			r.dir = cfg.PluginDir
		}
	}
	if r.store == nil && d == nil {
		return nil, nil
	}
	return r, nil
}

// saveBy has the keeper, if there is one, save what was decided and could not be saved at once.
func (r *records) saveBy(k *keeper.Keeper[sched.Serial]) {
	if r != nil && r.decisions != nil {
		k.Add(r.decisions.flush) // until the host ends
		k.NoteUnreadable(state.KindPlugin, r.decisions.damaged)
	}
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
	if decided, ok := r.decisions.of(source); ok || r.store == nil {
		return decided
	}
	kept, err := r.store.Load(r.key(source))
	if err != nil {
		r.log.Warn("what served before is not known", "plugin", source, "error", err)
	}
	return kept
}

// replace is that of decisions.
func (r *records) replace(source string) bool { return r != nil && r.decisions.replace(source) }

const (
	wasmFile      = "plugin.wasm"
	testsFile     = "tests.ndjson"
	companionFile = "companion.yaml"
)

// read reads a version that was kept, nil if there is none, or none that is whole.
func (r *records) read(source, id string) *record {
	if r == nil || r.store == nil || id == "" {
		return nil
	}
	files, err := r.store.Read(id)
	if err == nil {
		s := Source{Name: source, WASM: files[wasmFile], Tests: files[testsFile], Companion: files[companionFile], Beside: files}
		for _, own := range []string{wasmFile, testsFile, companionFile} {
			delete(files, own)
		}
		if got := s.stamp(); hex.EncodeToString(got[:]) == id {
			return recordOf(s)
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
	held     *store.Record // goes before what is above
	paused   bool
	// since and by are the serving version's, and failed is when the one that was rolled back
	// was; zero if that is not so.
	since, failed time.Time
	by            DeployResult
}

// save keeps what now returns, which is the newest. ctx bounds the wait for the store of states: what it ends
// is kept with the next save of state.
func (r *records) save(ctx context.Context, source string, now func() kept) error {
	if r == nil {
		return nil
	}
	noted, err := r.note(source, now)
	if noted == nil {
		noted = r.decisions.settle(ctx)
	}
	return errors.Join(noted, err)
}

// note keeps what now returns in files, and notes it for the store of states. noted is the error of the latter.
func (r *records) note(source string, now func() kept) (noted, err error) {
	r.saving.Lock()
	defer r.saving.Unlock()
	k := now()
	if k.serving == nil && k.held == nil && !k.paused {
		noted = r.decisions.note(source, nil)
		if r.store != nil {
			err = r.store.Forget(r.key(source))
		}
		return noted, err
	}
	doc := k.record(source)
	noted = r.decisions.note(source, &doc)
	if r.store == nil {
		return noted, nil
	}
	doc.Dir = r.dir
	return noted, r.keep(&k, doc)
}

// keep keeps the versions that a record names, and the record.
func (r *records) keep(k *kept, doc store.Record) error {
	var served *record
	if k.serving != nil {
		served = &k.serving.current.record
	}
	for _, v := range []*record{served, k.previous} {
		if v != nil {
			if err := r.store.Keep(v.name(), v.files()); err != nil {
				return err
			}
		}
	}
	return errors.Join(r.store.Save(r.key(doc.Plugin), doc), r.store.PruneVersions(r.bytes))
}

// record is what is kept, as it is stored.
func (k *kept) record(source string) store.Record {
	if k.held != nil {
		doc := *k.held
		doc.Paused = k.paused
		return doc
	}
	doc := store.Record{Plugin: source, Paused: k.paused}
	if k.serving == nil {
		return doc
	}
	// In UTC, and without what the process's clock adds, it is the same once it was stored.
	doc.Serving, doc.Since, doc.By = k.serving.current.record.name(), k.since.UTC().Round(0), string(k.by)
	doc.Resets = k.serving.current.resets
	if k.previous != nil {
		doc.Previous = k.previous.name()
	}
	if k.rejected != ([32]byte{}) {
		doc.Rejected, doc.RejectedAt = hex.EncodeToString(k.rejected[:]), k.failed.UTC().Round(0)
	}
	if k.serving.trial != nil {
		id := k.serving.trial.version.record.identity
		doc.Trial = hex.EncodeToString(id[:])
	}
	return doc
}

// ruleOf is the rule that was decided for the version that a record has serve.
func ruleOf(r *store.Record) StateRule {
	if r.Resets {
		return StateReset
	}
	return StateDefault
}

func recordOf(s Source) *record { return &record{s, s.identity(), s.Hash()} }

// name is by which a version is kept.
func (r *record) name() string {
	sum := r.source.stamp()
	return hex.EncodeToString(sum[:])
}

// files are those of a version that are kept.
func (r *record) files() map[string][]byte {
	files := maps.Clone(r.source.Beside)
	if files == nil {
		files = make(map[string][]byte)
	}
	files[wasmFile] = r.source.WASM
	if r.source.Tests != nil {
		files[testsFile] = r.source.Tests
	}
	if r.source.Companion != nil {
		files[companionFile] = r.source.Companion
	}
	return files
}

func fromHex(s string) (id [32]byte) {
	_, _ = hex.Decode(id[:], []byte(s)) // the store has checked it
	return id
}
