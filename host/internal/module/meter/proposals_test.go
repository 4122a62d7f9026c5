package meter_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// What is said of the parts of WebAssembly that the host does not run, behind what they are
// used by.
const (
	noTailCalls     = ", which wazero 1.12 runs only as an experiment: compile with clang's -mno-tail-call or rustc's -C target-feature=-tail-call"
	noExceptions    = ", which wazero 1.12 runs only as an experiment: compile with clang's -fno-exceptions and without setjmp, with Emscripten's -fno-wasm-exceptions, or with rustc's -C panic=abort"
	noOldExceptions = ", which wazero 1.12 does not have: compile with clang's -fno-exceptions and without setjmp, with Emscripten's -fno-wasm-exceptions, or with rustc's -C panic=abort"
	noThreads       = ", which wazero 1.12 runs only as an experiment: compile without -pthread and -matomics, for Rust's target wasm32-wasip1 and not wasm32-wasip1-threads, or with AssemblyScript's --disable threads"
	noMemory64      = ", which wazero 1.12 does not have: compile for wasm32 and not wasm64, with Emscripten without -sMEMORY64"
	noExtendedConst = ", which wazero 1.12 runs only as an experiment: compile with clang's -mno-extended-const or rustc's -C target-feature=-extended-const, and link statically, without -shared and -pie"
	noRelaxedSIMD   = ", which wazero 1.12 does not have: compile with clang's -mno-relaxed-simd, rustc's -C target-feature=-relaxed-simd or AssemblyScript's --disable relaxed-simd; other SIMD is fine"
	noGC            = ", which wazero 1.12 does not have: Kotlin, Dart, Java and other languages of that kind always compile to them, so write the plugin in another language"
	noTypedRefs     = ", which wazero 1.12 runs only as an experiment: compile with clang's -mno-gc, and run wasm-opt without --enable-gc and --all-features"
	noMultiMemory   = ", which wazero 1.12 does not have: build with one memory, which wasm-opt's --multi-memory-lowering makes of several"
	noPageSizes     = ", which wazero 1.12 does not have: link without --page-size"
	noWide          = ", which wazero 1.12 does not have: compile with clang's -mno-wide-arithmetic or rustc's -C target-feature=-wide-arithmetic"
	noHalf          = ", which wazero 1.12 does not have: compile with clang's -mno-fp16 or rustc's -C target-feature=-fp16"
	noSwitching     = ", which wazero 1.12 does not have: compile without it; Emscripten's -sASYNCIFY does the same in plain WebAssembly"
	noStrings       = ", which wazero 1.12 does not have: compile with AssemblyScript's --disable stringref"
	noControl       = ", which wazero 1.12 does not have: compile without memory.discard"
)

// TestProposals has a guest of each part that wabt knows.
func TestProposals(t *testing.T) {
	want := map[string]string{
		"eh":             "binary, byte 57: uses exceptions (a tag section)" + noExceptions,
		"tag":            "binary, byte 52: uses exceptions (a tag section)" + noExceptions,
		"trycatch":       `function 3 (exported as "resonhost_run"), byte 154: uses exceptions in their old form (try)` + noOldExceptions,
		"extc":           "global section, byte 85: uses extended constants (i64.add)" + noExtendedConst,
		"extconst":       "global section, byte 53: uses extended constants (i32.add)" + noExtendedConst,
		"extconst_data":  "data section, byte 165: uses extended constants (i32.add)" + noExtendedConst,
		"mem64":          "memory section, byte 42: uses 64-bit memory (a memory of 64-bit addresses)" + noMemory64,
		"multimem":       "memory section, byte 41: uses several memories (2 memories)" + noMultiMemory,
		"relaxed":        `function 3 (exported as "resonhost_run"), byte 211: uses relaxed SIMD (f32x4.relaxed_madd)` + noRelaxedSIMD,
		"rsimd":          `function 4 (exported as "resonhost_run"), byte 214: uses relaxed SIMD (i8x16.relaxed_swizzle)` + noRelaxedSIMD,
		"sharedmem":      "memory section, byte 42: uses threads (a memory that is shared)" + noThreads,
		"shmem":          "memory section, byte 48: uses threads (a memory that is shared)" + noThreads,
		"tail":           `function 6 "tc", byte 371: uses tail calls (return_call)` + noTailCalls,
		"tailcall":       `function 0 "t", byte 133: uses tail calls (return_call)` + noTailCalls,
		"tailcallind":    `function 0 "t", byte 140: uses tail calls (return_call_indirect)` + noTailCalls,
		"threads_atomic": `function 3 (exported as "resonhost_run"), byte 158: uses threads (an atomic instruction)` + noThreads,
	}
	files, err := filepath.Glob(filepath.Join(guesttest.Root(), "testdata/guests/proposals/*.wasm"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d guests, want %d: %v", len(files), len(want), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".wasm")
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = meter.Rewrite(wasm, meter.Limits{}, metered)
		if unsupported := (*meter.UnsupportedError)(nil); err == nil || !errors.As(err, &unsupported) || err.Error() != want[name] {
			t.Errorf("%s: %q, want\n%q", name, err, want[name])
		}
	}
}

// TestUnsupported has each encoding of each part, those that wabt does not know included.
func TestUnsupported(t *testing.T) {
	code := func(body ...any) func(*binary) {
		return func(m *binary) { m.main(nil, nil, nil, body...) }
	}
	typ := func(form ...any) func(*binary) {
		return func(m *binary) { m.types = [][]byte{cat(form...)} }
	}
	value := func(t int) func(*binary) {
		return func(m *binary) { m.types = [][]byte{cat(0x60, 1, t, 0)} }
	}
	memory := func(flags int) func(*binary) {
		return func(m *binary) { m.memories = [][]byte{cat(flags, 1, 2, 16)} }
	}
	table := func(parts ...any) func(*binary) {
		return func(m *binary) { m.tables = [][]byte{cat(parts...)} }
	}
	global := func(init ...any) func(*binary) {
		return func(m *binary) { m.globals = [][]byte{cat(i32, 0, cat(init...), 0x0b)} }
	}
	const at, first, tables = "function 0 (exported as \"f\"), byte 30: uses ", "type section, byte 12: uses ", "table section, byte "
	for name, c := range map[string]struct {
		build func(*binary)
		want  string
	}{
		"try":                  {code(0x06, void, 0x0b), at + "exceptions in their old form (try)" + noOldExceptions},
		"catch":                {code(0x07, 0), at + "exceptions in their old form (catch)" + noOldExceptions},
		"throw":                {code(0x08, 0), at + "exceptions (throw)" + noExceptions},
		"rethrow":              {code(0x09, 0), at + "exceptions in their old form (rethrow)" + noOldExceptions},
		"throw_ref":            {code(0x0a), at + "exceptions (throw_ref)" + noExceptions},
		"delegate":             {code(0x18, 0), at + "exceptions in their old form (delegate)" + noOldExceptions},
		"catch_all":            {code(0x19), at + "exceptions in their old form (catch_all)" + noOldExceptions},
		"try_table":            {code(0x1f, void, 0, 0x0b), at + "exceptions (try_table)" + noExceptions},
		"exnref":               {value(0x69), "type section, byte 14: uses exceptions (the type exnref)" + noExceptions},
		"nullexnref":           {value(0x74), "type section, byte 14: uses exceptions (the type nullexnref)" + noExceptions},
		"return_call":          {code(0x12, 0), at + "tail calls (return_call)" + noTailCalls},
		"return_call_indirect": {code(0x13, 0, 0), at + "tail calls (return_call_indirect)" + noTailCalls},
		"return_call_ref":      {code(0x15, 0), at + "tail calls (return_call_ref)" + noTailCalls},
		"call_ref":             {code(0x14, 0), at + "typed references (call_ref)" + noTypedRefs},
		"ref.as_non_null":      {code(0xd4), at + "typed references (ref.as_non_null)" + noTypedRefs},
		"br_on_null":           {code(0xd5, 0), at + "typed references (br_on_null)" + noTypedRefs},
		"br_on_non_null":       {code(0xd6, 0), at + "typed references (br_on_non_null)" + noTypedRefs},
		"(ref null t)":         {value(0x63), "type section, byte 14: uses typed references (a type (ref null …))" + noTypedRefs},
		"(ref t)":              {value(0x64), "type section, byte 14: uses typed references (a type (ref …))" + noTypedRefs},
		"ref.null 0":           {code(0xd0, 0, 0x1a), "function 0 (exported as \"f\"), byte 32: uses typed references (a null of a type by its index)" + noTypedRefs},
		"a table's value":      {table(0x40, 0, funcref, 0, 1, 0xd2, 0, 0x0b), tables + "11: uses typed references (a table with a first value)" + noTypedRefs},
		"ref.eq":               {code(0xd3), at + "garbage-collected types (ref.eq)" + noGC},
		"struct":               {typ(0x5f, 0), first + "garbage-collected types (a struct type)" + noGC},
		"array":                {typ(0x5e, 0x78, 1), first + "garbage-collected types (an array type)" + noGC},
		"sub":                  {typ(0x50, 0, 0x60, 0, 0), first + "garbage-collected types (a sub type)" + noGC},
		"sub final":            {typ(0x4f, 0, 0x60, 0, 0), first + "garbage-collected types (a sub type)" + noGC},
		"rec":                  {typ(0x4e, 1, 0x60, 0, 0), first + "garbage-collected types (a group of recursive types)" + noGC},
		"descriptor":           {typ(0x4d, 0, 0x5f, 0), first + "garbage-collected types (a type with a descriptor)" + noGC},
		"i31ref":               {value(0x6c), "type section, byte 14: uses garbage-collected types (the type i31ref)" + noGC},
		"arrayref":             {value(0x6a), "type section, byte 14: uses garbage-collected types (the type arrayref)" + noGC},
		"nullfuncref":          {value(0x73), "type section, byte 14: uses garbage-collected types (the type nullfuncref)" + noGC},
		"a table of anyref":    {table(0x6e, 0, 1), tables + "12: uses garbage-collected types (the type anyref)" + noGC},
		"ref.null any":         {code(0xd0, 0x6e, 0x1a), "function 0 (exported as \"f\"), byte 32: uses garbage-collected types (the type anyref)" + noGC},
		"struct.new":           {code(0xfb, 0, 0), "function 0 (exported as \"f\"), byte 31: uses garbage-collected types (struct.new)" + noGC},
		"ref.cast null":        {code(0xfb, 23, 0x6c), "function 0 (exported as \"f\"), byte 31: uses garbage-collected types (ref.cast null)" + noGC},
		"i31.get_u":            {code(0xfb, 30), "function 0 (exported as \"f\"), byte 31: uses garbage-collected types (i31.get_u)" + noGC},
		"0xfb 31":              {code(0xfb, 31), "function 0 (exported as \"f\"), byte 31: uses garbage-collected types (the instruction 0xfb 31)" + noGC},
		"ref.i31 as constant":  {global(konst(0), 0xfb, 28), "global section, byte 16: uses garbage-collected types (ref.i31)" + noGC},
		"string.const":         {code(0xfb, 0x82, 1, 0), "function 0 (exported as \"f\"), byte 31: uses string references (an instruction on strings)" + noStrings},
		"stringref":            {value(0x67), "type section, byte 14: uses string references (the type stringref)" + noStrings},
		"atomic.fence":         {code(0xfe, 3, 0), at + "threads (an atomic instruction)" + noThreads},
		"a shared memory":      {memory(3), "memory section, byte 12: uses threads (a memory that is shared)" + noThreads},
		"a shared table":       {table(funcref, 3, 1, 2), tables + "13: uses threads (a table that is shared)" + noThreads},
		"a shared type":        {typ(0x65, 0x60, 0, 0), first + "threads (a shared type)" + noThreads},
		"a 64-bit memory":      {memory(4), "memory section, byte 12: uses 64-bit memory (a memory of 64-bit addresses)" + noMemory64},
		"and shared":           {memory(7), "memory section, byte 12: uses 64-bit memory (a memory of 64-bit addresses)" + noMemory64},
		"a 64-bit table":       {table(funcref, 5, 1, 2), tables + "13: uses 64-bit memory (a table of 64-bit addresses)" + noMemory64},
		"a page size":          {memory(8), "memory section, byte 12: uses custom page sizes (a memory with a page size of its own)" + noPageSizes},
		"memories":             {func(m *binary) { m.memories = [][]byte{{0, 1}, {0, 1}, {0, 1}} }, "memory section, byte 11: uses several memories (3 memories)" + noMultiMemory},
		"i32.add":              {global(konst(1), konst(1), 0x6a), "global section, byte 18: uses extended constants (i32.add)" + noExtendedConst},
		"i32.mul":              {global(konst(1), konst(1), 0x6c), "global section, byte 18: uses extended constants (i32.mul)" + noExtendedConst},
		"i64.sub":              {global(konst64(1), konst64(1), 0x7d), "global section, byte 18: uses extended constants (i64.sub)" + noExtendedConst},
		"a global of its own": {func(m *binary) {
			m.globals = [][]byte{cat(i32, 0, konst(0), 0x0b), cat(i32, 0, 0x23, 0, 0x0b)}
		}, "global section, byte 20: uses extended constants (global.get of a global that is not imported)" + noExtendedConst},
		"relaxed dot":    {code(0xfd, 0x93, 2), "function 0 (exported as \"f\"), byte 33: uses relaxed SIMD (i32x4.relaxed_dot_i8x16_i7x16_add_s)" + noRelaxedSIMD},
		"i64.add128":     {code(0xfc, 19), "function 0 (exported as \"f\"), byte 32: uses wide arithmetic (i64.add128)" + noWide},
		"i64.mul_wide_u": {code(0xfc, 22), "function 0 (exported as \"f\"), byte 32: uses wide arithmetic (i64.mul_wide_u)" + noWide},
		"memory.discard": {code(0xfc, 18, 0), "function 0 (exported as \"f\"), byte 32: uses memory control (memory.discard)" + noControl},
		"f32.load_f16":   {code(0xfc, 0x30, 0, 0), "function 0 (exported as \"f\"), byte 32: uses half-precision floats (f32.load_f16)" + noHalf},
		"f16x8.splat":    {code(0xfd, 0xa0, 2), "function 0 (exported as \"f\"), byte 33: uses half-precision floats (the instruction 0xfd 0x120)" + noHalf},
		"resume":         {code(0xe3, 0, 0), at + "stack switching (resume)" + noSwitching},
		"a continuation": {typ(0x5d, 0), first + "stack switching (a continuation type)" + noSwitching},
	} {
		m := new(binary)
		c.build(m)
		if _, err := meter.Rewrite(m.encode(), meter.Limits{}, metered); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want\n%s", name, err, c.want)
		}
	}
	// What belongs to no part is told by its number.
	for want, build := range map[string]func(*binary){
		"function 0 (exported as \"f\"), byte 30: there is no instruction 0x27":        code(0x27),
		"function 0 (exported as \"f\"), byte 32: there is no instruction 0xfc 64":     code(0xfc, 64),
		"function 0 (exported as \"f\"), byte 33: there is no such vector instruction": code(0xfd, 0x80, 3),
		"type section, byte 12: a type of the unknown form 0x12":                       typ(0x12),
		"type section, byte 14: the unknown type 0x20":                                 value(0x20),
		"memory section, byte 12: a memory with the unknown limits 0x20":               memory(0x20),
		"global section, byte 16: a constant expression with the instruction 0x6d":     global(konst(1), 0x6d),
	} {
		m := new(binary)
		build(m)
		if _, err := meter.Rewrite(m.encode(), meter.Limits{}, metered); err == nil || err.Error() != want {
			t.Errorf("%v, want\n%s", err, want)
		}
	}
	foreign := append([]byte("\x00asm\x01\x00\x00\x00"), section(14, cat(0, 0))...)
	if _, err := meter.Rewrite(foreign, meter.Limits{}, metered); err == nil || err.Error() != "binary, byte 12: uses string references (a strings section)"+noStrings {
		t.Error(err)
	}
}

// TestFunctionNames has names that would do harm on a terminal, and long ones.
func TestFunctionNames(t *testing.T) {
	for name, want := range map[string]string{
		"a\x1b[2J\n\"":                `function 0 "a\x1b[2J\n\"", byte 23: there is no instruction 0x27`,
		"\u202ex":                     `function 0 "\u202ex", byte 23: there is no instruction 0x27`,
		strings.Repeat("é", 100):      `function 0 "` + strings.Repeat("é", 40) + `"…, byte 23: there is no instruction 0x27`,
		strings.Repeat("x", 79) + "é": `function 0 "` + strings.Repeat("x", 79) + `"…, byte 23: there is no instruction 0x27`,
	} {
		m := new(binary)
		m.fn(nil, nil, nil, 0x27)
		m.names = section(1, vec(cat(0, str(name))))
		if _, err := meter.Rewrite(m.encode(), meter.Limits{}, metered); err == nil || err.Error() != want {
			t.Errorf("%v, want\n%s", err, want)
		}
	}
}
