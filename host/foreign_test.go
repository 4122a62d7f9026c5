package host_test

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guestbuild"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/strictjson"
)

// foreignDir is the environment variable that names a directory of plugins of other people's.
const foreignDir = "RESONHOST_FOREIGN_PLUGINS"

// expectSuffix is what follows a plugin's name in the name of its file of expectations. The file
// has lines as NAME.test.ndjson, or the one line {"refused": "words of the error"}.
const expectSuffix = ".expect.ndjson"

// TestForeign runs the plugins below a directory, testdata/foreign and what is built for it if
// the environment names none. Each loads, or says in one sentence why not. Outputs of those with
// expectations agree.
func TestForeign(t *testing.T) {
	dir := os.Getenv(foreignDir)
	if dir == "" {
		dir = foreignGuests(t)
	}
	loaded, refused, cache := 0, 0, t.TempDir()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".wasm" {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			if foreign(t, path, cache) {
				loaded++
			} else {
				refused++
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d plugins load, %d are refused", loaded, refused)
	if loaded+refused == 0 {
		t.Errorf("no file below %s ends in .wasm", dir)
	}
}

// foreignGuests returns a directory of plugins that come with the sources.
func foreignGuests(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(guesttest.Root(), "testdata/foreign"))); err != nil {
		t.Fatal(err)
	}
	write := func(name string, wasm []byte) {
		if err := os.WriteFile(filepath.Join(dir, name+".wasm"), wasm, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("echo", guesttest.Build(t, "./testdata/guests/echo"))
	for _, name := range []string{"component", "upper"} {
		write(name, guesttest.HandWritten(t, name))
	}
	write("wordcount", guesttest.BuildCommand(t, "./testdata/guests/wordcount"))
	for name, pkg := range map[string]string{ // a formatter, a linter and a converter, as they are published
		"shfmt": "mvdan.cc/sh/v3/cmd/shfmt", "misspell": "github.com/client9/misspell/cmd/misspell",
		"tomljson": "github.com/pelletier/go-toml/v2/cmd/tomljson",
	} {
		wasm, err := guestbuild.Command(t.Context(), filepath.Join(guesttest.Root(), "testdata/commands"), pkg)
		if err != nil {
			t.Fatal(err)
		}
		write(name, wasm)
	}
	return dir
}

// foreign loads a plugin and runs what is expected of it. It reports whether it loads.
func foreign(t *testing.T, file, cache string) bool {
	t.Helper()
	s, err := host.ReadSource(t.Context(), file, 256<<20)
	if err != nil {
		t.Fatal(err)
	}
	expect, err := os.ReadFile(strings.TrimSuffix(file, ".wasm") + expectSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var want struct {
		Refused string `json:"refused"`
	}
	first, _, _ := bytes.Cut(expect, []byte("\n"))
	if strictjson.Unmarshal(first, &want) != nil {
		want.Refused = ""
	}
	h := hosted.Start(t, host.Config{Plugins: []host.Source{handWritten(t, "hostile")}, Workers: 1, CacheDir: cache, Translate: codec.New().Translate, Defaults: host.PluginConfig{
		MaxModule: 256 << 20, CompileTimeout: time.Hour, InitTimeout: time.Hour, RunTimeout: 5 * time.Minute,
		MemoryLimit: 512 << 20, MaxInstances: 1,
	}})
	if err := h.Unload(t.Context(), "hostile"); err != nil { // a host begins with a plugin
		t.Fatal(err)
	}
	if _, err = h.Deploy(t.Context(), s); err != nil {
		sentence, _, _ := strings.Cut(err.Error(), "\n")
		t.Logf("refused: %v", sentence)
		switch e := (*host.LoadError)(nil); {
		case !errors.As(err, &e) || e.Temporary:
			t.Errorf("it is refused by %T, %v", err, err)
		case !utf8.ValidString(sentence) || len(sentence) > 1000:
			t.Errorf("what is said of it is no sentence: %.1000q", sentence)
		case want.Refused == "" && len(expect) > 0:
			t.Errorf("it is refused: %v", err)
		case !strings.Contains(err.Error(), want.Refused):
			t.Errorf("it is refused, and the error lacks %q: %v", want.Refused, err)
		}
		return false
	}
	if want.Refused != "" {
		t.Errorf("it loads, and is to be refused: %s", want.Refused)
		return true
	}
	for _, p := range h.Plugins() {
		for _, tr := range p.Transforms {
			t.Logf("loads: %s, from %s to %s", tr.Name, cmp.Or(tr.Input, "bytes"), cmp.Or(tr.Output, "bytes"))
			// What it makes of that is its own affair. It is a result, or an error of the task.
			if _, err := h.Run(t.Context(), tr.Name, nil); err != nil {
				if e := (*host.Error)(nil); !errors.As(err, &e) {
					t.Errorf("%s of nothing: %T, %v", tr.Name, err, err)
				}
			}
		}
	}
	if len(expect) > 0 {
		s.Tests = expect
		if _, err := h.Deploy(t.Context(), s); err != nil {
			t.Errorf("expectations: %v", err)
		}
	}
	return true
}
