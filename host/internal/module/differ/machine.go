package differ

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// machine has a runtime of each kind, with what modules import.
type machine struct {
	interpreter, compiler, interruptible wazero.Runtime
}

func newMachine(ctx context.Context) (*machine, error) {
	m := &machine{
		interpreter:   wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2)),
		compiler:      wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2)),
		interruptible: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2).WithCloseOnContextDone(true)),
	}
	for _, r := range []wazero.Runtime{m.interpreter, m.compiler, m.interruptible} {
		if err := provide(ctx, r); err != nil {
			return nil, errors.Join(err, m.close(ctx))
		}
	}
	return m, nil
}

func (m *machine) close(ctx context.Context) error {
	return errors.Join(m.interpreter.Close(ctx), m.compiler.Close(ctx), m.interruptible.Close(ctx))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// provide makes what modules import: the functions of hostFuncs, and meter's.
func provide(ctx context.Context, r wazero.Runtime) error {
	_, err := r.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(yield), nil, nil).Export(meter.ImportYield).Instantiate(ctx)
	if err != nil {
		return err
	}
	bodies := map[string]api.GoModuleFunc{
		"mix": func(_ context.Context, _ api.Module, stack []uint64) {
			stack[0] = uint64(uint32(stack[0]))*3 ^ stack[1]*5 ^ stack[2]*7 ^ uint64(uint32(stack[3]))*11
		},
		"peek": func(_ context.Context, m api.Module, stack []uint64) {
			v, _ := m.Memory().ReadUint32Le(uint32(stack[0]))
			stack[0] = uint64(v)
		},
		"refer":  func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = uint64(uint32(stack[0])) | 1<<32 },
		"number": func(context.Context, api.Module, []uint64) {},
		"twice": func(_ context.Context, _ api.Module, stack []uint64) {
			stack[0], stack[1] = stack[1], uint64(uint32(stack[0]))
		},
	}
	b := r.NewHostModuleBuilder("env")
	for _, h := range hostFuncs {
		b = b.NewFunctionBuilder().WithGoModuleFunction(bodies[h.name], types(h.params), types(h.results)).Export(h.name)
	}
	_, err = b.Instantiate(ctx)
	return err
}

func types(list []kind) []api.ValueType {
	t := make([]api.ValueType, len(list))
	for i, k := range list {
		t[i] = k.wasm()
	}
	return t
}

type sliceKey struct{}

// yield grants another slice.
func yield(ctx context.Context, mod api.Module, _ []uint64) {
	fuel := mod.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
	fuel.Set(fuel.Get() + ctx.Value(sliceKey{}).(uint64))
}

// setup is a way to run a module.
type setup struct {
	name    string
	engine  func(*machine) wazero.Runtime
	rewrite *meter.Options // nil leaves it as it is
	slice   uint64         // of fuel
	change  func(*node)    // of a test, which has something to be found
}

func interpreted(m *machine) wazero.Runtime   { return m.interpreter }
func compiled(m *machine) wazero.Runtime      { return m.compiler }
func interruptible(m *machine) wazero.Runtime { return m.interruptible }

const (
	oracle = "interpreter"
	bare   = "compiler"
)

// setups are the oracle, the compiler without the host's rewriting, and the ways in which the host
// runs guests. Which of the rewriter's parts that do not depend on the way are used is the seed's.
func setups(seed uint64, guards meter.Guards) []setup {
	reloop, reset := seed%4 != 1, seed%4 != 2
	opts := func(metered bool) *meter.Options {
		return &meter.Options{Meter: metered, Depth: 1_000_000, Reloop: reloop, Reset: reset, Guards: guards}
	}
	all := []setup{
		{name: oracle, engine: interpreted},
		{name: bare, engine: compiled},
		{name: "metered", engine: compiled, rewrite: opts(true), slice: []uint64{1 << 40, 2000, 300}[seed%3]},
		{name: "runtime", engine: interruptible, rewrite: opts(false)},
		{name: "off", engine: compiled, rewrite: opts(false)},
	}
	if seed%8 == 0 { // what differs there is the rewriting's fault, and no engine's
		all = append(all, setup{name: "metered, interpreted", engine: interpreted, rewrite: opts(true), slice: 1 << 40})
	}
	return all
}

// module is a binary and how to call it.
type module struct {
	wasm  []byte
	calls []call
	// results and globals are their kinds, of which the loose ones are any NaN where they are one.
	results, globals []kind
}

// call is one of f. The memory begins with data.
type call struct {
	Args []uint64 `json:"args"`
	Data []byte   `json:"data"`
}

// outcome is what calls leave.
type outcome struct {
	calls   []ended
	globals []uint64
	memory  []byte
	dump    string // the error of it
}

type ended struct {
	results []uint64
	trap    string
	memory  uint32 // the sum of all of it
}

// errInvalid is a binary that an engine does not take.
var errInvalid = errors.New("invalid")

// run runs a module in one of the ways.
func (m *machine) run(ctx context.Context, s setup, mod *module) (*outcome, error) {
	wasm := mod.wasm
	if s.rewrite != nil {
		r, err := meter.Rewrite(wasm, meter.Limits{}, *s.rewrite)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errInvalid, s.name, err)
		}
		wasm = r.WASM
	}
	ctx = context.WithValue(ctx, sliceKey{}, s.slice)
	r := s.engine(m)
	c, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errInvalid, s.name, err)
	}
	defer func() { _ = c.Close(ctx) }()
	in, err := r.InstantiateModule(ctx, c, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	defer func() { _ = in.Close(ctx) }()
	o := new(outcome)
	f := in.ExportedFunction("f")
	for _, c := range mod.calls {
		in.Memory().Write(0, c.Data)
		results, err := f.Call(ctx, c.Args...)
		e := ended{trap: trap(err), results: slices.Clone(results)}
		for i := range e.results {
			e.results[i] = unify(e.results[i], mod.results[i])
		}
		all, _ := in.Memory().Read(0, in.Memory().Size())
		e.memory = crc32.Checksum(all, castagnoli)
		o.calls = append(o.calls, e)
	}
	_, err = in.ExportedFunction("dump").Call(ctx)
	o.dump = trap(err)
	for i, k := range mod.globals {
		if g := in.ExportedGlobal(fmt.Sprint("g", i)); g != nil {
			o.globals = append(o.globals, unify(g.Get(), k))
		} else {
			o.globals = append(o.globals, 0)
		}
	}
	all, _ := in.Memory().Read(0, in.Memory().Size())
	o.memory = slices.Clone(all)
	return o, nil
}

// trap is the kind of an error.
func trap(err error) string {
	if err == nil {
		return ""
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// unify makes one NaN of all if a value is loose, and of an i32 what it is.
func unify(v uint64, k kind) uint64 {
	switch k {
	case i32, f32:
		return uint64(uint32(v))
	case looseF32:
		if f := math.Float32frombits(uint32(v)); f != f {
			return nan32
		}
		return uint64(uint32(v))
	case looseF64:
		if f := math.Float64frombits(v); f != f {
			return nan64
		}
	}
	return v
}

// differs says where one outcome is another than it has to be, in short and at length; both
// are empty if it is not.
func (o *outcome) differs(want *outcome) (what, where string) {
	for i, w := range want.calls {
		g := o.calls[i]
		if g.trap != w.trap {
			return "trap", fmt.Sprintf("call %d: %q, want %q", i, g.trap, w.trap)
		}
		for n := range w.results {
			if g.results[n] != w.results[n] {
				return "result", fmt.Sprintf("call %d: result %d is %#x, want %#x", i, n, g.results[n], w.results[n])
			}
		}
		if g.memory != w.memory && i < len(want.calls)-1 {
			return "memory", fmt.Sprintf("call %d: another memory", i)
		}
	}
	if o.dump != want.dump {
		return "trap", fmt.Sprintf("dump: %q, want %q", o.dump, want.dump)
	}
	for i, w := range want.globals {
		if o.globals[i] != w {
			return "global", fmt.Sprintf("global %d is %#x, want %#x", i, o.globals[i], w)
		}
	}
	if len(o.memory) != len(want.memory) {
		return "memory", fmt.Sprintf("%d bytes of memory, want %d", len(o.memory), len(want.memory))
	}
	if at, ok := firstDifference(o.memory, want.memory); ok {
		return "memory", memoryAt(o.memory, want.memory, at)
	}
	return "", ""
}

func memoryAt(got, want []byte, at int) string {
	at &^= 7
	return fmt.Sprintf("memory at %#x is %#x, want %#x", at, binary.LittleEndian.Uint64(got[at:]), binary.LittleEndian.Uint64(want[at:]))
}

func firstDifference(a, b []byte) (at int, ok bool) {
	if bytes.Equal(a, b) {
		return 0, false
	}
	for i := range a {
		if a[i] != b[i] {
			return i, true
		}
	}
	return 0, false
}
