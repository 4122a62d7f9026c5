package module

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/store"
)

// NewChecker returns what checks calls of the module's instances, for as long as the module is
// there. wasm is the module's binary, as it was.
func (m *Module) NewChecker(ctx context.Context, wasm []byte) (*Checker, error) {
	binaries, err := m.rewrite(wasm)
	if err != nil {
		return nil, err
	}
	c, err := newChecker(ctx, &m.template, binaries)
	if err != nil {
		return nil, err
	}
	err = c.settle()
	return c, err
}

// verify compares the answers to the manifest's self-tests with the interpreter's. The latter's
// instance initialises itself, so that this is compared as well. There are fewer answers than
// self-tests if the instance was [Instance.Starved].
//
// The checker is made when all else is done, and not beside the compiling: that has all processors,
// and wazero's interpreter reads a binary to its end whatever becomes of the context.
func (m *Module) verify(ctx context.Context, binaries []*rewritten, answers []abi.Result) error {
	if !m.opts.Verify || m.opts.Interpret {
		return nil
	}
	if cache := m.opts.Cache; cache != nil && cache.build != "" {
		m.verdict = cache.named("verified", cache.build, cache.rewriter, m.info.Kind, hashOfAll(binaries), m.opts.Interrupt, m.opts.RealClock, m.opts.RealRandom,
			hashOf(m.opts.Tests), hashOf(m.opts.Companion))
		if cache.has(m.verdict) {
			m.info.Verified.Cached, m.verdict = true, ""
			return nil
		}
	}
	began := time.Now()
	defer func() { m.info.Verified.Took = time.Since(began) }()
	c, err := newChecker(ctx, &m.template, binaries)
	if err != nil {
		if ctx.Err() == nil {
			m.Unchecked(fmt.Errorf("%w: %w", ErrUnchecked, err))
			err = nil
		}
		return err
	}
	m.checker = c // which Close frees
	c.bounded, c.fuel, c.left, c.ordered = true, verifyFuel, verifyTime, true
	if m.plugin.WarmUp.Turns == 0 { // each was run by itself
		if err := c.settle(); err != nil {
			return err
		}
	}
	for i, t := range m.manifest.SelfTests {
		if i >= len(answers) {
			m.Unchecked(ErrStarved)
			break
		}
		call := Call{Transform: m.index(t.Transform), Items: []abi.Item{{Payload: t.Input, State: t.State}}}
		compiled := answers[i]
		if m.opts.RealClock || m.opts.RealRandom {
			call.Stateless, compiled.State = true, nil // which may depend on the time
		}
		if err := m.Verify(ctx, c, call, []abi.Result{compiled}, 0); err != nil {
			return ofTest(i, &t, err)
		}
	}
	if err := c.settle(); err != nil {
		return err
	}
	if len(m.opts.Tests) > 0 { // there are more to come
		return nil
	}
	m.Remember()
	return m.TakeChecker().Close(context.WithoutCancel(ctx))
}

// Verify is [Checker.Check] of a self-test, which takes note of what is not checked in place
// of an error.
func (m *Module) Verify(ctx context.Context, c *Checker, call Call, compiled []abi.Result, fuel uint64) error {
	err := c.Check(ctx, call, compiled, fuel)
	switch {
	case errors.Is(err, ErrUnchecked) && ctx.Err() == nil:
		m.Unchecked(err)
	case err != nil:
		return err
	default:
		m.info.Verified.Tests++
	}
	return nil
}

// Unchecked takes note of why a self-test was not compared.
func (m *Module) Unchecked(err error) {
	if len(m.info.Verified.Unchecked) == 0 {
		m.opts.Log.Warn("not all self-tests are compared with the interpreter", "error", err)
	}
	m.info.Verified.Unchecked = append(m.info.Verified.Unchecked, err)
}

// Remember has hosts with the same cache know that all tests were compared, if they were.
func (m *Module) Remember() {
	if m.verdict == "" || len(m.info.Verified.Unchecked) > 0 {
		return
	}
	cache := m.opts.Cache
	made, err := os.MkdirTemp(cache.dir, store.TempPattern)
	if err == nil {
		defer func() { _ = os.RemoveAll(made) }() // where it was not put in its place
		if err = store.WriteFile(filepath.Join(made, verifiedFile), []byte(m.info.Hash)); err == nil {
			err = cache.put(made, m.verdict)
		}
	}
	if err != nil {
		cache.log.Warn("that a plugin was verified is not kept in the cache", "error", err)
	}
}

// verifiedFile has the hash of a binary whose self-tests were compared.
const verifiedFile = "verified"
