package module

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/abi"
)

// Hash is what a version is told apart by: in hexadecimal, the SHA-256 of its binary and, behind that,
// of its companion file if there is one.
func Hash(wasm, companion []byte) string {
	h := sha256.New()
	h.Write(wasm)
	h.Write(companion)
	return hex.EncodeToString(h.Sum(nil))
}

// Load compiles a binary, checks it against the contract of its kind, and runs the
// self-tests of its manifest on an instance of its own.
func Load(ctx context.Context, wasm []byte, opts Options) (*Module, error) {
	m := &Module{template: template{opts: opts, log: newGuestLog(opts.Log, opts.LogBytesPerSecond)}}
	m.info.Hash, m.info.Size = Hash(wasm, opts.Companion), len(wasm)
	m.log.telling(opts.Logged, opts.Name, m.info.Hash)
	if err := m.load(ctx, wasm); err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	return m, nil
}

func (m *Module) load(ctx context.Context, wasm []byte) error {
	if err := checkHeader(wasm); err != nil {
		return StepInspect.in(err)
	}
	if err := m.inspect(wasm); err != nil { // before the expensive steps
		return err
	}
	binaries, err := m.rewrite(wasm)
	if err != nil {
		return StepInspect.in(err)
	}
	if err := m.compile(ctx, binaries); err != nil {
		return StepCompile.in(fmt.Errorf("compile: %w", err))
	}
	if err := m.provide(ctx); err != nil {
		return StepInstantiate.in(fmt.Errorf("link: %w", err))
	}
	answers, err := m.prepare(ctx)
	if err != nil {
		return err
	}
	if err := m.try(ctx); err != nil {
		return StepSelfTest.in(err)
	}
	return StepVerify.in(m.verify(ctx, binaries, answers))
}

func checkHeader(wasm []byte) error {
	core := []byte("\x00asm\x01\x00\x00\x00")
	switch {
	case len(wasm) == 0:
		return errors.New("the file is empty")
	case bytes.HasPrefix(wasm, core):
		return nil
	case len(wasm) >= len(core) && string(wasm[:4]) == "\x00asm" && string(wasm[6:8]) == "\x01\x00":
		// The version, of which there were drafts, and then the layer, which is 1 for a component.
		return errors.New("a WebAssembly component, where a core module is wanted: build one for WASI 0.1, such as by Rust's target wasm32-wasip1 and not wasm32-wasip2")
	}
	return errors.New("not a WebAssembly module of version 1")
}

// compile compiles what was rewritten, within the time for it.
func (m *Module) compile(ctx context.Context, binaries []*rewritten) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.opts.CompileTimeout, errCompileTimeout)
	defer cancel()
	if f := m.opts.Compiling; f != nil && !m.opts.Interpret && !m.opts.Cache.compiled(binaries, m.opts.Interrupt) {
		f()
	}
	if m.program, err = compile(ctx, binaries, m.opts.compiling(), m.opts.Cache); err != nil {
		return err
	}
	m.info.Compiling = m.program.took
	return nil
}

var errCompileTimeout = fmt.Errorf("takes longer than its compile timeout (CompileTimeout, --compile-timeout): %w", context.DeadlineExceeded)

// prepare makes the instance that all others begin with, and takes its snapshot. It returns the
// answers to the self-tests, see [Module.warmUp] and [Module.testCold].
func (m *Module) prepare(ctx context.Context) (answers []abi.Result, err error) {
	in, err := m.Instantiate(ctx)
	if err != nil {
		return nil, StepInstantiate.in(err)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, m.opts.InitTimeout, errTimeout)
	defer cancel()
	cold := m.plugin.WarmUp.Turns == 0
	err = StepDescribe.in(m.doubted(m.describe(bounded, in)))
	if err == nil && !cold {
		answers, err = m.warmUp(bounded, in)
		err = StepSelfTest.in(m.doubted(err))
	}
	err = in.ended(err)
	if err == nil {
		m.info.Memory = in.Memory()
		m.initial = m.info.Memory
		m.snapshot, m.info.NoReset = in.capture()
	}
	if err := errors.Join(err, in.Close()); err != nil || !cold {
		return answers, err
	}
	answers, err = m.testCold(bounded)
	return answers, StepSelfTest.in(m.doubted(err))
}
