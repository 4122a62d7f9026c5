package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/state"
)

// decided returns what a store has of a plugin.
func decided(t *testing.T, store state.Store, source string) (r state.Record, doc map[string]any) {
	t.Helper()
	r, err := store.Load(t.Context(), state.Key{Kind: state.KindPlugin, Name: source})
	if errors.Is(err, state.ErrNotFound) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(r.Data, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, doc
}

// TestPauseIsStored has a host come after one that was killed, without a directory that is watched and
// without a cache: the store has what was decided.
func TestPauseIsStored(t *testing.T) {
	store := state.NewMemory()
	begin := func() *host.Host {
		return hosted.Start(t, host.Config{
			Plugins: []host.Source{{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})}}, State: store,
		})
	}
	h := begin()
	if err := h.Pause(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	before, doc := decided(t, store, "swap") // as if the host were killed now
	if doc["paused"] != true {
		t.Errorf("stored: %v", doc)
	}
	closeHost(t, h)
	h = begin()
	if _, err := h.Run(t.Context(), "swap", nil); !errors.Is(err, host.ErrPaused) {
		t.Errorf("%v, want that it is paused", err)
	}
	if err := h.Resume(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	closeHost(t, h)
	after, doc := decided(t, store, "swap")
	if doc["paused"] == true || after.Changed.Before(before.Changed) {
		t.Errorf("stored: %v at %v", doc, after.Changed)
	}
	h = begin()
	if _, err := h.Run(t.Context(), "swap", nil); err != nil {
		t.Error(err)
	}
	closeHost(t, h)
	if same, _ := decided(t, store, "swap"); !same.Changed.Equal(after.Changed) {
		t.Errorf("a start that decided nothing has saved at %v, after %v", same.Changed, after.Changed)
	}
}

// TestStoreGoesBeforeCache has a pause move from the cache to a store that has nothing of the plugin,
// and count there no more.
func TestStoreGoesBeforeCache(t *testing.T) {
	dir, cache, store := t.TempDir(), t.TempDir(), state.NewMemory()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	of := func(store state.Store) *watched {
		return watch(t, dir, cache, func(c *host.Config) { c.State = store })
	}
	wantPaused := func(w *watched, want bool) {
		t.Helper()
		if p := w.Plugins()[0]; p.Paused != want {
			t.Errorf("paused: %v", p.Paused)
		}
	}
	w := of(nil)
	if err := w.Pause(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	closeHost(t, w.Host)
	w = of(store)
	wantPaused(w, true)
	if _, doc := decided(t, store, "swap"); doc["paused"] != true {
		t.Errorf("stored: %v", doc)
	}
	closeHost(t, w.Host)
	w = of(nil)
	if err := w.Resume(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	closeHost(t, w.Host)
	w = of(store)
	wantPaused(w, true)
	if err := w.Unload(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	if _, doc := decided(t, store, "swap"); doc != nil {
		t.Errorf("of a plugin that is gone there is %v", doc)
	}
	closeHost(t, w.Host)
}

// TestRolledBackIsStored has a rollback outlive the host by a store and a cache of versions. Without the
// cache the version that was rolled back is refused, and the record stays.
func TestRolledBackIsStored(t *testing.T) {
	dir, cache, store := t.TempDir(), t.TempDir(), state.NewMemory()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	keep := func(c *host.Config) {
		c.State, c.Plugins = store, []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}}
	}
	w := watch(t, dir, cache, keep)
	w.await(event.PluginReady) // hostile, without which the last starts would have nothing that serves
	w.await(event.PluginReady)
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v2"}))
	w.await(event.PluginSwapped)
	if err := w.Rollback(t.Context(), "swap", host.StateDefault); err != nil {
		t.Fatal(err)
	}
	closeHost(t, w.Host)
	w = watch(t, dir, cache, keep)
	answers(t, w, "", guesttest.SwapTag("v1"))
	closeHost(t, w.Host)
	before, _ := decided(t, store, "swap")
	w = watch(t, dir, "", keep)
	var refused *host.LoadError
	for _, p := range w.Plugins() {
		if p.Source == "swap" {
			refused = p.Failure
		}
	}
	if refused == nil || refused.Step != host.StepRollback || !strings.Contains(refused.Error(), "start with the cache directory that has it") {
		t.Errorf("refused: %v", refused)
	}
	if _, err := w.Run(t.Context(), "swap", nil); !errors.Is(err, host.ErrUnknownTransform) {
		t.Errorf("%v, want that none serves", err)
	}
	for _, change := range []func(context.Context, string) error{w.Pause, w.Resume} {
		if err := change(t.Context(), "swap"); err != nil {
			t.Error(err)
		}
	}
	if err := w.SaveState(t.Context()); err != nil {
		t.Error(err)
	}
	closeHost(t, w.Host)
	if after, _ := decided(t, store, "swap"); !bytes.Equal(after.Data, before.Data) {
		t.Errorf("the record was %s and is %s", before.Data, after.Data)
	}
	w = watch(t, dir, cache, keep)
	answers(t, w, "", guesttest.SwapTag("v1"))
	closeHost(t, w.Host)
	w = watch(t, dir, "", keep)
	if _, err := w.Reload(t.Context(), "swap"); err != nil { // by which somebody decides
		t.Error(err)
	}
	closeHost(t, w.Host)
	w = watch(t, dir, "", keep)
	answers(t, w, "", guesttest.SwapTag("v2"))
	closeHost(t, w.Host)
}

// TestResetIsStored has a version serve at the next start whose rollback was to reset the streams that it cannot
// read. Streams that nobody has used since begin anew then.
func TestResetIsStored(t *testing.T) {
	v1, v3 := guesttest.SwapTag("v1"), guesttest.SwapTag("v3")
	first := stateful(t, "v1", `, "state_bytes": 16, "state_version": 1`).WASM
	newest := stateful(t, "v3", `, "state_bytes": 16, "state_version": 3, "state_reads": [1]`).WASM
	const told = "the newest version was rolled back; the one before it serves"
	var log *logtest.Log
	keep := func(store state.Store) func(c *host.Config) {
		log = &logtest.Log{}
		return func(c *host.Config) {
			c.State, c.Plugins = store, []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}}
			c.Logger = slog.New(slog.NewTextHandler(log, nil))
		}
	}
	// reset leaves streams of v3, and v1 rolled back to, with a stream that was used since.
	reset := func(t *testing.T) (dir, cache string, store *state.Memory) {
		t.Helper()
		dir, cache, store = t.TempDir(), t.TempDir(), state.NewMemory()
		save(t, dir, "swap.wasm", first)
		w := watch(t, dir, cache, keep(store))
		w.await(event.PluginReady)
		w.await(event.PluginReady)
		save(t, dir, "swap.wasm", newest)
		w.await(event.PluginSwapped)
		for _, key := range []string{"a", "b", "c"} {
			answers(t, w.Stream(key), "", v3)
		}
		if err := w.Rollback(t.Context(), "swap", host.StateReset); err != nil {
			t.Fatal(err)
		}
		answers(t, w.Stream("a"), "", v1)
		closeHost(t, w.Host)
		return dir, cache, store
	}
	for name, before := range map[string]func(t *testing.T, dir string){
		"as it was":            func(*testing.T, string) {},
		"its file is there":    func(t *testing.T, dir string) { save(t, dir, "swap.wasm", first) },
		"the file comes later": func(_ *testing.T, dir string) { _ = os.Remove(filepath.Join(dir, "swap.wasm")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, cache, store := reset(t)
			before(t, dir)
			w := watch(t, dir, cache, keep(store))
			w.await(event.PluginReady)
			if _, err := os.Stat(filepath.Join(dir, "swap.wasm")); err != nil {
				save(t, dir, "swap.wasm", newest)
			}
			w.await(event.PluginReady)
			answers(t, w.Stream("a"), "", v1+v1)
			answers(t, w.Stream("b"), "", v1)
			if n := w.Stats().StreamsReset; n != 1 {
				t.Errorf("%d streams are reset, want b", n)
			}
			if !strings.Contains(log.String(), "streams whose states the version cannot read begin anew") {
				t.Errorf("not told:\n%s", log)
			}
			closeHost(t, w.Host)
			w = watch(t, dir, cache, keep(store)) // where c has the format still
			answers(t, w.Stream("b"), "", v1+v1)
			answers(t, w.Stream("c"), "", v1)
			closeHost(t, w.Host)
		})
	}
	t.Run("for that version", func(t *testing.T) {
		dir, cache, store := reset(t)
		w := watch(t, dir, cache, keep(store))
		if _, doc := decided(t, store, "swap"); doc["resets"] != true {
			t.Errorf("stored: %v", doc)
		}
		if _, err := w.Reload(t.Context(), "swap"); err != nil {
			t.Fatal(err)
		}
		answers(t, w.Stream("b"), "", v3+v3)
		if _, doc := decided(t, store, "swap"); doc["resets"] != nil {
			t.Errorf("stored: %v", doc)
		}
		closeHost(t, w.Host)
	})
	t.Run("a record of before", func(t *testing.T) {
		dir, cache, store := reset(t)
		r, _ := decided(t, store, "swap")
		r.Data = bytes.Replace(r.Data, []byte(`,"resets":true`), nil, 1)
		if err := store.Save(t.Context(), []state.Change{{Record: r}}); err != nil {
			t.Fatal(err)
		}
		w := watch(t, dir, cache, keep(store))
		const want = "streams of transform swap have states of format 3, and version v1 reads [1]; the state rule is to refuse such a version: " +
			"to have such streams begin anew, start with the rule reset (StateRule, --state-rule reset)"
		var refused *host.LoadError
		for _, p := range w.Plugins() {
			if p.Source == "swap" {
				refused = p.Failure
			}
		}
		if refused == nil || refused.Step != host.StepState || refused.Err.Error() != want {
			t.Errorf("refused: %v, want %s", refused, want)
		}
		if text := log.String(); strings.Contains(text, told) || !strings.Contains(text, want) {
			t.Errorf("the log has:\n%s", text)
		}
		closeHost(t, w.Host)
		w = watch(t, dir, cache, func(c *host.Config) { keep(store)(c); c.Defaults.StateRule = host.StateReset })
		answers(t, w.Stream("b"), "", v1)
		if text := log.String(); !strings.Contains(text, told) {
			t.Errorf("the log has:\n%s", text)
		}
		closeHost(t, w.Host)
	})
}

// TestLateFileWasRolledBack has the file of a plugin come after the start. What was rolled back stays so: the
// version before it serves, or none if that is not kept, until an operator decides.
func TestLateFileWasRolledBack(t *testing.T) {
	dir, cache, store := t.TempDir(), t.TempDir(), state.NewMemory()
	keep := func(c *host.Config) { c.State = store }
	v1, v2 := guesttest.Swap(t, guesttest.Version{Tag: "v1"}), guesttest.Swap(t, guesttest.Version{Tag: "v2"})
	save(t, dir, "swap.wasm", v1)
	w := watch(t, dir, cache, keep)
	w.await(event.PluginReady)
	save(t, dir, "swap.wasm", v2)
	w.await(event.PluginSwapped)
	if err := w.Rollback(t.Context(), "swap", host.StateDefault); err != nil {
		t.Fatal(err)
	}
	closeHost(t, w.Host)
	before, rejected := decided(t, store, "swap")
	later := func(cache string, wasm []byte) *watched {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, "swap.wasm")); err != nil {
			t.Fatal(err)
		}
		w := watch(t, dir, cache, keep)
		save(t, dir, "swap.wasm", wasm)
		return w
	}
	for i := range 4 {
		if i < 2 {
			w = later(cache, v2)
			w.await(event.PluginReady)
		} else { // the version that served comes first, which i = 3 has not kept
			w = later([]string{cache, t.TempDir()}[i-2], v1)
			w.await(event.PluginReady)
			save(t, dir, "swap.wasm", v2)
		}
		answers(t, w, "", guesttest.SwapTag("v1"))
		until(t, "known to be rolled back", func() bool {
			f := w.Plugins()[0].Failure
			return f != nil && f.Step == host.StepRollback
		})
		closeHost(t, w.Host)
		after, doc := decided(t, store, "swap")
		if i < 2 && !bytes.Equal(after.Data, before.Data) || doc["rejected"] != rejected["rejected"] {
			t.Errorf("the record was %s and is %s", before.Data, after.Data)
		}
	}
	before, _ = decided(t, store, "swap")
	w = later("", v2)
	w.await(event.PluginRefused)
	closeHost(t, w.Host)
	if after, _ := decided(t, store, "swap"); !bytes.Equal(after.Data, before.Data) {
		t.Errorf("the record was %s and is %s", before.Data, after.Data)
	}
	w = later("", v2)
	w.await(event.PluginRefused)
	if _, err := w.Reload(t.Context(), "swap"); err != nil {
		t.Error(err)
	}
	answers(t, w, "", guesttest.SwapTag("v2"))
	closeHost(t, w.Host)
	if _, doc := decided(t, store, "swap"); doc["rejected"] != nil {
		t.Errorf("stored: %v", doc)
	}
}

// TestCanaryWithoutTheOther has a canary whose stable version is not kept. It does all tasks, and is a
// canary again once that version is there, unless it is promoted.
func TestCanaryWithoutTheOther(t *testing.T) {
	dir, cache, store := t.TempDir(), t.TempDir(), state.NewMemory()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	var log logtest.Log
	keep := func(c *host.Config) {
		c.State, c.Defaults.Canary, c.Defaults.CanaryTime = store, 0.5, time.Hour
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}
	w := watch(t, dir, cache, keep)
	w.await(event.PluginReady)
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v2"}))
	w.await(event.PluginCanary)
	closeHost(t, w.Host)
	before, doc := decided(t, store, "swap")
	if doc["trial"] == nil {
		t.Fatalf("stored: %v", doc)
	}
	w = watch(t, dir, "", keep)
	answers(t, w, "", guesttest.SwapTag("v2"))
	closeHost(t, w.Host)
	if after, _ := decided(t, store, "swap"); !bytes.Equal(after.Data, before.Data) {
		t.Errorf("the record was %s and is %s", before.Data, after.Data)
	}
	if n := strings.Count(log.String(), "a canary does all tasks of its plugin"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
	w = watch(t, dir, cache, keep)
	w.await(event.PluginReady)
	w.await(event.PluginCanary)
	closeHost(t, w.Host)
	w = watch(t, dir, "", keep)
	if err := w.Promote(t.Context(), "swap"); err != nil {
		t.Error(err)
	}
	if err := w.Promote(t.Context(), "swap"); !errors.Is(err, host.ErrNoCanary) {
		t.Errorf("promoted twice: %v", err)
	}
	closeHost(t, w.Host)
	if _, doc := decided(t, store, "swap"); doc["trial"] != nil {
		t.Errorf("stored: %v", doc)
	}
}

// TestDecisionsEndWithContext has a store that does not answer while a plugin is paused. Its caller waits no
// longer than it wants to, the plugin is paused, and the next save keeps that. The store is not to blame.
func TestDecisionsEndWithContext(t *testing.T) {
	store := &failingStore{Store: state.NewMemory()}
	var log logtest.Log
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})}},
		State:   store, StateInterval: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	store.set(func(s *failingStore) {
		s.save = func(save context.Context) error {
			cancel(errors.New("the caller has gone"))
			<-save.Done()
			return save.Err()
		}
	})
	if err := h.Pause(ctx, "swap"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), "swap", nil); !errors.Is(err, host.ErrPaused) {
		t.Errorf("error %v, want that it is paused", err)
	}
	if err := h.Resume(ctx, "swap"); !errors.Is(err, context.Cause(ctx)) {
		t.Errorf("error %v of a context that had ended", err)
	}
	store.set(func(s *failingStore) { s.save = nil })
	if err := h.SaveState(t.Context()); err != nil {
		t.Error(err)
	}
	if _, doc := decided(t, store, "swap"); doc["paused"] != true {
		t.Errorf("stored: %v", doc)
	}
	if text := log.String(); strings.Contains(text, "plugins is not saved") {
		t.Errorf("the store is blamed:\n%s", text)
	}
}

// TestDecisionsWait has a store that is away when plugins are paused. That is told once, and saved
// once the store works.
func TestDecisionsWait(t *testing.T) {
	store := &failingStore{Store: state.NewMemory()}
	var log logtest.Log
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{
			{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})},
			{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")},
		},
		State: store, StateInterval: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	store.set(func(s *failingStore) { s.save = func(context.Context) error { return state.ErrUnavailable } })
	for _, name := range []string{"swap", "hostile"} {
		if err := h.Pause(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "plugin="+name+" at_next_start_too=false") {
			t.Errorf("not told that it is not kept:\n%s", log.String())
		}
	}
	unsaved := func() (n int) {
		for _, p := range h.Plugins() {
			if p.Unsaved {
				n++
			}
		}
		return n
	}
	if err := h.Pause(t.Context(), "swap"); err != nil || unsaved() != 2 { // again, and it still waits
		t.Errorf("%d plugins are unsaved, error %v", unsaved(), err)
	}
	if st := h.Stats().State; st.Unsaved != 2 || st.UnsavedFor <= 0 {
		t.Errorf("stats %+v", st)
	}
	if err := h.SaveState(t.Context()); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	store.set(func(s *failingStore) { s.save = nil })
	if err := h.SaveState(t.Context()); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"swap", "hostile"} {
		if _, doc := decided(t, store, name); doc["paused"] != true {
			t.Errorf("stored: %v", doc)
		}
	}
	if n := unsaved(); n != 0 {
		t.Errorf("%d plugins are unsaved", n)
	}
	if st := h.Stats().State; st.Unsaved != 0 || st.UnsavedFor != 0 {
		t.Errorf("stats %+v", st)
	}
	if text := log.String(); strings.Count(text, "plugins is not saved") != 1 || strings.Count(text, "plugins is saved again") != 1 {
		t.Errorf("not told once:\n%s", text)
	}
	closeHost(t, h)
}

// TestDecisionsThatCannotBeRead has records that are none. The plugin serves as if nothing had been decided, and
// the record stays as it is until somebody decides.
func TestDecisionsThatCannotBeRead(t *testing.T) {
	for name, r := range map[string]state.Record{
		"newer":   {Format: 99, Data: []byte(`{"plugin": "swap", "paused": true}`)},
		"no JSON": {Format: 1, Data: []byte("?")},
		"another": {Format: 1, Data: []byte(`{"plugin": "other", "paused": true}`)},
		"version": {Format: 1, Data: []byte(`{"plugin": "swap", "serving": "../../etc", "paused": true}`)},
	} {
		t.Run(name, func(t *testing.T) {
			store := state.NewMemory()
			r.Key = state.Key{Kind: state.KindPlugin, Name: "swap"}
			if err := store.Save(t.Context(), []state.Change{{Record: r}}); err != nil {
				t.Fatal(err)
			}
			var log logtest.Log
			h := hosted.Start(t, host.Config{
				Plugins: []host.Source{{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})}}, State: store,
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			if _, err := h.Run(t.Context(), "swap", nil); err != nil {
				t.Error(err)
			}
			if err := h.SaveState(t.Context()); err != nil {
				t.Error(err)
			}
			if n := h.Stats().State.Unreadable[state.KindPlugin]; n != 1 {
				t.Errorf("%d records of plugins count as unreadable", n)
			}
			closeHost(t, h)
			if got, err := store.Load(t.Context(), r.Key); err != nil || got.Format != r.Format || !bytes.Equal(got.Data, r.Data) {
				t.Errorf("the record was %+v and is %+v, %v", r, got, err)
			}
			v1 := host.Source{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})}
			for what, decide := range map[string]func(*host.Host) error{ // by which somebody decides
				"resume": func(h *host.Host) error { return h.Resume(t.Context(), "swap") },
				"deploy": func(h *host.Host) error { _, err := h.Deploy(t.Context(), v1); return err },
				"unload": func(h *host.Host) error { return h.Unload(t.Context(), "swap") },
			} {
				if err := store.Save(t.Context(), []state.Change{{Record: r}}); err != nil {
					t.Fatal(err)
				}
				h = hosted.Start(t, host.Config{Plugins: []host.Source{v1}, State: store})
				if err := decide(h); err != nil {
					t.Error(err)
				}
				closeHost(t, h)
				_, doc := decided(t, store, "swap")
				if gone := what == "unload"; gone != (doc == nil) || !gone && (doc["plugin"] != "swap" || doc["paused"] != nil) {
					t.Errorf("after %s there is stored: %v", what, doc)
				}
			}
			if n := strings.Count(log.String(), "what was decided about a plugin cannot be read"); n != 1 {
				t.Errorf("told %d times:\n%s", n, log.String())
			}
		})
	}
}

// TestOnSave has further savers called by each save, until they are removed.
func TestOnSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := diarist(t, state.NewMemory(), func(c *host.Config) { c.StateInterval = time.Minute })
		fault := errors.New("no room")
		var calls atomic.Int32
		var fails atomic.Bool // set by the test while the host's own saves go on
		remove := h.OnSave(func(context.Context) error {
			calls.Add(1)
			if fails.Load() {
				return fault
			}
			return nil
		})
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if calls.Load() != 1 {
			t.Errorf("%d calls in the interval, want 1", calls.Load())
		}
		fails.Store(true)
		if err := h.SaveState(t.Context()); !errors.Is(err, fault) || calls.Load() != 2 {
			t.Errorf("error %v after %d calls", err, calls.Load())
		}
		time.Sleep(60 * time.Second) // at the end of the interval, and 1 s later again
		synctest.Wait()
		fails.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if calls.Load() != 4 {
			t.Errorf("%d calls, want 4", calls.Load())
		}
		remove()
		remove()
		if err := h.SaveState(t.Context()); err != nil || calls.Load() != 4 {
			t.Errorf("error %v after %d calls", err, calls.Load())
		}
		h.OnSave(func(ctx context.Context) error { calls.Add(1); return ctx.Err() })
		closeHost(t, h)
		if calls.Load() < 5 {
			t.Errorf("%d calls, want one by Close", calls.Load())
		}
	})
	h, _ := inline(t, nil)
	h.OnSave(func(context.Context) error { t.Error("called without a store"); return nil })()
}
