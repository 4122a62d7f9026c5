package wasi_test

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// pages is how much memory the forwarder has, in pages of 64 KiB.
const pages = 2

// size is the size of its memory in bytes.
const size = pages << 16

// forwarder assembles a guest that has a memory, and for each function of WASI one
// of the same name that calls it.
func forwarder(functions map[string]api.FunctionDefinition) []byte {
	str := func(s string) []byte { return append(leb(len(s)), s...) }
	vector := func(items [][]byte) []byte { return append(leb(len(items)), slices.Concat(items...)...) }
	section := func(id byte, content []byte) []byte {
		return slices.Concat([]byte{id}, leb(len(content)), content)
	}
	var types, imports, funcs, exports, codes [][]byte
	names := slices.Sorted(maps.Keys(functions))
	for i, name := range names {
		f := functions[name]
		types = append(types, slices.Concat([]byte{0x60}, leb(len(f.ParamTypes())), f.ParamTypes(), leb(len(f.ResultTypes())), f.ResultTypes()))
		imports = append(imports, slices.Concat(str(abi.ImportWASI), str(name), []byte{0}, leb(i)))
		funcs = append(funcs, leb(i))
		exports = append(exports, slices.Concat(str(name), []byte{0}, leb(len(names)+i)))
		body := []byte{0} // no locals
		for p := range f.ParamTypes() {
			body = slices.Concat(body, []byte{0x20}, leb(p)) // local.get
		}
		body = slices.Concat(body, []byte{0x10}, leb(i), []byte{0x0b}) // call, end
		codes = append(codes, append(leb(len(body)), body...))
	}
	exports = append(exports, append(str(abi.ExportMemory), 2, 0))
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vector(types)), section(2, vector(imports)), section(3, vector(funcs)),
		section(5, []byte{1, 1, pages, pages}), section(7, vector(exports)), section(10, vector(codes)))
}

// leb encodes a small number as LEB128.
func leb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

// wazeros are the functions of wazero's own module.
func wazeros(tb testing.TB) map[string]api.FunctionDefinition {
	tb.Helper()
	r := runtime(tb, false)
	m, err := wasi_snapshot_preview1.NewBuilder(r).Compile(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return m.ExportedFunctions()
}

// compiled keeps what was compiled, since a Go guest takes two seconds, as long as
// a runtime uses it: so none is closed.
var compiled = wazero.NewCompilationCache()

func runtime(tb testing.TB, interpret bool) wazero.Runtime {
	tb.Helper()
	config := wazero.NewRuntimeConfig()
	if interpret {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	return wazero.NewRuntimeWithConfig(tb.Context(), config.WithCompilationCache(compiled))
}

// key is of the context's System.
type key struct{}

func of(ctx context.Context) *wasi.System { return ctx.Value(key{}).(*wasi.System) }

func with(ctx context.Context, s *wasi.System) context.Context {
	return context.WithValue(ctx, key{}, s)
}

// guest is an instance with its System.
type guest struct {
	*wasi.System
	tb  testing.TB
	ctx context.Context
	mod api.Module
}

// instantiate makes an instance of a binary, and does not initialise it.
func instantiate(tb testing.TB, interpret bool, wasm []byte, s *wasi.System) *guest {
	tb.Helper()
	r := runtime(tb, interpret)
	ctx := with(tb.Context(), s)
	if err := wasi.Instantiate(ctx, r, of); err != nil {
		tb.Fatal(err)
	}
	_, err := r.NewHostModuleBuilder(abi.ImportModule).NewFunctionBuilder().
		WithFunc(func(_, _, _ uint32) {}).Export(abi.ImportLog).Instantiate(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	mod, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		tb.Fatal(err)
	}
	return &guest{s, tb, ctx, mod}
}

// forward makes an instance of the forwarder.
func forward(tb testing.TB, s *wasi.System) *guest {
	tb.Helper()
	return instantiate(tb, false, forwarder(wazeros(tb)), s)
}

// try calls a function, which may fail, and returns its result.
func (g *guest) try(name string, args ...uint64) (uint64, error) {
	g.tb.Helper()
	res, err := g.mod.ExportedFunction(name).Call(g.ctx, args...)
	if err != nil || len(res) == 0 {
		return 0, err
	}
	return res[0], nil
}

// call calls a function that must not fail.
func (g *guest) call(name string, args ...uint64) uint64 {
	g.tb.Helper()
	res, err := g.try(name, args...)
	if err != nil {
		g.tb.Fatalf("%s(%d): %v", name, args, err)
	}
	return res
}

func (g *guest) put32(at uint32, values ...uint32) {
	for i, v := range values {
		g.mod.Memory().WriteUint32Le(at+uint32(i)*4, v)
	}
}

func (g *guest) put64(at uint32, v uint64) { g.mod.Memory().WriteUint64Le(at, v) }

func (g *guest) get32(at uint32) uint32 {
	v, _ := g.mod.Memory().ReadUint32Le(at)
	return v
}

func (g *guest) get64(at uint32) uint64 {
	v, _ := g.mod.Memory().ReadUint64Le(at)
	return v
}

// bytes are those of its memory.
func (g *guest) bytes() []byte {
	b, _ := g.mod.Memory().Read(0, size)
	return b
}
