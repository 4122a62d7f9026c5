package host

import (
	"context"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/breaker"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sampler"
)

// record is a version as it was offered, from which it can be loaded again.
type record struct {
	source   Source
	identity [32]byte
	hash     string // of the binary, as Source.Hash has it
}

// loadError is newLoadError of what was hashed before.
func (r *record) loadError(step Step, err error) *LoadError {
	return makeLoadError(r.source.Name, r.hash, step, err)
}

// version is one version of a plugin: a module with instances of its own.
type version struct {
	record // as it was offered; hash is what it is told apart by

	manifest *manifest.Manifest
	schemas  []schemas // of the manifest's transforms
	engine   engine
	breaker  breaker.Breaker
	sampler  *sampler.Sampler // of its tasks; nil without
	tests    int              // of record.source.Tests, which it passed
	growing  []string         // transforms of which these tests grow an instance, see growth
	loading  time.Duration    // how long prepare took
	cfg      ofVersion        // but for an isolation that the module cannot have
	// ctx ends when its tasks must: when the host's patience ends, or that with a
	// version that was replaced.
	ctx    context.Context //nolint:containedctx // the life of it
	cancel context.CancelCauseFunc
	// specs are what it does of each transform, by transform.slot; nil for one that it
	// does not have; slots are those of its transforms in the manifest's order. Both are set
	// before it serves.
	specs []*spec
	slots []int
	// resets is whether streams begin anew whose states it cannot read, as was decided by a rollback. It
	// holds for as long as the version serves, at the next start too.
	resets bool
	// since is when it began to serve alone, and by what. plugins.mu guards both, once it serves.
	since time.Time
	by    DeployResult
}

// spec returns what the version does of a transform, nil if it does not have it.
func (v *version) spec(slot int) *spec {
	if slot < len(v.specs) {
		return v.specs[slot]
	}
	return nil
}

// newVersion makes a version of what could serve. The error is of the manifest's schemas, and the engine
// is then the caller's to close.
func newVersion(until context.Context, r record, m *manifest.Manifest, e engine, cfg ofVersion) (*version, error) {
	v := &version{record: r, manifest: m, engine: e, cfg: cfg}
	var err error
	if v.schemas, err = compileSchemas(&r.source, m); err != nil {
		return nil, &module.StepError{Step: module.StepDescribe, Err: err}
	}
	if err := holdTests(until, m, v.schemas); err != nil {
		return nil, &module.StepError{Step: module.StepSelfTest, Err: err}
	}
	v.breaker.Limit = cfg.BreakAfter
	v.ctx, v.cancel = context.WithCancelCause(until)
	return v, nil
}

// label is what a version is told apart by.
type label struct{ name, release, hash string }

func (v *version) label() label { return label{v.manifest.Name, v.manifest.Version, v.hash} }

// attrs are what a log has of it, and more.
func (l label) attrs(more ...any) []any {
	return append([]any{"plugin", l.name, "version", l.release, "hash", l.hash}, more...)
}

// describe describes one of its transforms.
func (v *version) describe(s *spec) Transform {
	return Transform{
		Name: s.Name, Input: s.Input, Output: s.Output, StateBytes: s.StateBytes, Timeout: s.timeout,
		Plugin: v.manifest.Name, Version: v.manifest.Version, Hash: v.hash,
		InputSchema: s.InputSchema, OutputSchema: s.OutputSchema, input: s.schemas.input, output: s.schemas.output,
	}
}

// sign says that the version was to run the task of an error.
func (v *version) sign(e *Error) *Error {
	e.Plugin, e.Version, e.Hash = v.manifest.Name, v.manifest.Version, v.hash
	return e
}

// end stops what goes on for the version, and frees it: its tasks are waited for.
func (v *version) end(ctx context.Context) error {
	v.sampler.Stop() // which has the engine's snapshot
	err := v.engine.Close(ctx)
	v.cancel(nil)
	return err
}
