package meter_test

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestOutOfReach has binaries that name what the pass adds, by the number it will
// have.
func TestOutOfReach(t *testing.T) {
	for name, c := range map[string]struct {
		build func(*binary)
		want  string
	}{
		"the fuel is set":   {func(m *binary) { m.main(nil, nil, nil, konst64(1<<60), 0x24, 1) }, "global 1 is out of range"},
		"the fuel is read":  {func(m *binary) { m.main(nil, nil, nil, 0x23, 1, 0x1a) }, "global 1 is out of range"},
		"the fuel is shown": {func(m *binary) { m.main(nil, nil, nil); m.export("x", 3, 1) }, "global 1 is out of range"},
		"the dirt is set":   {func(m *binary) { m.main(nil, nil, nil, konst(0), 0x24, 2) }, "global 2 is out of range"},
		"a piece is called": {func(m *binary) { m.main(nil, nil, nil, 0x10, 1) }, "function 1 is out of range"},
		"a piece is shown":  {func(m *binary) { m.main(nil, nil, nil); m.export("x", 0, 1) }, "function 1 is out of range"},
		"a piece is begun":  {func(m *binary) { m.main(nil, nil, nil); m.start = u32(1) }, "function 1 is out of range"},
		"a piece is taken":  {func(m *binary) { m.main(nil, nil, nil, 0xd2, 1, 0x1a) }, "function 1 is out of range"},
		"a piece is listed": {func(m *binary) { m.main(nil, nil, nil); m.elements = [][]byte{cat(3, 0, vec(u32(1)))} }, "function 1 is out of range"},
		"a piece in exprs": {func(m *binary) {
			m.main(nil, nil, nil)
			m.elements = [][]byte{cat(7, funcref, vec(cat(0xd2, 1, 0x0b)))}
		}, "function 1 is out of range"},
		"the fuel inits":     {func(m *binary) { m.global(i64, cat(0x23, 2)) }, "global 2 is out of range"},
		"a variable is set":  {func(m *binary) { m.main(nil, nil, []byte{i32}, konst64(0), 0x21, 1) }, "variable 1 is out of range"},
		"a type is used":     {func(m *binary) { m.fnOf(0, nil) }, "type 0 is out of range"},
		"a type of a block":  {func(m *binary) { m.main(nil, nil, nil, 0x02, 1, 0x0b) }, "type 1 is out of range"},
		"a type of a call":   {func(m *binary) { m.tables = [][]byte{{funcref, 0, 1}}; m.main(nil, nil, nil, konst(0), 0x11, 1, 0) }, "type 1 is out of range"},
		"a jump out":         {func(m *binary) { m.main(nil, nil, nil, 0x0c, 1) }, "a jump out of 2 blocks"},
		"a jump far out":     {func(m *binary) { m.main(nil, nil, nil, 0x0d, u32(1<<32-1)) }, "a jump out of 4294967296 blocks"},
		"a table of jumps":   {func(m *binary) { m.main(nil, nil, nil, konst(0), 0x0e, 1, 0, 1) }, "a jump out of 2 blocks"},
		"yield":              {func(m *binary) { m.imported(meter.ImportModule, meter.ImportYield, nil, nil) }, "does not grant"},
		"what the host adds": {func(m *binary) { m.imported(meter.ImportModule, "x", nil, nil) }, "does not grant"},
		"a foreign memory":   {func(m *binary) { m.imports = [][]byte{cat(str("a"), str("b"), 2, 0, 1)} }, "does not grant"},
		"a foreign global":   {func(m *binary) { m.imports = [][]byte{cat(str("a"), str("b"), 3, i64, 1)} }, "does not grant"},
		"the fuel's name":    {func(m *binary) { m.main(nil, nil, nil); m.export(meter.FuelExport, 0, 0) }, "a name that is the host's"},
		"the dirt's name":    {func(m *binary) { m.main(nil, nil, nil); m.export(meter.DirtyExport, 3, 0) }, "a name that is the host's"},
		"a global's name": {func(m *binary) {
			m.main(nil, nil, nil)
			m.globals = append(m.globals, cat(i32, 1, konst(0), 0x0b))
			m.export("resonhost_meter.global.1", 0, 0)
		}, "a name that is the host's"},
		"an else of no if":   {func(m *binary) { m.main(nil, nil, nil, 0x05) }, ""},
		"code behind an end": {func(m *binary) { m.main(nil, nil, nil, 0x0b, nop) }, "goes on behind its end"},
		"a tail call":        {func(m *binary) { m.main(nil, nil, nil, 0x12, 0) }, "uses tail calls"},
		"an atomic":          {func(m *binary) { m.main(nil, nil, nil, 0xfe, 3, 0) }, "uses threads"},
		"a try":              {func(m *binary) { m.main(nil, nil, nil, 0x1f, void, 0, 0x0b) }, "uses exceptions"},
	} {
		m := new(binary)
		if !strings.Contains(name, "a foreign") && !strings.Contains(name, "yield") && name != "what the host adds" {
			m.globals = append(m.globals, cat(i32, 1, konst(0), 0x0b))
		}
		c.build(m)
		again, err := meter.Rewrite(m.encode(), meter.Limits{}, metered)
		if c.want == "" && err == nil {
			for _, vm := range machines(t) {
				if vm.compiles(t, again.WASM) == nil {
					t.Errorf("%s: %s compiles it", name, vm.name)
				}
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	const (
		stripped  = ": link without what nothing calls, by wasm-ld's --gc-sections or wasm-opt -O; or raise "
		optimised = ": debug builds have such functions, so compile with -O1 or more, or Rust's --release; or raise "
		maybe     = "; or compile with -O1 or more, or Rust's --release, if this is a debug build"
	)
	for want, c := range map[string]struct {
		limits meter.Limits
		build  func(*binary)
	}{
		"has 3 types, the limit is 2" + stripped + "--max-types (PluginConfig.MaxTypes)": {
			meter.Limits{Types: 2}, func(m *binary) { m.typ(nil, nil); m.typ(nil, nil); m.typ(nil, nil) },
		},
		"has 2 imports, the limit is 1: raise --max-imports (PluginConfig.MaxImports)": {
			meter.Limits{Imports: 1}, func(m *binary) { m.imported("a", "b", nil, nil); m.imported("a", "c", nil, nil) },
		},
		"has 2 functions, the limit is 1" + stripped + "--max-functions (PluginConfig.MaxFunctions)": {
			meter.Limits{Functions: 1}, func(m *binary) { m.imported("a", "b", nil, nil); m.fn(nil, nil, nil) },
		},
		"has 2 globals, the limit is 1: link statically, without -shared, -pie and --export-all; or raise --max-globals (PluginConfig.MaxGlobals)": {
			meter.Limits{Globals: 1}, func(m *binary) { m.global(i32, konst(0)); m.global(i32, konst(0)) },
		},
		"has 2 exports, the limit is 1: export only what the plugin contract names, without -Wl,--export-all; or raise --max-exports (PluginConfig.MaxExports)": {
			meter.Limits{Exports: 1}, func(m *binary) { m.memory(1); m.export("x", 2, 0) },
		},
		"has 2 tables, the limit is 1: raise --max-tables (PluginConfig.MaxTables)": {
			meter.Limits{Tables: 1}, func(m *binary) { m.tables = [][]byte{{funcref, 0, 1}, {funcref, 0, 1}} },
		},
		"has 11 entries in a table, the limit is 10: raise --max-table (PluginConfig.MaxTable)": {
			meter.Limits{TableSize: 10}, func(m *binary) { m.tables = [][]byte{{funcref, 0, 11}} },
		},
		"has 2 segments, the limit is 1: raise --max-segments (PluginConfig.MaxSegments)": {meter.Limits{Segments: 1}, func(m *binary) {
			m.elements = [][]byte{cat(1, 0, 0)}
			m.datas = [][]byte{cat(1, 0)}
		}},
		"has 5 entries of segments, the limit is 1" + stripped + "--max-elements (PluginConfig.MaxElements)": {meter.Limits{Elements: 1}, func(m *binary) {
			m.fn(nil, nil, nil)
			m.elements = [][]byte{cat(1, 0, vec(u32(0), u32(0))), cat(1, 0, vec(u32(0), u32(0), u32(0)))}
		}},
		"function 1 has 12 bytes, the limit is 10, and another function exceeds it: raise --max-function-size (PluginConfig.MaxFunctionSize)" + maybe: {meter.Limits{Body: 10}, func(m *binary) {
			m.fn(nil, nil, nil, repeat(9, nop))
			m.fn(nil, nil, nil, repeat(10, nop))
		}},
		"function 0 has 3 variables, the limit is 2: raise --max-locals (PluginConfig.MaxLocals)" + maybe: {
			meter.Limits{Locals: 2}, func(m *binary) { m.fn([]byte{i32}, nil, []byte{i32, i32}) },
		},
		"function 0 has 4 jumps, the limit is 3: raise --max-jumps (PluginConfig.MaxJumps)" + maybe: {meter.Limits{Jumps: 3}, func(m *binary) {
			m.fn(nil, nil, nil, nested(2, nil, func(int) []byte { return nil }))
		}},
		// The function that needs most is told of, by name.
		`function 2 "two\x1b" has 12 jumps, the limit is 3, and 2 other functions exceed it` + optimised + "--max-jumps (PluginConfig.MaxJumps)": {meter.Limits{Jumps: 3}, func(m *binary) {
			for _, n := range []int{2, 3, 4, 3, 1} {
				m.fn(nil, nil, nil, repeat(n, konst(0), 0x0e, 2, 0, 0, 0))
			}
			m.codes[4] = m.codes[4][:0]
			m.codes[4] = sized(cat(0, 0x0b))
			m.codes[0] = m.codes[4]
			m.names, m.debug = section(1, vec(cat(2, str("two\x1b")))), true
		}},
		"function 0 has 6 jumps times variables, the limit is 5: raise --max-flow (PluginConfig.MaxFlow)" + maybe: {meter.Limits{Flow: 5}, func(m *binary) {
			m.fn([]byte{i32}, nil, []byte{i32}, 0x0c, 0, 0x0c, 0, 0x0c, 0)
		}},
		// All that functions exceed is told.
		"function 0 has 9 bytes, the limit is 8: raise --max-function-size (PluginConfig.MaxFunctionSize)" + maybe + "\n" +
			"function 1 has 3 jumps, the limit is 2: raise --max-jumps (PluginConfig.MaxJumps)" + maybe + "\n" +
			"function 2 has 6 jumps times variables, the limit is 5: raise --max-flow (PluginConfig.MaxFlow)" + maybe: {meter.Limits{Body: 8, Jumps: 2, Flow: 5}, func(m *binary) {
			m.fn(nil, nil, nil, repeat(7, nop))
			m.fn(nil, nil, nil, 0x0c, 0, 0x0c, 0, 0x0c, 0)
			m.fn([]byte{i32, i32, i32}, nil, nil, 0x0c, 0, 0x0c, 0)
		}},
		// Names without DWARF are what wasm-ld --strip-debug leaves, of any build.
		`function 0 "main" has 4 jumps, the limit is 3: raise --max-jumps (PluginConfig.MaxJumps)` + maybe: {meter.Limits{Jumps: 3}, func(m *binary) {
			m.names = section(1, vec(cat(0, str("main"))))
			m.fn(nil, nil, nil, nested(2, nil, func(int) []byte { return nil }))
		}},
		// Those that take the compiler longest: counted to their end, if there is one in sight.
		"function 0 has 120000 jumps, the limit is 30000: raise --max-jumps (PluginConfig.MaxJumps)" + maybe: {
			meter.Limits{}, func(m *binary) { m.fn(nil, nil, nil, repeat(15_000, 0x03, void, 0x0b)) },
		},
		"function 0 has 80000 jumps, the limit is 30000: raise --max-jumps (PluginConfig.MaxJumps)" + maybe: {meter.Limits{}, func(m *binary) {
			m.fn(nil, nil, nil, repeat(40_000, 0x02, void), repeat(40_000, 0x0b))
		}},
		"function 0 has at least 200002 jumps, the limit is 30000: raise --max-jumps (PluginConfig.MaxJumps)" + maybe: {meter.Limits{}, func(m *binary) {
			m.fn(nil, nil, nil, repeat(400_000, 0x02, void), repeat(400_000, 0x0b))
		}},
		"function 0 has 1000001 jumps, the limit is 30000: raise --max-jumps (PluginConfig.MaxJumps)" + maybe: {meter.Limits{}, func(m *binary) {
			m.fn(nil, nil, nil, konst(0), 0x0e, u32(1_000_000), repeat(1_000_001, 0))
		}},
		"function 0 has at least 3000001 jumps, the limit is 30000: raise --max-jumps (PluginConfig.MaxJumps)" + maybe: {meter.Limits{}, func(m *binary) {
			m.fn(nil, nil, nil, konst(0), 0x0e, u32(4_000_000), repeat(4_000_001, 0))
		}},
		"function 0 has 100000 jumps, the limit is 30000: raise --max-jumps (PluginConfig.MaxJumps)" + maybe: {
			meter.Limits{}, func(m *binary) { m.fn(nil, nil, nil, repeat(25_000, 0x10, 0)) },
		},
		"function 0 has 800000 jumps, the limit is 30000: raise --max-jumps (PluginConfig.MaxJumps)" + maybe: {meter.Limits{}, func(m *binary) {
			m.memory(1)
			m.fn(nil, nil, nil, repeat(100_000, konst(0), konst(0), konst(0), 0xfc, 11, 0))
		}},
		"has 3 parameters and results of a type, the limit is 2: pass structures by their address; or raise --max-arity (PluginConfig.MaxArity)": {
			meter.Limits{Arity: 2}, func(m *binary) { m.typ([]byte{i32, i32}, []byte{i32}) },
		},
		"function 0 has 12000000000 variables, the limit is 10000: raise --max-locals (PluginConfig.MaxLocals)" + maybe: {meter.Limits{}, func(m *binary) {
			typ := m.typ(nil, nil)
			m.funcs = append(m.funcs, u32(typ))
			group := cat(u32(4_000_000_000), i32)
			m.codes = append(m.codes, sized(cat(3, group, group, group, 0x0b)))
		}},
	} {
		m := new(binary)
		c.build(m)
		_, err := meter.Rewrite(m.encode(), c.limits, metered)
		if limit := (*meter.LimitError)(nil); !errors.As(err, &limit) || err.Error() != want {
			t.Errorf("%v, want\n%s", err, want)
		}
	}
	small := new(binary)
	small.main(nil, nil, nil)
	exact := meter.Limits{Types: 1, Functions: 1, Exports: 1, Body: 2}
	if _, err := meter.Rewrite(small.encode(), exact, metered); err != nil {
		t.Error("what is at its limits: ", err)
	}
}

// TestTableGrows says that a table without a limit gets that of the host.
func TestTableGrows(t *testing.T) {
	m := new(binary)
	m.tables = [][]byte{{funcref, 0, 1}}
	m.main([]byte{i32}, []byte{i32}, nil, 0xd0, funcref, 0x20, 0, 0xfc, 15, 0)
	again, err := meter.Rewrite(m.encode(), meter.Limits{TableSize: 10}, metered)
	if err != nil {
		t.Fatal(err)
	}
	for _, vm := range machines(t) {
		for by, want := range map[uint64]uint64{9: 1, 10: 1<<32 - 1, 1<<32 - 1: 1<<32 - 1} {
			if o := vm.run(t, again.WASM, plenty, by); o.err != nil || o.results[0] != want {
				t.Errorf("%s: by %d: %v, %v", vm.name, by, o.results, o.err)
			}
		}
	}
}

// TestBroken has sections that end too early, whatever they are, numbers that are
// too long, and counts of much that is not there.
func TestBroken(t *testing.T) {
	for _, c := range append(controls(), example{name: "none", build: func(*binary) {}}) {
		m := new(binary)
		c.build(m)
		wasm := m.encode()
		for i := range wasm {
			again, err := meter.Rewrite(wasm[:i], meter.Limits{}, metered)
			// What ends between two sections may be whole.
			if err == nil && plainSections(wasm[:i]) == nil {
				t.Errorf("%s: %d of %d bytes are accepted: %x", c.name, i, len(wasm), again.WASM)
			}
		}
	}
	head := []byte("\x00asm\x01\x00\x00\x00")
	huge := u32(1<<32 - 1)
	before := new(runtime.MemStats)
	runtime.ReadMemStats(before)
	for id := range 14 {
		for _, content := range [][]byte{
			huge, cat(0xff, 0xff, 0xff, 0xff, 0x7f), cat(0x80, 0x80, 0x80, 0x80, 0x80, 0), {}, {0x80},
			cat(1, huge), cat(1, 0, huge), cat(1, 0x60, huge), cat(1, 0, huge, huge), u32(1_000_000),
		} {
			if id == 0 && len(content) > 0 && content[0] < 2 {
				continue // a custom section of any content
			}
			wasm := cat(head, section(id, content))
			if again, err := meter.Rewrite(wasm, meter.Limits{}, metered); err == nil && id != 0 && !slices.Contains([]int{secDataCount, secMemory, secExport}, id) {
				t.Errorf("section %d of %x is accepted: %x", id, content, again.WASM)
			}
		}
	}
	after := new(runtime.MemStats)
	runtime.ReadMemStats(after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
	for _, wasm := range [][]byte{
		nil, head[:7], []byte("\x00asm\x0d\x00\x01\x00"), cat(head, section(3, u32(0)), section(1, u32(0))),
		cat(head, section(1, u32(0)), section(1, u32(0))), cat(head, 1, huge), cat(head, section(13, nil)),
		cat(head, section(secMemory, cat(0, 1, 2, 3))),
	} {
		if _, err := meter.Rewrite(wasm, meter.Limits{}, metered); err == nil {
			t.Errorf("%x is accepted", wasm)
		}
	}
}

// TestEndless has programs that do not end by themselves. All reach the host, which
// ends them.
func TestEndless(t *testing.T) {
	out := []byte{i32}
	for name, build := range map[string]func(*binary){
		"a loop":               func(m *binary) { m.main(nil, nil, nil, 0x03, void, 0x0c, 0, 0x0b) },
		"a loop within a loop": func(m *binary) { m.main(nil, nil, nil, 0x03, void, 0x03, void, 0x0c, 1, 0x0b, 0x0b) },
		"a loop by a br_table": func(m *binary) { m.main(nil, nil, nil, 0x03, void, konst(1), 0x0e, 1, 0, 0, 0x0b) },
		"a loop with parameters": func(m *binary) {
			typ := m.typ(out, out)
			m.main(nil, out, nil, konst(1), 0x03, u32(typ), 0x0c, 0, 0x0b)
		},
		"a loop with a result": func(m *binary) { m.main(nil, out, nil, 0x03, i32, 0x0c, 0, 0x0b) },
		"loops for ever": func(m *binary) {
			m.main(nil, nil, nil, 0x03, void, 0x03, void, konst(1), 0x0d, 0, 0x0b, 0x03, void, 0x0c, 1, 0x0b, 0x0b)
		},
		"a start function": func(m *binary) { m.start = u32(m.fn(nil, nil, nil, 0x03, void, 0x0c, 0, 0x0b)) },
		"a tree of calls": func(m *binary) {
			f := m.fn(nil, nil, nil)
			for range 60 {
				f = m.fn(nil, nil, nil, 0x10, u32(f), 0x10, u32(f))
			}
			m.export("f", 0, f)
		},
		"a tree of calls in front of loops": func(m *binary) {
			f := m.fn(nil, nil, nil)
			for range 60 {
				f = m.fn(nil, nil, nil, 0x10, u32(f), 0x03, void, 0x0b, 0x10, u32(f))
			}
			m.export("f", 0, f)
		},
		"a tree of indirect calls": func(m *binary) {
			m.tables = [][]byte{{funcref, 0, 1}}
			m.main([]byte{i32}, nil, nil, 0x20, 0, konst(60), 0x49, 0x04, void,
				repeat(2, 0x20, 0, konst(1), 0x6a, konst(0), 0x11, 0, 0), 0x0b)
			m.elements = [][]byte{cat(0, konst(0), 0x0b, vec(u32(0)))}
		},
	} {
		m := new(binary)
		build(m)
		wasm := rewrite(t, m.encode())
		var args []uint64
		if strings.Contains(name, "indirect") {
			args = []uint64{0}
		}
		for _, vm := range machines(t) {
			if o := vm.run(t, wasm, grants{slice: 10_000, most: 10}, args...); !errors.Is(o.err, errStopped) {
				t.Errorf("%s, %s: %v", vm.name, name, o.err)
			}
		}
	}
	deep := new(binary)
	deep.main(nil, nil, nil, 0x10, 0)
	before := new(binary)
	before.main(nil, nil, nil, 0x10, 0, 0x03, void, 0x0b)
	for _, vm := range machines(t) {
		for _, m := range []*binary{deep, before} {
			// More than the stack has.
			deep, err := meter.Rewrite(m.encode(), meter.Limits{}, meter.Options{Meter: true, Depth: 1 << 30})
			if err != nil {
				t.Fatal(err)
			}
			o := vm.run(t, deep.WASM, grants{slice: 1000, most: 1 << 30})
			if o.err == nil || !strings.Contains(o.err.Error(), "stack overflow") || o.visits == 0 {
				t.Errorf("%s: %v, %d visits", vm.name, o.err, o.visits)
			}
		}
	}
}

// TestGuest compiles what Go's compiler makes, before and after.
func TestGuest(t *testing.T) {
	wasm := guesttest.Build(t, guesttest.Cascade)
	before := bytes.Clone(wasm)
	for _, opts := range []meter.Options{metered, {Meter: true}, {Reset: true}, {}} {
		m, err := meter.Rewrite(wasm, meter.Limits{}, opts)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, wasm) {
			t.Fatal("the binary was changed")
		}
		t.Logf("%+v: %d bytes of %d", opts, len(m.WASM), len(wasm))
		ctx := t.Context()
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
		if _, err := r.CompileModule(ctx, m.WASM); err != nil {
			t.Errorf("%+v: %v", opts, err)
		}
		_ = r.Close(ctx)
	}
	vm := machines(t)[0]
	if err := vm.compiles(t, rewrite(t, wasm)); err != nil {
		t.Error(err)
	}
}
