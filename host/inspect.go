package host

import (
	"context"
	"fmt"
	"slices"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
)

// Inspection is what is known of a plugin that could serve.
type Inspection struct {
	// Manifest is how the plugin describes itself.
	Manifest *manifest.Manifest
	// Kind is the kind of guest, such as "native", and Claim what showed that, such as "exports
	// resonhost_abi".
	Kind, Claim string
	// Hash is what Plugin.Hash would be, Size the length of the binary in bytes.
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
	// Tests is how many of Source.Tests there are, and passed.
	Tests int
	// Config has the settings that hold for it: defaults, overrides and what its companion file sets.
	Config PluginConfig
}

func inspection(info module.Info, cfg PluginConfig) Inspection {
	return Inspection{
		Config:   cfg,
		Manifest: info.Manifest,
		Kind:     info.Kind, Claim: info.Claim,
		Hash: info.Hash, Size: info.Size,
		Imports: info.Imports, Exports: info.Exports,
		Memory: int64(info.Memory), SelfTests: len(info.Manifest.SelfTests), NoReset: info.NoReset, Warnings: warnings(info, cfg),
	}
}

// Inspect does with a source all that [Host.Deploy] would, on a host of that
// configuration, but for serving it. Its error is a [*LoadError], or of the
// configuration. Of this, Plugins, PluginDir and Watch do not matter.
func Inspect(ctx context.Context, s Source, cfg Config) (Inspection, error) {
	ps, p, end, err := loader(s, cfg)
	if err != nil {
		return Inspection{}, err
	}
	defer end()
	v, err := ps.prepare(ctx, p, s, nil, deployment{})
	if err != nil {
		return Inspection{}, err
	}
	in := inspection(v.engine.(sandbox).Info(), v.cfg.PluginConfig)
	in.Tests = v.tests
	if len(v.growing) > 0 {
		in.Warnings = append(slices.Clone(in.Warnings), growth(v.growing))
	}
	if w := overBudget(in.Memory, v.cfg.MaxInstances, ps.cfg.MemoryBudget); w != "" {
		in.Warnings = append(slices.Clone(in.Warnings), w)
	}
	return in, v.end(context.WithoutCancel(ctx))
}

// overBudget says that as many instances as there may be do not fit the budget together; "" if they do.
// What tasks grow to is not in it.
func overBudget(memory int64, instances int, budget int64) string {
	need := memory * int64(instances)
	if need <= budget {
		return ""
	}
	return fmt.Sprintf("%d instances with memory of %d bytes each take %d, and the memory budget of all plugins is %d: tasks may fail for want of room; give it more (MemoryBudget, --memory-budget) or have fewer instances (MaxInstances, --max-instances)",
		instances, memory, need, budget)
}

// loader returns what loads a source on a host of that configuration, which has no other plugin and
// serves nothing. end ends the host.
func loader(s Source, cfg Config) (ps *plugins, p *plugin, end func(), err error) {
	cfg.Plugins, cfg.PluginDir, cfg.Watch, cfg.Mode = []Source{s}, "", false, ModeSandbox
	h, err := New(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	end = func() {
		h.life.end()
		h.life.cancel(ErrClosed)
	}
	ps = h.plugins
	if ps.modules, _, err = openCache(ps.cfg); err != nil {
		end()
		return nil, nil, nil, err
	}
	p = ps.newPlugin(s.Name)
	return ps, p, end, nil
}
