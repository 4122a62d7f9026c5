package meter_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// machine is a runtime that provides what a metered guest imports.
type machine struct {
	name    string
	runtime wazero.Runtime
}

// grants is what a run is given when it yields.
type grants struct {
	slice  int64
	visits int
	most   int // visits, after which the run is stopped
	total  int64
	deeper int32 // how much deeper calls may nest, each time that they nest too deep
	lowest int32 // of what was left of that at a visit
	deep   int   // visits since calls nest too deep
}

type grantsKey struct{}

var errStopped = errors.New("stopped by the host")

// machines returns one of each engine.
func machines(tb testing.TB) []*machine {
	tb.Helper()
	return []*machine{
		newMachine(tb, "compiler", wazero.NewRuntimeConfigCompiler()),
		newMachine(tb, "interpreter", wazero.NewRuntimeConfigInterpreter()),
	}
}

func newMachine(tb testing.TB, name string, config wazero.RuntimeConfig) *machine {
	tb.Helper()
	ctx := tb.Context()
	r := wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(api.CoreFeaturesV2))
	tb.Cleanup(func() { _ = r.Close(context.WithoutCancel(ctx)) })
	if _, err := r.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(yield), nil, nil).Export(meter.ImportYield).Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	double := func(_ context.Context, stack []uint64) { stack[0] = uint64(uint32(stack[0] * 2)) }
	in := []api.ValueType{api.ValueTypeI32}
	if _, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(double), in, in).Export("double").Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	return &machine{name: name, runtime: r}
}

func yield(ctx context.Context, mod api.Module, _ []uint64) {
	g := ctx.Value(grantsKey{}).(*grants)
	g.visits++
	if g.visits > g.most {
		panic(errStopped)
	}
	fuel := mod.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
	depth := mod.ExportedGlobal(meter.DepthExport).(api.MutableGlobal)
	if left := api.DecodeI32(depth.Get()); left < 0 {
		g.deep++
		g.lowest = min(g.lowest, left)
		depth.Set(api.EncodeI32(left + g.deeper))
		owed := -(int64(fuel.Get()) - meter.TooDeep/2) / meter.TooDeep * meter.TooDeep
		fuel.Set(fuel.Get() + uint64(owed))
		if int64(fuel.Get()) >= 0 {
			return
		}
	}
	fuel.Set(fuel.Get() + uint64(g.slice))
	g.total += g.slice
}

// outcome is what a run leaves.
type outcome struct {
	results []uint64
	memory  []byte
	globals map[string]uint64
	err     error
	fuel    int64 // what was used
	visits  int   // of yield
	depth   int32 // how much deeper calls might nest
	lowest  int32 // as grants have it
	deep    int   // likewise
	dirty   bool
}

// compiles reports whether the runtime takes the binary.
func (m *machine) compiles(tb testing.TB, wasm []byte) error {
	tb.Helper()
	c, err := m.runtime.CompileModule(tb.Context(), wasm)
	if err == nil {
		_ = c.Close(tb.Context())
	}
	return err
}

// run instantiates a binary and calls its export "f".
func (m *machine) run(tb testing.TB, wasm []byte, g grants, args ...uint64) outcome {
	tb.Helper()
	ctx := context.WithValue(tb.Context(), grantsKey{}, &g)
	var o outcome
	c, err := m.runtime.CompileModule(ctx, wasm)
	if err != nil {
		tb.Fatalf("%s: %v\n%x", m.name, err, wasm)
	}
	defer c.Close(ctx)
	mod, err := m.runtime.InstantiateModule(ctx, c, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		o.err = err
		return o
	}
	defer mod.Close(ctx)
	if f := mod.ExportedFunction("f"); f != nil {
		o.results, o.err = f.Call(ctx, args...)
	}
	if mem := mod.ExportedMemory("memory"); mem != nil {
		all, _ := mem.Read(0, mem.Size())
		o.memory = slices.Clone(all)
	}
	o.globals = make(map[string]uint64)
	for i := range 10 {
		name := "g" + string(rune('0'+i))
		if v := mod.ExportedGlobal(name); v != nil {
			o.globals[name] = v.Get()
		}
	}
	if v := mod.ExportedGlobal(meter.FuelExport); v != nil {
		o.fuel = g.total - int64(v.Get())
	}
	if v := mod.ExportedGlobal(meter.DepthExport); v != nil {
		o.depth = api.DecodeI32(v.Get())
	}
	if v := mod.ExportedGlobal(meter.DirtyExport); v != nil {
		o.dirty = v.Get() != 0
	}
	o.visits, o.lowest, o.deep = g.visits, g.lowest, g.deep
	return o
}

// plenty is more fuel than any test uses.
var plenty = grants{slice: 1 << 40, most: 1 << 20}

// metered is what the host asks for.
var metered = meter.Options{Meter: true, Depth: 1_000_000, Reloop: true, Reset: true, Guards: meter.AllGuards}

func rewrite(tb testing.TB, wasm []byte) []byte {
	tb.Helper()
	m, err := meter.Rewrite(wasm, meter.Limits{}, metered)
	if err != nil {
		tb.Fatalf("%v\n%x", err, wasm)
	}
	return m.WASM
}

// trap is the message of an error without its stack trace.
func trap(err error) string {
	var exit *sys.ExitError
	if err == nil || errors.As(err, &exit) {
		return fmt.Sprint(err)
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// same fails the test unless both runs ended alike.
func same(tb testing.TB, what string, got, want outcome) {
	tb.Helper()
	if trap(got.err) != trap(want.err) {
		tb.Fatalf("%s: %v, without metering %v", what, got.err, want.err)
	}
	if !slices.Equal(got.results, want.results) {
		tb.Fatalf("%s: results %v, without metering %v", what, got.results, want.results)
	}
	if !maps.Equal(got.globals, want.globals) {
		tb.Fatalf("%s: globals %v, without metering %v", what, got.globals, want.globals)
	}
	if !slices.Equal(got.memory, want.memory) {
		tb.Fatalf("%s: another memory than without metering", what)
	}
}

// compare runs a binary as it is and rewritten, on all machines, and in slices of
// several sizes. All have to end alike, and the latter to take the same fuel, which
// it returns.
func compare(tb testing.TB, all []*machine, wasm []byte, args ...uint64) (o outcome) {
	tb.Helper()
	again := rewrite(tb, wasm)
	first := true
	for _, m := range all {
		want := m.run(tb, wasm, grants{}, args...)
		for _, slice := range []int64{1 << 40, 1000, 77} {
			got := m.run(tb, again, grants{slice: slice, most: 1 << 20}, args...)
			what := fmt.Sprintf("%s, arguments %v, slices of %d", m.name, args, slice)
			same(tb, what, got, want)
			if !first && got.fuel != o.fuel {
				tb.Fatalf("%s: fuel %d, before it was %d", what, got.fuel, o.fuel)
			}
			o, first = got, false
		}
	}
	return o
}
