package command_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/kind/command"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// BenchmarkCommand compares a task of a command, put back after it, with a new instance of wazero's for
// each run of a program that is compiled once.
func BenchmarkCommand(b *testing.B) {
	for name, wasm := range map[string][]byte{
		"small": guesttest.HandWritten(b, "program"), "go": guesttest.BuildCommand(b, "./testdata/guests/wordcount"),
	} {
		b.Run(name+"/here", func(b *testing.B) { benchHere(b, wasm) })
		b.Run(name+"/wazero", func(b *testing.B) { benchWazero(b, wasm) })
	}
}

var benchInput = bytes.Repeat([]byte("some words of text\n"), 50)

func benchHere(b *testing.B, wasm []byte) {
	opts := options(command.Kind{})
	opts.MemoryLimit = 64 << 20
	m, err := module.Load(b.Context(), wasm, opts)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = m.Close(context.WithoutCancel(b.Context())) }()
	in, err := m.Instantiate(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	items, results := []abi.Item{{Payload: benchInput}}, make([]abi.Result, 1)
	for b.Loop() {
		_, err := in.Run(b.Context(), &module.Call{Items: items, Results: results})
		if err != nil || results[0].Status != abi.StatusOK || !in.Reset() {
			b.Fatal(results[0].Status, err)
		}
	}
}

func benchWazero(b *testing.B, wasm []byte) {
	ctx := b.Context()
	r := wazero.NewRuntime(ctx)
	defer func() { _ = r.Close(context.WithoutCancel(ctx)) }()
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	compiled, err := r.CompileModule(ctx, wasm)
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		config := wazero.NewModuleConfig().WithName("").WithArgs("program").WithStdin(bytes.NewReader(benchInput)).WithStdout(&out)
		mod, err := r.InstantiateModule(ctx, compiled, config)
		if exit := (*sys.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 0) || out.Len() == 0 {
			b.Fatal(err)
		}
		if mod != nil {
			_ = mod.Close(ctx)
		}
	}
}
