package host

import (
	"cmp"
	"context"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/conform"
)

// Conformance is how far a plugin keeps the contract of its kind, beyond what it takes to be loaded.
type Conformance struct {
	// Kind is the kind of guest, such as "native"; "" if that was not found.
	Kind string
	// Checks are in their order. Those of loading come first, and end with the first that fails.
	Checks []ConformanceCheck
}

// ConformanceCheck is what came of one check.
type ConformanceCheck struct {
	// Name says what is checked, and Section which part of the reference of the plugin contract asks for it:
	// "" if the plugin is of a kind with a contract of its own.
	Name, Section string
	// Fault is what is wrong, and may quote the plugin. Skipped is why the check could not be made. Both
	// are "" of a check that passed.
	Fault, Skipped string
}

// Passed reports whether no check has failed.
func (c *Conformance) Passed() bool {
	for i := range c.Checks {
		if c.Checks[i].Fault != "" {
			return false
		}
	}
	return true
}

// Conform checks whether a source keeps the contract of its kind, for authors of plugins and of kits.
// Of the configuration what holds for a plugin matters. What a plugin does wrong is in the checks, and no
// error. There is an error if nothing could be checked: of the configuration, a [*LoadError] if the binary is
// larger than MaxModule or its companion file is wrong, or the context's cause.
func Conform(ctx context.Context, s Source, cfg Config) (c Conformance, err error) {
	ps, p, end, err := loader(s, cfg)
	if err != nil {
		return c, err
	}
	defer end()
	if len(s.WASM) > p.cfg.MaxModule {
		return c, newLoadError(s, StepRead, tooLarge(p.cfg.MaxModule))
	}
	as, err := ps.cfg.ofSource(s)
	if err != nil {
		return c, newLoadError(s, StepInspect, err)
	}
	opts := ps.moduleOptions(p, s, as.PluginConfig)
	held := func(m *manifest.Manifest) error {
		of, err := compileSchemas(&s, m)
		if err != nil {
			return err
		}
		return holdTests(ctx, m, of)
	}
	var checks []conform.Check
	timeout := cmp.Or(as.RunTimeout, DefaultRunTimeout)
	if c.Kind, checks, err = conform.Run(ctx, s.WASM, conform.Options{Module: opts, Timeout: timeout, Held: held}); err != nil {
		return c, err
	}
	for _, check := range checks {
		c.Checks = append(c.Checks, ConformanceCheck(check))
	}
	return c, nil
}
