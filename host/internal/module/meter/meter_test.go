package meter_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// module assembles a binary: its sections, each with the number of its items.
type module struct {
	types, imports, functions, tables, memories, globals, exports []string
	start                                                         string
	elements, code, data                                          []string
	dataCount                                                     string
}

func leb(n int) string {
	var b []byte
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return string(append(b, byte(n)))
}

func sized(s string) string { return leb(len(s)) + s }

func (m module) bytes() []byte {
	out := "\x00asm\x01\x00\x00\x00"
	section := func(id int, items []string) {
		if len(items) > 0 {
			out += string(rune(id)) + sized(leb(len(items))+strings.Join(items, ""))
		}
	}
	section(1, m.types)
	section(2, m.imports)
	section(3, m.functions)
	section(4, m.tables)
	section(5, m.memories)
	section(6, m.globals)
	section(7, m.exports)
	if m.start != "" {
		out += "\x08" + sized(m.start)
	}
	section(9, m.elements)
	if m.dataCount != "" {
		out += "\x0c" + sized(m.dataCount)
	}
	bodies := make([]string, len(m.code))
	for i, c := range m.code {
		bodies[i] = sized(c)
	}
	section(10, bodies)
	section(11, m.data)
	return []byte(out)
}

// function is a module of one exported function "f" of type (i32) → i32, with a
// memory of 4 pages, a table of 2 entries and an i32 global.
func function(body string) module {
	return module{
		types:     []string{"\x60\x01\x7f\x01\x7f"},
		functions: []string{"\x00"},
		tables:    []string{"\x70\x00\x02"},
		memories:  []string{"\x00\x04"},
		globals:   []string{"\x7f\x01\x41\x00\x0b"},
		exports:   []string{sized("f") + "\x00\x00", sized("memory") + "\x02\x00"},
		code:      []string{body},
	}
}

// run is an instance of a rewritten or an original binary.
type run struct {
	mod    api.Module
	fuel   api.MutableGlobal // nil of an original
	visits int
}

const slice = 1000

func instantiate(t testing.TB, wasm []byte, interpret bool, stopAfter int) (*run, error) {
	t.Helper()
	cfg := wazero.NewRuntimeConfigCompiler()
	if interpret {
		cfg = wazero.NewRuntimeConfigInterpreter()
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, cfg)
	t.Cleanup(func() { _ = rt.Close(ctx) })
	r := new(run)
	_, err := rt.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, mod api.Module, _ []uint64) {
			r.visits++
			if stopAfter > 0 && r.visits >= stopAfter {
				panic(errStopped)
			}
			g := mod.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
			g.Set(g.Get() + slice)
		}), nil, nil).Export(meter.ImportYield).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	if r.mod, err = rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig()); err != nil {
		return nil, err
	}
	if g := r.mod.ExportedGlobal(meter.FuelExport); g != nil {
		r.fuel = g.(api.MutableGlobal)
	}
	return r, nil
}

var errStopped = errors.New("stopped by the test")

// call returns the result of f and the fuel it burnt.
func (r *run) call(arg uint64) (result, fuel uint64, err error) {
	if r.fuel != nil {
		r.fuel.Set(slice)
	}
	visits := r.visits
	out, err := r.mod.ExportedFunction("f").Call(context.Background(), arg)
	if err == nil {
		result = out[0]
	}
	if r.fuel != nil {
		fuel = uint64(slice*(1+r.visits-visits)) - r.fuel.Get()
	}
	return result, fuel, err
}

func rewrite(t testing.TB, wasm []byte) []byte {
	t.Helper()
	m, err := meter.Rewrite(wasm, meter.Limits{}, meter.Options{Meter: true, Reset: true})
	if err != nil {
		t.Fatal(err)
	}
	return m.WASM
}

// TestKeepsMeaning compares functions with what they are made into, over both
// engines, and their fuel over the engines.
func TestKeepsMeaning(t *testing.T) {
	for name, body := range map[string]string{
		// (local.get 0)
		"leaf": "\x00\x20\x00\x0b",
		// sum of 1 to n: block, loop with a br_if out and a br back
		"loop": "\x01\x01\x7f\x02\x40\x03\x40\x20\x00\x45\x0d\x01\x20\x01\x20\x00\x6a\x21\x01\x20\x00\x41\x01\x6b\x21\x00\x0c\x00\x0b\x0b\x20\x01\x0b",
		// loop with a result that falls through
		"loop result": "\x00\x03\x7f\x20\x00\x41\x03\x6a\x0b\x0b",
		// a br out of two loops to the function's own label, with a result
		"br to the function": "\x00\x03\x40\x03\x40\x20\x00\x41\x07\x6a\x0c\x02\x0b\x0b\x41\x01\x0b",
		// return out of a loop
		"return": "\x00\x03\x40\x20\x00\x41\x02\x6c\x0f\x0b\x41\x00\x0b",
		// if with else, both with results
		"if": "\x00\x20\x00\x04\x7f\x41\x0a\x05\x41\x14\x0b\x0b",
		// a br_table of three over nested blocks, each adding something
		"br_table": "\x01\x01\x7f\x02\x40\x02\x40\x02\x40\x20\x00\x0e\x02\x00\x01\x02\x0b\x20\x01\x41\x01\x6a\x21\x01\x0b\x20\x01\x41\x0a\x6a\x21\x01\x0b\x20\x01\x41\xe4\x00\x6a\x0b",
		// a dispatch loop as of Go: br_table in a loop, targets go round
		"dispatch": "\x01\x01\x7f\x03\x40\x02\x40\x02\x40\x20\x00\x0e\x01\x00\x01\x0b\x20\x01\x0f\x0b\x20\x01\x20\x00\x6a\x21\x01\x20\x00\x41\x01\x6b\x21\x00\x0c\x00\x0b\x41\x7f\x0b",
		// code behind a br
		"unreachable code": "\x00\x02\x40\x0c\x00\x41\x01\x1a\x03\x40\x0c\x00\x0b\x0b\x20\x00\x0b",
		// recursion: n == 0 ? 0 : n + f(n-1)
		"recursion": "\x00\x20\x00\x45\x04\x7f\x41\x00\x05\x20\x00\x20\x00\x41\x01\x6b\x10\x00\x6a\x0b\x0b",
		// memory.fill(16, 7, n*1000), and what is at n
		"fill": "\x00\x41\x10\x41\x07\x20\x00\x41\xe8\x07\x6c\xfc\x0b\x00\x20\x00\x2d\x00\x00\x0b",
		// fills, copies 150,000 bytes over one another forward, and back
		"copy forward":  "\x00\x41\x00\x41\x07\x20\x00\xfc\x0b\x00\x41\x80\x08\x41\x00\x41\xf0\x93\x09\xfc\x0a\x00\x00\x41\x80\x08\x20\x00\x6a\x41\x01\x6b\x2d\x00\x00\x41\x80\x08\x20\x00\x6a\x2d\x00\x00\x41\x08\x74\x72\x0b",
		"copy backward": "\x00\x41\x80\x08\x41\x07\x20\x00\xfc\x0b\x00\x41\x00\x41\x80\x08\x41\xf0\x93\x09\xfc\x0a\x00\x00\x20\x00\x41\x01\x6b\x2d\x00\x00\x20\x00\x2d\x00\x00\x41\x08\x74\x72\x0b",
		// memory.grow(n)
		"grow": "\x00\x20\x00\x40\x00\x0b",
		// a vector instruction with a lane: i32x4.extract_lane 2 of i32x4.splat
		"vector": "\x00\x20\x00\xfd\x11\xfd\x1b\x02\x0b",
		// f64.sqrt of n, truncated
		"float": "\x00\x20\x00\xb7\x9f\xaa\x0b",
		// global.set and get
		"global": "\x00\x20\x00\x24\x00\x23\x00\x41\x01\x6a\x0b",
	} {
		t.Run(name, func(t *testing.T) {
			original := function(body).bytes()
			metered := rewrite(t, original)
			for _, arg := range []uint64{0, 1, 2, 3, 9, 200} {
				var first uint64
				for i, interpret := range []bool{false, true} {
					plain, err := instantiate(t, original, interpret, 0)
					if err != nil {
						t.Fatal(err)
					}
					counted, err := instantiate(t, metered, interpret, 0)
					if err != nil {
						t.Fatal(err)
					}
					want, _, wantErr := plain.call(arg)
					got, fuel, gotErr := counted.call(arg)
					if got != want || (gotErr == nil) != (wantErr == nil) {
						t.Errorf("f(%d) = %d, err %v; the original %d, err %v", arg, got, gotErr, want, wantErr)
					}
					if i == 0 {
						first = fuel
					} else if fuel != first {
						t.Errorf("f(%d) burns %d compiled and %d interpreted", arg, first, fuel)
					}
					a, _ := plain.mod.Memory().Read(0, plain.mod.Memory().Size())
					b, _ := counted.mod.Memory().Read(0, counted.mod.Memory().Size())
					if string(a) != string(b) {
						t.Errorf("f(%d) leaves another memory", arg)
					}
				}
			}
		})
	}
}

// TestEverythingYields has guests that do not end by themselves.
func TestEverythingYields(t *testing.T) {
	for name, body := range map[string]string{
		"empty loop":         "\x00\x03\x40\x0c\x00\x0b\x41\x00\x0b",
		"loop with a result": "\x00\x03\x7f\x41\x00\x1a\x0c\x00\x0b\x0b",
		"loop by br_if":      "\x00\x03\x40\x41\x01\x0d\x00\x0b\x41\x00\x0b",
		"loop by br_table":   "\x00\x03\x40\x41\x00\x0e\x00\x00\x0b\x41\x00\x0b",
		"dispatch":           "\x00\x03\x40\x02\x40\x02\x40\x41\x00\x0e\x01\x00\x01\x0b\x0c\x01\x0b\x0c\x00\x0b\x41\x00\x0b",
		"inner loop":         "\x00\x03\x40\x03\x40\x0c\x01\x0b\x0b\x41\x00\x0b",
		// f(n) = f(n) + f(n) to a depth of 40, without a loop
		"tree of calls": "\x00\x20\x00\x41\x28\x46\x04\x7f\x41\x00\x05\x20\x00\x41\x01\x6a\x10\x00\x20\x00\x41\x01\x6a\x10\x00\x6a\x0b\x0b",
		// memory.fill(0, 0, 200000) for ever
		"fill": "\x00\x03\x40\x41\x00\x41\x00\x41\xc0\x9a\x0c\xfc\x0b\x00\x0c\x00\x0b\x41\x00\x0b",
	} {
		t.Run(name, func(t *testing.T) {
			for _, interpret := range []bool{false, true} {
				r, err := instantiate(t, rewrite(t, function(body).bytes()), interpret, 50)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := r.call(0); !errors.Is(err, errStopped) {
					t.Errorf("interpret %v: err %v, want that the host stopped it", interpret, err)
				}
			}
		})
	}
}

// TestPaysForWhatItDoes bounds fuel from below, by instructions that are surely
// executed.
func TestPaysForWhatItDoes(t *testing.T) {
	long := strings.Repeat("\x20\x00\x1a", 500) // 1,000 instructions
	for name, c := range map[string]struct {
		body string
		arg  uint64
		want uint64
	}{
		"straight":      {"\x00" + long + "\x20\x00\x0b", 0, 1000},
		"if":            {"\x00\x20\x00\x04\x40" + long + "\x0b\x20\x00\x0b", 1, 1000},
		"else":          {"\x00\x20\x00\x04\x40\x05" + long + "\x0b\x20\x00\x0b", 0, 1000},
		"behind a loop": {"\x00\x03\x40\x0b" + long + "\x20\x00\x0b", 0, 1000},
		// a forward jump over half of it
		"behind a jump": {"\x00\x02\x40\x20\x00\x0d\x00" + long + "\x0b" + long + "\x20\x00\x0b", 1, 1000},
		// out of an inner loop
		"out of a loop": {"\x00\x02\x40\x03\x40\x0c\x01\x0b\x0b" + long + "\x20\x00\x0b", 1, 1000},
		// through a br_table into the second of two long targets
		"br_table": {"\x00\x02\x40\x02\x40\x20\x00\x0e\x01\x00\x01\x0b" + long + "\x0b" + long + "\x20\x00\x0b", 1, 870},
		"fill":     {"\x00\x41\x00\x41\x00\x20\x00\xfc\x0b\x00\x20\x00\x0b", 200_000, 3125},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := instantiate(t, rewrite(t, function(c.body).bytes()), false, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, fuel, err := r.call(c.arg); err != nil || fuel < c.want {
				t.Errorf("%d units of fuel, err %v; want at least %d", fuel, err, c.want)
			}
		})
	}
}

// TestReach has code that names what the pass adds.
func TestReach(t *testing.T) {
	for name, c := range map[string]struct {
		body, want string
	}{
		"global.get":     {"\x00\x23\x01\x1a\x20\x00\x0b", "global 1 is out of range, there are 1"},
		"global.set":     {"\x00\x41\x00\x24\x02\x20\x00\x0b", "global 2 is out of range, there are 1"},
		"call":           {"\x00\x10\x01\x20\x00\x0b", "function 1 is out of range, there are 1"},
		"ref.func":       {"\x00\xd2\x01\x1a\x20\x00\x0b", "function 1 is out of range, there are 1"},
		"local":          {"\x00\x20\x01\x0b", "variable 1 is out of range, there are 1"},
		"block type":     {"\x00\x20\x00\x02\x01\x0b\x0b", "type 1 is out of range, there are 1"},
		"call_indirect":  {"\x00\x41\x00\x11\x01\x00\x20\x00\x0b", "type 1 is out of range, there are 1"},
		"label":          {"\x00\x0c\x01\x20\x00\x0b", "a jump out of 2 blocks, of which there are 1"},
		"opcode":         {"\x00\xfe\x00\x0b", "there is no instruction 0xfe"},
		"tail call":      {"\x00\x12\x00\x0b", "there is no instruction 0x12"},
		"bulk opcode":    {"\x00\xfc\x12\x0b", "there is no instruction 0xfc 18"},
		"vector opcode":  {"\x00\xfd\x80\x02\x0b", "there is no instruction 0xfd 256"},
		"cut off":        {"\x00\x20", "ends too early"},
		"goes on":        {"\x00\x20\x00\x0b\x00", "goes on behind its end"},
		"long number":    {"\x00\x41\x80\x80\x80\x80\x80\x00\x1a\x20\x00\x0b", "a number is too long"},
		"table":          {"\x00\x41\x00\x25\x01\x1a\x20\x00\x0b", "table 1 is out of range, there are 1"},
		"huge list":      {"\x00\x0e\xff\xff\xff\xff\x0f", "a list of 4294967295 items does not fit"},
		"many variables": {"\x01\xff\xff\xff\xff\x0f\x7f\x20\x00\x0b", "has 4294967296 variables in a function, the limit is 10000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := meter.Rewrite(function(c.body).bytes(), meter.Limits{}, meter.Options{Meter: true, Reset: true})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err %v, want %q in it", err, c.want)
			}
		})
	}
	for name, change := range map[string]func(*module){
		"imports the host's": func(m *module) {
			m.imports = []string{sized(meter.ImportModule) + sized(meter.ImportYield) + "\x00\x00"}
		},
		"exports the host's": func(m *module) { m.exports = append(m.exports, sized(meter.FuelExport)+"\x00\x00") },
		"imports a global":   func(m *module) { m.imports = []string{sized("env") + sized("g") + "\x03\x7f\x01"} },
		"imports a table":    func(m *module) { m.imports = []string{sized("env") + sized("t") + "\x01\x70\x00\x00"} },
		"global of a global": func(m *module) { m.globals = append(m.globals, "\x7f\x00\x23\x01\x0b") },
		"element":            func(m *module) { m.elements = []string{"\x00\x41\x00\x0b\x01\x01"} },
		"start":              func(m *module) { m.start = "\x01" },
		"data":               func(m *module) { m.data = []string{"\x00\x23\x01\x0b\x00"} },
	} {
		t.Run(name, func(t *testing.T) {
			m := function("\x00\x20\x00\x0b")
			change(&m)
			if _, err := meter.Rewrite(m.bytes(), meter.Limits{}, meter.Options{Meter: true, Reset: true}); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestLimits(t *testing.T) {
	many := func(s string, n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = s
		}
		return list
	}
	for _, c := range []struct {
		what   string
		limits meter.Limits
		got    uint64
		change func(*module)
	}{
		{"types", meter.Limits{Types: 3}, 4, func(m *module) { m.types = many("\x60\x01\x7f\x01\x7f", 4) }},
		{"parameters and results of a type", meter.Limits{Arity: 1}, 2, func(*module) {}},
		{"functions", meter.Limits{Functions: 3}, 4, func(m *module) {
			m.functions, m.code = many("\x00", 4), many("\x00\x20\x00\x0b", 4)
		}},
		{"globals", meter.Limits{Globals: 3}, 4, func(m *module) { m.globals = many("\x7f\x00\x41\x00\x0b", 4) }},
		{"exports", meter.Limits{Exports: 1}, 2, func(*module) {}},
		{"imports", meter.Limits{Imports: 1}, 2, func(m *module) { m.imports = many(sized("a")+sized("b")+"\x00\x00", 2) }},
		{"tables", meter.Limits{Tables: 1}, 2, func(m *module) { m.tables = many("\x70\x00\x02", 2) }},
		{"entries in a table", meter.Limits{TableSize: 1}, 2, func(*module) {}},
		{"memories", meter.Limits{}, 2, func(m *module) { m.memories = many("\x00\x01", 2) }},
		{"segments", meter.Limits{Segments: 1}, 2, func(m *module) {
			m.elements, m.data = many("\x01\x00\x00", 1), many("\x01\x00", 1)
		}},
		{"entries of segments", meter.Limits{Elements: 1}, 2, func(m *module) { m.elements = []string{"\x01\x00\x02\x00\x00"} }},
		{"bytes in a function", meter.Limits{Body: 3}, 4, func(*module) {}},
		{"nested blocks", meter.Limits{Nesting: 2}, 3, func(m *module) { m.code = []string{"\x00\x02\x40\x02\x40\x0b\x0b\x20\x00\x0b"} }},
		{"targets of br_tables in a function", meter.Limits{Labels: 1}, 2, func(m *module) { m.code = []string{"\x00\x20\x00\x41\x00\x0e\x02\x00\x00\x00\x0b"} }},
		{"variables in a function", meter.Limits{Locals: 2}, 3, func(m *module) { m.code = []string{"\x01\x02\x7f\x20\x00\x0b"} }},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := function("\x00\x20\x00\x0b")
			c.change(&m)
			_, err := meter.Rewrite(m.bytes(), c.limits, meter.Options{Meter: true})
			limit := (*meter.LimitError)(nil)
			if !errors.As(err, &limit) || limit.What != c.what || limit.Got != c.got || limit.Limit != c.got-1 {
				t.Errorf("err %v, want that there are %d %s", err, c.got, c.what)
			}
		})
	}
}

// TestTableKeepsItsLimit has a table that could grow without end.
func TestTableKeepsItsLimit(t *testing.T) {
	// table.grow(ref.null, n)
	wasm := function("\x00\xd0\x70\x20\x00\xfc\x0f\x00\x0b").bytes()
	m, err := meter.Rewrite(wasm, meter.Limits{TableSize: 10}, meter.Options{Meter: true, Reset: true})
	if err != nil {
		t.Fatal(err)
	}
	r, err := instantiate(t, m.WASM, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	if dirty := r.mod.ExportedGlobal(meter.DirtyExport).Get(); dirty != 0 {
		t.Errorf("a new instance is dirty: %d", dirty)
	}
	for _, c := range [][2]uint64{{8, 2}, {1, 1<<32 - 1}} {
		if got, _, err := r.call(c[0]); err != nil || got != c[1] {
			t.Errorf("growing by %d: %d, err %v; want %d", c[0], int32(got), err, int32(c[1]))
		}
	}
	if dirty := r.mod.ExportedGlobal(meter.DirtyExport).Get(); dirty != 1 {
		t.Errorf("after table.grow an instance is clean: %d", dirty)
	}
}

// TestElements has all forms of segments name function 0, which moves by one.
func TestElements(t *testing.T) {
	for name, segment := range map[string]string{
		"active":             "\x00\x41\x00\x0b\x01\x00",
		"passive":            "\x01\x00\x01\x00",
		"active, table":      "\x02\x00\x41\x00\x0b\x00\x01\x00",
		"declared":           "\x03\x00\x01\x00",
		"active, exprs":      "\x04\x41\x00\x0b\x01\xd2\x00\x0b",
		"passive, exprs":     "\x05\x70\x01\xd2\x00\x0b",
		"active, all":        "\x06\x00\x41\x00\x0b\x70\x01\xd2\x00\x0b",
		"declared, exprs":    "\x07\x70\x01\xd2\x00\x0b",
		"active, no element": "\x00\x41\x00\x0b\x00",
	} {
		t.Run(name, func(t *testing.T) {
			// n == 0 ? 7 : table[0](0), or a trap where the segment is not active
			m := function("\x00\x20\x00\x45\x04\x7f\x41\x07\x05\x41\x00\x41\x00\x11\x00\x00\x0b\x0b")
			m.elements = []string{segment}
			for _, wasm := range [][]byte{m.bytes(), rewrite(t, m.bytes())} {
				r, err := instantiate(t, wasm, false, 0)
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := r.call(1)
				if active := strings.HasPrefix(name, "active") && name != "active, no element"; active != (err == nil) || active && got != 7 {
					t.Errorf("%d, err %v", got, err)
				}
			}
		})
	}
}

// TestGuests rewrites real ones, which then compile.
func TestGuests(t *testing.T) {
	for _, pkg := range []string{guesttest.Cascade, guesttest.Tick, "./testdata/guests/echo", "./testdata/guests/gohostile"} {
		wasm := rewrite(t, guesttest.Build(t, pkg))
		ctx := context.Background()
		rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
		if _, err := rt.CompileModule(ctx, wasm); err != nil {
			t.Errorf("%s: %v", pkg, err)
		}
		if err := rt.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}

// withoutCustom leaves out the custom sections: wazero 1.12 allocates as much for a
// list of names as its length says.
func withoutCustom(wasm []byte) []byte {
	out := append([]byte(nil), wasm[:min(len(wasm), 8)]...)
	for rest := wasm[len(out):]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) {
			return nil
		}
		end := 1 + n + int(size)
		if rest[0] != 0 {
			out = append(out, rest[:end]...)
		}
		rest = rest[end:]
	}
	return out
}

// FuzzRewrite: what compiles still does, and what does not does not. What is refused
// outside of functions is not compared: wazero 1.12 would take more memory for some
// of it than there is.
func FuzzRewrite(f *testing.F) {
	for _, guest := range []string{"hostile", "leak", "drop", "table-grow", "busy", "start-trap", "truncated", "import-memory"} {
		f.Add(guesttest.HandWritten(f, guest))
	}
	f.Add(function("\x01\x01\x7f\x03\x40\x02\x40\x02\x40\x20\x00\x0e\x01\x00\x01\x0b\x20\x01\x0f\x0b\x0c\x00\x0b\x41\x7f\x0b").bytes())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 64<<10 {
			return
		}
		m, err := meter.Rewrite(wasm, meter.Limits{}, meter.Options{Meter: true, Reset: true})
		limit := (*meter.LimitError)(nil)
		if errors.As(err, &limit) || err != nil && !strings.HasPrefix(err.Error(), "function ") {
			return
		}
		ctx := context.Background()
		rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(1<<10))
		defer rt.Close(ctx)
		c, before := rt.CompileModule(ctx, withoutCustom(wasm))
		if before == nil && err != nil {
			t.Fatalf("it compiles, and is refused: %v", err)
		}
		if err != nil {
			return
		}
		if before == nil {
			_ = c.Close(ctx)
		}
		_, after := rt.CompileModule(ctx, m.WASM)
		if (before == nil) != (after == nil) {
			t.Fatalf("the original: %v; rewritten: %v", before, after)
		}
	})
}
