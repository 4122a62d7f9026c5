// Package hosttest tests a plugin as its users will have it: in the sandbox, with a host's
// limits, as part of go test.
//
//	func TestPlugin(t *testing.T) {
//		p := hosttest.Build(t, ".", host.Config{})
//		p.Check(t, hosttest.Case{Input: "hello", Output: "HELLO!", MaxFuel: 50_000})
//		p.Golden(t, "shout.test.ndjson", *update)
//	}
//
// is a whole test of the plugin in Go that is in the test's directory; [Load] takes one that was
// built from any language. The golden file has the form of the self-tests that lie beside a
// plugin, NAME.test.ndjson, and can be the same file.
//
// A plugin must pass the self-tests of its manifest to be loaded at all. One that Go compiled
// takes seconds to load: have cases share it, or set CacheDir of [host.Config].
package hosttest

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guestbuild"
)

// Plugin is a plugin that serves in a host of its own, until its test has ended. Its methods
// may be called concurrently.
type Plugin struct {
	host      *host.Host
	plugin    host.Plugin
	translate host.Translator
	metered   bool
	goldens   atomic.Int64 // how many calls of Golden there were
}

// Build builds the plugin of the Go package in a directory, such as ".", and loads it like
// [Load]. It takes the go command. What the plugin is called for cfg.Overrides is the
// directory's name, and its companion file there is that name with .plugin.yaml, if there is one.
func Build(tb testing.TB, dir string, cfg host.Config) *Plugin {
	tb.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	wasm, err := guestbuild.Go(tb.Context(), dir, ".")
	if err != nil {
		tb.Fatal(err)
	}
	s := host.Source{Name: filepath.Base(dir), WASM: wasm}
	s.Companion, err = os.ReadFile(filepath.Join(dir, s.Name+".plugin.yaml"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return load(tb, s, cfg)
}

// Load loads a plugin from its file, NAME.wasm, with its companion file beside it, NAME.plugin.yaml,
// if there is one. Tests beside it, NAME.test.ndjson, are left to [Plugin.Golden]. A plugin that
// cannot be loaded fails the test at once, with what is wrong.
//
// cfg is the configuration of its host, whose zero value will do: Defaults has limits and grants,
// among them MaxFuel, the most fuel that any task may burn. Without a Logger what the host and
// the plugin log goes to the test's. Translate is what reads golden files of media types of the
// plugin's own; the Translate of a [codec.Set] is one, and that of [codec.New] the default.
// CompileTimeout and InitTimeout are 10 min by default: a machine with other work is no fault of the
// plugin's.
func Load(tb testing.TB, file string, cfg host.Config) *Plugin {
	tb.Helper()
	return load(tb, read(tb, file, cfg), cfg)
}

// read reads a plugin's file, and what lies beside it but tests.
func read(tb testing.TB, file string, cfg host.Config) host.Source {
	tb.Helper()
	limit := cfg.Defaults.MaxModule
	if limit <= 0 {
		limit = host.DefaultMaxModule
	}
	s, err := host.ReadSource(tb.Context(), file, limit)
	if err != nil {
		tb.Fatal(err)
	}
	s.Tests = nil
	return s
}

// patience is how long compiling a plugin, and making an instance, may take.
const patience = 10 * time.Minute

// prepared is a configuration with this package's defaults.
func prepared(tb testing.TB, cfg host.Config) host.Config {
	tb.Helper()
	if cfg.PluginDir != "" || len(cfg.Plugins) > 0 || cfg.Mode != host.ModeSandbox {
		tb.Fatal("hosttest: cfg must have no PluginDir, Plugins or Mode: it is for the one plugin, in the sandbox")
	}
	cfg.Defaults.CompileTimeout = cmp.Or(cfg.Defaults.CompileTimeout, patience)
	cfg.Defaults.InitTimeout = cmp.Or(cfg.Defaults.InitTimeout, patience)
	if cfg.Translate == nil {
		cfg.Translate = codec.New().Translate
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	return cfg
}

func load(tb testing.TB, s host.Source, cfg host.Config) *Plugin {
	tb.Helper()
	cfg = prepared(tb, cfg)
	cfg.Plugins = []host.Source{s}
	h, err := host.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil { // the test's context has ended
			tb.Errorf("the host ends with %v", err)
		}
	})
	if err := h.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	interrupt := cmp.Or(cfg.Overrides[s.Name].Interrupt, cfg.Defaults.Interrupt, host.InterruptMetered)
	return &Plugin{host: h, plugin: h.Plugins()[0], translate: cfg.Translate, metered: interrupt == host.InterruptMetered}
}

// Host returns the host, for what this package has no words for.
func (p *Plugin) Host() *host.Host { return p.host }

// run runs a task; of a stream of the client, unless that is "".
func run(ctx context.Context, c *host.Client, transform, stream string, input []byte) host.Result {
	submit := c.Submit
	if stream != "" {
		submit = c.Stream(stream).Submit
	}
	pending := submit(ctx, transform, input)
	<-pending.Done() // the context ends it
	return pending.Result()
}

// sub runs f as a subtest, where there are such.
func sub(tb testing.TB, name string, f func(testing.TB)) {
	tb.Helper()
	if t, ok := tb.(*testing.T); ok {
		t.Run(name, func(t *testing.T) { f(t) })
		return
	}
	f(tb)
}
