package host_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// watched is a host whose plugin directory is watched.
type watched struct {
	*host.Host

	tb   testing.TB
	dir  string
	told chan event.PluginChanged
}

func watch(tb testing.TB, dir, cache string, change func(*host.Config)) *watched {
	tb.Helper()
	bus := event.New(0)
	tb.Cleanup(func() { _ = bus.Close(context.Background()) })
	w := &watched{tb: tb, dir: dir, told: make(chan event.PluginChanged, 1000)}
	bus.Handle(1000, func(_ context.Context, e event.Event) { w.told <- e.Body.(event.PluginChanged) }, event.KindPluginChanged)
	cfg := host.Config{PluginDir: dir, Watch: true, CacheDir: cache, Events: bus, Workers: 2, Poll: 100 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	w.Host = hosted.Start(tb, cfg)
	return w
}

// await waits until the plugin changes that way, and not another.
func (w *watched) await(change event.Change) event.PluginChanged {
	w.tb.Helper()
	select {
	case e := <-w.told:
		if e.Change != change {
			w.tb.Fatalf("told %+v, want %s", e, change)
		}
		return e
	case <-time.After(time.Minute):
		w.tb.Fatalf("not told that the plugin is %s", change)
	}
	return event.PluginChanged{}
}

func save(tb testing.TB, dir, name string, data []byte) {
	tb.Helper()
	temp := filepath.Join(dir, "."+name+".new")
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(dir, name)); err != nil {
		tb.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	log := new(bytes.Buffer)
	t.Cleanup(func() { // once the host is closed
		if n := strings.Count(log.String(), "level=WARN msg=\"there is no plugin yet: "); n != 1 {
			t.Errorf("told %d times that there is no plugin, want once:\n%s", n, log)
		}
	})
	w := watch(t, dir, "", func(c *host.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	if len(w.Plugins()) != 0 {
		t.Errorf("%+v", w.Plugins())
	}
	if _, err := w.Run(t.Context(), "swap", nil); !errors.Is(err, host.ErrUnknownTransform) {
		t.Errorf("%v", err)
	}
	v := func(tag string) []byte { return guesttest.Swap(t, guesttest.Version{Tag: tag}) }
	save(t, dir, "swap.wasm", v("v1"))
	w.await(event.PluginReady)
	answers(t, w, "", guesttest.SwapTag("v1"))
	save(t, dir, "swap.wasm", v("v2"))
	w.await(event.PluginSwapped)
	answers(t, w, "", guesttest.SwapTag("v2"))

	save(t, dir, "swap.wasm", guesttest.HandWritten(t, "no-run"))
	if e := w.await(event.PluginRefused); !strings.Contains(e.Detail, "does not export the function resonhost_run") {
		t.Errorf("%+v", e)
	}
	answers(t, w, "", guesttest.SwapTag("v2"))
	save(t, dir, "broken.wasm", []byte("broken"))
	w.await(event.PluginRefused)
	if list := w.Plugins(); len(list) != 2 || list[1].Source != "broken" || list[1].Hash != "" || list[1].Failure == nil || list[0].Failure == nil {
		t.Errorf("%+v", list)
	}
	if err := os.Remove(filepath.Join(dir, "broken.wasm")); err != nil {
		t.Fatal(err)
	}

	save(t, dir, "swap.wasm", v("v3"))
	w.await(event.PluginSwapped)
	if err := w.Rollback(t.Context(), "swap", 0); err != nil {
		t.Fatal(err)
	}
	w.await(event.PluginRolledBack)
	answers(t, w, "", guesttest.SwapTag("v2"))
	save(t, dir, "swap.wasm", v("v3")) // the same, and let be
	save(t, dir, "other.wasm", guesttest.HandWritten(t, "hostile"))
	w.await(event.PluginReady)
	answers(t, w, "", guesttest.SwapTag("v2"))
	if r, err := w.Reload(t.Context(), "swap"); err != nil || r != host.DeploySwapped { // but for a request
		t.Errorf("%v, %v", r, err)
	}
	w.await(event.PluginSwapped)
	if _, err := w.Reload(t.Context(), "none"); !errors.Is(err, host.ErrUnknownPlugin) {
		t.Errorf("%v", err)
	}

	// Tests are a part of it.
	save(t, dir, "swap.test.ndjson", []byte(`{"transform": "swap", "input": "x", "output": "y"}`))
	if e := w.await(event.PluginRefused); !strings.Contains(e.Detail, `swap.test.ndjson: line 1 of swap: output: got "v3`) {
		t.Errorf("%+v", e)
	}
	if err := os.Remove(filepath.Join(dir, "swap.test.ndjson")); err != nil {
		t.Fatal(err)
	}
	save(t, dir, "swap.wasm", v("v4"))
	w.await(event.PluginSwapped)

	if err := os.Remove(filepath.Join(dir, "swap.wasm")); err != nil {
		t.Fatal(err)
	}
	for e := range w.told {
		if e.Change == event.PluginUnloaded && e.Plugin == "swap" {
			break
		}
	}
	if _, err := w.Run(t.Context(), "swap", nil); !errors.Is(err, host.ErrUnknownTransform) {
		t.Errorf("%v", err)
	}
}

// TestPauseSurvives has a plugin stay paused for the hosts that come after, also if no version of
// it could serve meanwhile.
func TestPauseSurvives(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	good := guesttest.Swap(t, guesttest.Version{Tag: "v1"})
	save(t, dir, "swap.wasm", good)
	save(t, dir, "other.wasm", guesttest.HandWritten(t, "hostile"))
	var log bytes.Buffer
	begin := func() *watched {
		log.Reset()
		return watch(t, dir, cache, func(c *host.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	}
	end := func(w *watched) {
		t.Helper()
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w := begin()
	if err := w.Pause(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	end(w)
	if !strings.Contains(log.String(), "plugin=swap at_next_start_too=true") {
		t.Errorf("not told that it is kept:\n%s", &log)
	}
	for _, wasm := range [][]byte{good, []byte("broken"), good} {
		save(t, dir, "swap.wasm", wasm)
		w := begin()
		if _, err := w.Run(t.Context(), "swap", nil); string(wasm) != "broken" && !errors.Is(err, host.ErrPaused) {
			t.Errorf("%v, want that it is paused", err)
		}
		for _, p := range w.Plugins() {
			if p.Paused != (p.Source == "swap") {
				t.Errorf("%s: paused: %v", p.Source, p.Paused)
			}
		}
		end(w)
		if n := strings.Count(log.String(), `level=WARN msg="the plugin is paused, as it was before: it takes no tasks until it is resumed" plugin=swap`); n != 1 {
			t.Errorf("told %d times:\n%s", n, &log)
		}
	}
	w = begin()
	if err := w.Resume(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	end(w)
	w = begin()
	answers(t, w, "", guesttest.SwapTag("v1"))
}

// TestOverridesOfNone warns of settings for a plugin that is not there.
func TestOverridesOfNone(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	var log bytes.Buffer
	w := watch(t, dir, "", func(c *host.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Overrides = map[string]host.PluginConfig{"swop": {MaxCalls: 1}, "swap": {MaxCalls: 1}}
	})
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `level=WARN msg="there are settings for a plugin that is not there; did you mean \"swap\"?" plugin=swop`
	if n := strings.Count(log.String(), "settings for a plugin"); n != 1 || !strings.Contains(log.String(), want) {
		t.Errorf("got:\n%s\nwant:\n%s", &log, want)
	}
	h, err := host.New(host.Config{PluginDir: dir, Overrides: map[string]host.PluginConfig{"swop": {}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || err.Error() != `Overrides["swop"]: there is no such plugin; did you mean "swap"?` {
		t.Errorf("%v", err)
	}
}

// TestPauseNotKept has a plugin paused whose record cannot be written: it is paused, and the log
// says no more than that.
func TestPauseNotKept(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	var log bytes.Buffer
	w := watch(t, dir, cache, func(c *host.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	if err := os.RemoveAll(filepath.Join(cache, "plugins")); err != nil {
		t.Fatal(err)
	}
	save(t, cache, "plugins", nil) // where a directory should be
	if err := w.Pause(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	if !w.Plugins()[0].Paused {
		t.Error("it is not paused")
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"plugin=swap at_next_start_too=false", `level=WARN msg="that the plugin is paused is not kept for the next start" plugin=swap`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("want %s in:\n%s", want, &log)
		}
	}
}

// TestWatchOneOfMany has every broken guest come and go, while a good version serves.
func TestWatchOneOfMany(t *testing.T) {
	dir := t.TempDir()
	good := guesttest.Swap(t, guesttest.Version{Tag: "v1"})
	save(t, dir, "swap.wasm", good)
	w := watch(t, dir, "", func(c *host.Config) { c.Defaults.InitTimeout = time.Second }) // of those that spin
	w.await(event.PluginReady)
	guests, err := filepath.Glob(filepath.Join(guesttest.Root(), "testdata/guests/*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	serving := []string{
		"busy", "call-wild", "command", "deep", "drop", "edge-alloc", "extism", "extism-program", "guard-convert", "guard-select", "hoard", "hostile", "late", "leak", "log-late", "nan", "program", "refuse-alloc", "room",
		"swap", "table-grow", "traps", "unaligned-alloc", "upper", "wide", "wild-alloc",
	}
	refused := 0
	for _, file := range guests {
		name := strings.TrimSuffix(filepath.Base(file), ".wasm")
		if slices.Contains(serving, name) {
			continue // they misbehave only at a task
		}
		t.Log(name)
		save(t, dir, "swap.wasm", guesttest.HandWritten(t, name))
		w.await(event.PluginRefused)
		answers(t, w, "", guesttest.SwapTag("v1"))
		refused++
	}
	if refused < 25 {
		t.Errorf("%d broken guests", refused)
	}
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v2"}))
	w.await(event.PluginSwapped)
}

// TestCompilingIsTold has a start that compiles say so at once, in a line.
func TestCompilingIsTold(t *testing.T) {
	var log strings.Builder
	once := func(cache string) int {
		log.Reset()
		h := hosted.Start(t, host.Config{
			Plugins: []host.Source{tagged(t, "v0"), handWritten(t, "hostile")}, CacheDir: cache, Workers: 1,
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "compiling plugins"); n > 0 && strings.Index(log.String(), "compiling plugins") > strings.Index(log.String(), "plugin is ready") {
			t.Errorf("it is told too late:\n%s", log.String())
		}
		return strings.Count(log.String(), "compiling plugins")
	}
	cache := t.TempDir()
	for i, c := range []struct {
		cache string
		want  int
	}{{cache, 1}, {cache, 0}, {"", 1}, {"", 1}} {
		if got := once(c.cache); got != c.want {
			t.Errorf("start %d: told %d times, want %d:\n%s", i, got, c.want, log.String())
		}
	}
}

// TestCompilingOfOneIsTold has a plugin that comes later be told of before it is compiled, and not if it lies in
// the cache.
func TestCompilingOfOneIsTold(t *testing.T) {
	var log strings.Builder
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{tagged(t, "v0")}, CacheDir: t.TempDir(), Workers: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	deploy(t, h, tagged(t, "v1"), host.DeploySwapped)
	deploy(t, h, tagged(t, "v0"), host.DeploySwapped)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = `msg="compiling a plugin" plugin=swap`
	if at := strings.Index(log.String(), want); strings.Count(log.String(), want) != 1 || at > strings.Index(log.String(), "plugin is swapped") {
		t.Errorf("want %s once, before the version serves:\n%s", want, log.String())
	}
}

func TestCacheDir(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	v := func(tag string) []byte { return guesttest.Swap(t, guesttest.Version{Tag: tag}) }
	v1, v2, v3 := guesttest.SwapTag("v1"), guesttest.SwapTag("v2"), guesttest.SwapTag("v3")
	var started time.Time
	session := func(f func(w *watched)) {
		started = time.Now()
		w := watch(t, dir, cache, nil)
		w.await(event.PluginReady)
		f(w)
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	save(t, dir, "swap.wasm", v("v1"))
	session(func(w *watched) {
		answers(t, w, "", v1)
		save(t, dir, "swap.wasm", v("v2"))
		w.await(event.PluginSwapped)
	})
	var back host.Plugin
	session(func(w *watched) { // which versions there were is known
		answers(t, w, "", v2)
		if p := w.Plugins()[0]; p.By != host.DeploySwapped || p.Since.IsZero() || p.Since.After(started) {
			t.Errorf("it serves since %v, by %q; the restart was at %v", p.Since, p.By, started)
		}
		if err := w.Rollback(t.Context(), "swap", 0); err != nil {
			t.Fatal(err)
		}
		answers(t, w, "", v1)
		back = w.Plugins()[0]
	})
	session(func(w *watched) { // and that one was rolled back
		answers(t, w, "", v1)
		if p := w.Plugins()[0]; p.By != host.DeployRolledBack || !p.Since.Equal(back.Since) || p.Failure == nil || !p.Failure.Time.Equal(back.Failure.Time) {
			t.Errorf("it serves since %v, by %q, and the failure is %v; before the restart it was %+v", p.Since, p.By, p.Failure, back)
		}
		if r, err := w.Reload(t.Context(), "swap"); err != nil || r != host.DeploySwapped {
			t.Errorf("%v, %v", r, err)
		}
		answers(t, w, "", v2)
	})
	save(t, dir, "swap.wasm", []byte("broken meanwhile"))
	w := watch(t, dir, cache, nil)
	w.await(event.PluginRefused)
	w.await(event.PluginReady)
	answers(t, w, "", v2)
	if p := w.Plugins()[0]; p.Failure == nil || p.Failure.Step != host.StepInspect {
		t.Errorf("%+v", p)
	}
	save(t, dir, "swap.wasm", v("v3"))
	w.await(event.PluginSwapped)
	answers(t, w, "", v3)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	// What has rotted is compiled anew, and no version.
	for _, kind := range []string{"compiled", "versions", "plugins"} {
		err := filepath.WalkDir(filepath.Join(cache, kind), func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(name, b, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	session(func(w *watched) {
		answers(t, w, "", v3)
		if err := w.Rollback(t.Context(), "swap", 0); !errors.Is(err, host.ErrNoPrevious) {
			t.Errorf("%v", err)
		}
	})

	if err := os.Chmod(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	h, err := host.New(host.Config{PluginDir: dir, CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "cache directory: ") || !strings.Contains(err.Error(), "others can write to it") {
		t.Errorf("%v", err)
	}
}

// TestCacheIsBounded compiles more than there is room for.
func TestCacheIsBounded(t *testing.T) {
	cache := t.TempDir()
	h := hosted.Start(t, host.Config{Plugins: []host.Source{tagged(t, "v0")}, CacheDir: cache, CacheBytes: 200 << 10})
	for i := range 20 {
		deploy(t, h, tagged(t, "v"+hex.EncodeToString([]byte{byte(i + 1)})), host.DeploySwapped)
	}
	entries, err := os.ReadDir(filepath.Join(cache, "compiled"))
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	_ = filepath.Walk(cache, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	if total > 250<<10 || len(entries) == 0 {
		t.Errorf("%d entries of %d bytes", len(entries), total)
	}
}

// TestStrayFiles has files told once that nobody reads and that look meant for the host, whatever keeps
// them from it, and no others.
func TestStrayFiles(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "upper.wasm", handWritten(t, "upper").WASM)
	for _, other := range []string{"README.md", "Makefile", "upper.wat", "upper.go", "upper.wasm.new", ".Q.WASM.swp"} {
		save(t, dir, other, []byte("{"))
	}
	save(t, dir, "input.json", []byte(`{"text": "hello"}`))
	save(t, dir, "lines.json", []byte("{\"text\": \"hello\"}\n{\"text\": \"again\"}\n"))
	save(t, dir, "package.json", []byte(`{"name": "upper", "config": {}}`))
	want := map[string]string{
		"upper.plugin.yml":       "its name does not end as it must: call it upper.plugin.yaml",
		"upper.plugin.json":      "its name does not end as it must: call it upper.plugin.yaml",
		"upper.plugin.yaml.txt":  "its name does not end as it must: call it upper.plugin.yaml",
		"upper.wasm.plugin.yaml": "its name does not end as it must: call it upper.plugin.yaml",
		"upper.test.jsonl":       "its name does not end as it must: call it upper.test.ndjson",
		"Q.WASM":                 "its name does not end as it must: call it Q.wasm",
		"lower.plugin.yaml":      "there is no lower.wasm beside it",
		"lower.test.ndjson":      "there is no lower.wasm beside it",
		"half.json":              "it is not valid JSON (unexpected EOF): mend it if it is a manifest of Extism's, or take it away",
		"program.plugin.yaml":    "it is a link that leads nowhere",
	}
	for file := range want {
		if file != "program.plugin.yaml" {
			save(t, dir, file, []byte("{"))
		}
	}
	save(t, dir, "slip.json", []byte(`{"wasmm": []}`))
	want["slip.json"] = `it has \"wasmm\" and no \"wasm\", by which a manifest of Extism's is known: call the member \"wasm\"`
	save(t, dir, "program.wasm", handWritten(t, "program").WASM)
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "program.plugin.yaml")); err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	h := hosted.Start(t, host.Config{PluginDir: dir, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if n := len(h.Plugins()); n != 2 {
		t.Errorf("%d plugins", n)
	}
	for file, reason := range want {
		if line := "file=" + file + ` reason="` + reason + `"`; strings.Count(log.String(), line) != 1 {
			t.Errorf("no %s in\n%s", line, log)
		}
	}
	if n := strings.Count(log.String(), "a file is not read"); n != len(want) {
		t.Errorf("%d warnings, want %d:\n%s", n, len(want), log)
	}
}

// TestLateStray has a companion file told that comes while the host runs, and what was told before not told
// again.
func TestLateStray(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "upper.wasm", handWritten(t, "upper").WASM)
	save(t, dir, "early.plugin.yaml", []byte("kind: native"))
	log := make(lines, 1000)
	watch(t, dir, "", func(c *host.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	save(t, dir, "later.plugin.yml", []byte("kind: native"))
	told := ""
	for !strings.Contains(told, "file=later.plugin.yml") {
		select {
		case line := <-log:
			told += line
		case <-time.After(time.Minute):
			t.Fatalf("it is not told:\n%s", told)
		}
	}
	if n := strings.Count(told, "file=early.plugin.yaml"); n != 1 {
		t.Errorf("told %d times of what was there at the start:\n%s", n, told)
	}
}

// lines hands over what is logged.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// TestRescan looks at a directory that is watched, and at no other.
func TestRescan(t *testing.T) {
	w := watch(t, t.TempDir(), "", nil)
	if err := w.Rescan(); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	still := watch(t, dir, "", func(c *host.Config) { c.Watch = false })
	if err := still.Rescan(); !errors.Is(err, host.ErrFixed) {
		t.Error(err)
	}
}
