package host

import (
	"context"
	"fmt"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
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
	// NoReset is why its instances cannot be put back after a task, so that it
	// needs a new one for each; nil if they can.
	NoReset error
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
		return Inspection{}, fmt.Errorf("larger than %d bytes, the limit", cfg.MaxModule)
	}
	m, err := module.Load(ctx, wasm, moduleOptions(cfg, module.NewBudget(uint64(c.MemoryBudget)), nil, c.Logger))
	if err != nil {
		return Inspection{}, err
	}
	info := m.Info()
	return Inspection{
		Manifest: info.Manifest,
		Hash:     info.Hash, Size: info.Size,
		Imports: info.Imports, Exports: info.Exports,
		Memory: int64(info.Memory), SelfTests: len(info.Manifest.SelfTests), NoReset: info.NoReset,
	}, m.Close(context.WithoutCancel(ctx))
}
