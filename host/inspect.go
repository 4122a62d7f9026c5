package host

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/watch"
)

// Inspection is what is known of a plugin that could serve.
type Inspection struct {
	// Manifest is how the plugin describes itself.
	Manifest *manifest.Manifest
	// Hash is the SHA-256 of the binary in hexadecimal, Size its length in
	// bytes.
	Hash string
	Size int
	// Imports and Exports are the functions with their signatures, sorted. The
	// names are the plugin's, and not to be trusted.
	Imports, Exports []string
	// Memory is what an instance's linear memory takes once it is initialised
	// and has run the self-tests, in bytes.
	Memory int64
	// SelfTests is how many self-tests the plugin has, and passed.
	SelfTests int
	// Warnings are what may be wrong with it, though it could serve: a transform without a
	// self-test fails at an empty input, say. They may quote the plugin.
	Warnings []string
	// NoReset is why its instances cannot be put back after a task, so that it
	// needs a new one for each; nil if they can.
	NoReset error
	// Tests is how many of Source.Tests there are, and passed; 0 of Inspect, which has
	// none.
	Tests int
	// Limits are the settings that hold for it.
	Limits PluginConfig
}

// Inspect loads a plugin as [Host.Start] would, its self-tests included, and says
// what it is. The plugin need not be one of a host.
func Inspect(ctx context.Context, wasm []byte, cfg PluginConfig) (Inspection, error) {
	c := Config{Plugins: []Source{{Name: "inspected", WASM: wasm}}, Defaults: cfg}.withDefaults()
	if err := c.validate(); err != nil {
		return Inspection{}, fmt.Errorf("plugin configuration: %w", err)
	}
	cfg = c.pluginConfig("inspected")
	if len(wasm) > cfg.MaxModule {
		return Inspection{}, tooLarge(cfg.MaxModule)
	}
	m, err := module.Load(ctx, wasm, moduleOptions(cfg, module.NewBudget(uint64(c.MemoryBudget)), nil, c.Logger))
	if err != nil {
		return Inspection{}, err
	}
	return inspection(m.Info(), cfg), m.Close(context.WithoutCancel(ctx))
}

// warnings are what may be wrong with a plugin by itself, and as it is configured.
func warnings(info module.Info, cfg PluginConfig) []string {
	if len(info.Growing) == 0 || !cfg.Isolation.resets() || info.NoReset != nil {
		return info.Warnings
	}
	return append(slices.Clone(info.Warnings), strings.Join(info.Growing, ", ")+": "+registry.Growing)
}

// tooLarge is the error of a binary larger than PluginConfig.MaxModule.
func tooLarge(limit int) error {
	return fmt.Errorf("larger than %d bytes, the limit: raise --max-module (PluginConfig.MaxModule)", limit)
}

func inspection(info module.Info, cfg PluginConfig) Inspection {
	return Inspection{
		Limits:   cfg,
		Manifest: info.Manifest,
		Hash:     info.Hash, Size: info.Size,
		Imports: info.Imports, Exports: info.Exports,
		Memory: int64(info.Memory), SelfTests: len(info.Manifest.SelfTests), NoReset: info.NoReset, Warnings: warnings(info, cfg),
	}
}

// Validate does with a source all that [Host.Deploy] would, on a host of that
// configuration, but for serving it. Its error is a [*LoadError], or of the
// configuration. Of this, Plugins, PluginDir and Watch do not matter.
func Validate(ctx context.Context, s Source, cfg Config) (Inspection, error) {
	cfg.Plugins, cfg.PluginDir, cfg.Watch, cfg.Mode = []Source{s}, "", false, Sandbox
	h, err := New(cfg)
	if err != nil {
		return Inspection{}, err
	}
	defer h.cancel(ErrClosed)
	defer h.end()
	if err := h.openStore(); err != nil {
		return Inspection{}, err
	}
	v, err := h.prepare(ctx, h.newPlugin(s.Name), s, nil, deployment{})
	if err != nil {
		return Inspection{}, err
	}
	in := inspection(v.engine.(sandbox).Info(), v.cfg)
	in.Tests = v.tests
	v.cancel(nil)
	return in, v.engine.Close(context.WithoutCancel(ctx))
}

// ReadSource reads a plugin's file NAME.wasm and what lies beside it, as a host does with
// those of its plugin directory. limit bounds the file, in bytes.
func ReadSource(ctx context.Context, file string, limit int) (Source, error) {
	name, ok := strings.CutSuffix(filepath.Base(file), ".wasm")
	if !ok || name == "" {
		return Source{}, fmt.Errorf("%s: must end in .wasm", file)
	}
	f, err := watch.ReadFile(ctx, watchConfig(filepath.Dir(file), func(string) int { return limit }), name)
	if err != nil {
		return Source{}, err
	}
	return sourceOf(&f), nil
}
