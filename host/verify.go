package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sampler"
)

// mismatches is the directory in Config.CacheDir where mismatches are kept.
const mismatches = "mismatches"

// sample begins to compare the version's tasks with the interpreter, if that is wanted and can be.
func (ps *plugins) sample(p *plugin, v *version) {
	cfg := &v.cfg
	if cfg.Verify != VerifySample || cfg.Engine != EngineCompiler {
		return
	}
	reason := ""
	switch {
	case cfg.Isolation == IsolationShared:
		reason = "its instances keep what tasks leave, so that answers may depend on it"
	case varies(cfg.Grants):
		reason = "it is granted the clock or randomness, so that answers may depend on it"
	}
	if reason != "" {
		ps.log.Warn("tasks are not compared with the interpreter", "plugin", v.manifest.Name, "reason", reason)
		return
	}
	dir := ""
	if ps.cfg.CacheDir != "" {
		dir = filepath.Join(ps.cfg.CacheDir, mismatches)
	}
	v.sampler = sampler.Start(v.ctx, sampler.Config{
		Plugin: v.manifest.Name, Version: v.manifest.Version, Hash: v.hash,
		Every: uint64(cfg.VerifyEvery), Dir: dir, Log: ps.log,
		Checker: func(ctx context.Context) (*module.Checker, error) {
			return v.engine.(sandbox).Module().NewChecker(ctx, v.record.source.WASM)
		},
		Told: func(text string) { ps.tell(v.label(), event.PluginMismatch, text) },
		First: func(ctx context.Context) {
			if v.cfg.VerifySuspend {
				ps.suspend(ctx, p, v)
			}
		},
	})
}

// suspend pauses the plugin, since the interpreter answers differently than a version of it; a
// canary is rolled back.
func (ps *plugins) suspend(ctx context.Context, p *plugin, v *version) {
	_, done, err := ps.transact(ctx)
	if err != nil {
		return // the host closes
	}
	defer done()
	if serving := p.serving.Load(); serving != nil && serving.trial != nil && serving.trial.version == v &&
		ps.decide(ctx, p, serving.trial, DeployRolledBack, "since the interpreter answers differently") {
		return
	}
	ps.switchPaused(ctx, p, true, v) // one that serves no more leaves the others be
}

// finishVerifying waits until what samplers have taken is compared.
func (ps *plugins) finishVerifying(ctx context.Context) error {
	ps.mu.Lock()
	var versions []*version
	for _, p := range ps.all {
		versions = append(versions, p.versions...)
	}
	ps.mu.Unlock()
	var left []error
	for _, v := range versions {
		switch err := v.sampler.Finish(ctx); {
		case errors.Is(err, sampler.ErrStopped):
			left = append(left, fmt.Errorf("plugin %s %s: %w", v.manifest.Name, v.manifest.Version, err))
		case err != nil:
			return err
		}
	}
	return errors.Join(left...)
}
