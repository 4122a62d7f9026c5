package host_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	good := handWritten(t, "hostile")
	for name, c := range map[string]struct {
		cfg  host.Config
		want []string
	}{
		"no directory":     {host.Config{PluginDir: filepath.Join(dir, "none")}, []string{"plugin directory: open ", "no such file or directory"}},
		"nothing there":    {host.Config{PluginDir: dir}, []string{"no plugin: " + dir + " has no *.wasm file"}},
		"broken ones":      {host.Config{Plugins: []host.Source{good, handWritten(t, "no-run"), handWritten(t, "empty")}}, []string{"plugin no-run: does not export the function", "plugin empty: the file is empty"}},
		"the same twice":   {host.Config{Plugins: []host.Source{good, {Name: "again", WASM: good.WASM}}}, []string{"plugin again: its manifest's name, hostile, is that of plugin hostile already"}},
		"unknown override": {host.Config{Plugins: []host.Source{good}, Overrides: map[string]host.PluginConfig{"hostle": {}}}, []string{`Overrides["hostle"]: there is no such plugin`}},
		"too large":        {host.Config{Plugins: []host.Source{good}, Defaults: host.PluginConfig{MaxModule: 100}}, []string{"plugin hostile: larger than 100 bytes, the limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := host.New(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			err = h.Start(t.Context())
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("err %v, want %q", err, want)
				}
			}
			if err := h.Start(t.Context()); !errors.Is(err, host.ErrClosed) {
				t.Errorf("started again: err %v, want ErrClosed", err)
			}
			if _, err := h.Run(t.Context(), "hostile.echo", nil); !errors.Is(err, host.ErrClosed) {
				t.Errorf("run: err %v, want ErrClosed", err)
			}
		})
	}
}

// TestOneName has two plugins of one name, which share no transform.
func TestOneName(t *testing.T) {
	named := func(transform string) host.Native {
		return guest.New(`{"name": "x", "version": "1", "transforms": [{"name": "x.`+transform+`", "input": "text/plain", "output": "text/plain"}]}`, nil)
	}
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{named("a"), named("b")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || err.Error() != "plugin x: its manifest's name, x, is that of plugin x already" {
		t.Errorf("err %v", err)
	}
}

func TestPluginDir(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"leak", "hostile"} {
		if err := os.WriteFile(filepath.Join(dir, name+".wasm"), handWritten(t, name).WASM, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".leak.wasm", "notes.txt", ".wasm"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("not a plugin"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := hosted.Start(t, host.Config{PluginDir: dir, Overrides: map[string]host.PluginConfig{"leak": {RunTimeout: 7 * time.Second}}})
	plugins := h.Plugins()
	if len(plugins) != 2 || plugins[0].Name != "hostile" || plugins[1].Name != "leak" {
		t.Fatalf("plugins %+v", plugins)
	}
	if got := plugins[1].Transforms[0].Timeout; got != 7*time.Second {
		t.Errorf("leak's timeout is %v, want that of the override", got)
	}
}

func TestBeforeStart(t *testing.T) {
	h, err := host.New(host.Config{Plugins: []host.Source{handWritten(t, "hostile")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), "hostile.echo", nil); !errors.Is(err, host.ErrNotStarted) {
		t.Errorf("err %v, want ErrNotStarted", err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStartStop closes hosts while callers come.
func TestStartStop(t *testing.T) {
	for range 20 {
		h, err := host.New(host.Config{Plugins: []host.Source{handWritten(t, "hostile")}})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					out, err := h.Run(t.Context(), "hostile.echo", []byte("x"))
					if errors.Is(err, host.ErrNotStarted) {
						continue
					}
					if errors.Is(err, host.ErrClosed) {
						return
					}
					if err != nil || string(out) != "x" {
						t.Errorf("%q, err %v", out, err)
						return
					}
				}
			})
		}
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Run(t.Context(), "hostile.echo", nil); err != nil {
			t.Error(err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}

// TestStartPartly has a host start with what can be loaded, and tell of the others; but not if nothing can.
func TestStartPartly(t *testing.T) {
	good, bad := handWritten(t, "upper"), host.Source{Name: "bad", WASM: []byte("no module")}
	log := new(bytes.Buffer)
	h := hosted.Start(t, host.Config{Plugins: []host.Source{bad, good}, StartPartly: true, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if out, err := h.Run(t.Context(), "upper", []byte("a")); err != nil || string(out) != "A" {
		t.Errorf("%q, err %v", out, err)
	}
	all := h.Plugins()
	if len(all) != 2 || all[1].Source != "bad" || all[1].Failure == nil || all[1].Failure.Step != host.StepInspect {
		t.Errorf("%+v", all)
	}
	if n := strings.Count(log.String(), `msg="a plugin is refused" plugin=bad`); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log)
	}
	h, err := host.New(host.Config{Plugins: []host.Source{bad}, StartPartly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "plugin bad: not a WebAssembly module") {
		t.Error(err)
	}
}
