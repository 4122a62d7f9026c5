package module_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/module"
)

// foreign is a binary that imports functions, "module name" each, and exports one function by
// names. An import that ends in " 4" takes four numbers. Other imports stand as bytes behind.
func foreign(imports, exports []string, others ...[]byte) []byte {
	uleb := func(n int) (b []byte) {
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		return append(b, byte(n))
	}
	str := func(s string) []byte { return append(uleb(len(s)), s...) }
	section := func(id byte, n int, content []byte) []byte {
		content = append(uleb(n), content...)
		return append(append([]byte{id}, uleb(len(content))...), content...)
	}
	var in, out []byte
	for _, i := range imports {
		typ := byte(0)
		if cut, ok := strings.CutSuffix(i, " 4"); ok {
			i, typ = cut, 1
		}
		mod, name, _ := strings.Cut(i, " ")
		in = append(append(append(in, str(mod)...), str(name)...), 0, typ)
	}
	for _, o := range others {
		in = append(in, o...)
	}
	for _, name := range exports {
		out = append(append(append(out, str(name)...), 0), uleb(len(imports))...)
	}
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	wasm = append(wasm, section(1, 2, []byte{0x60, 0, 0, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 0})...)
	wasm = append(wasm, section(2, len(imports)+len(others), in)...)
	wasm = append(wasm, section(3, 1, []byte{0})...)
	wasm = append(wasm, section(5, 1, []byte{0, 1})...)
	wasm = append(wasm, section(7, len(exports)+1, append(out, "\x06memory\x02\x00"...))...)
	return append(wasm, section(10, 1, []byte{2, 0, 0x0b})...)
}

const noContract = "exports no function of the plugin contract: resonhost_abi() → i32, resonhost_describe() → i64, resonhost_alloc(i32) → i32 and resonhost_run(i32, i32, i32) → i64"

// TestLinks has all that a module lacks told at once, before any of it is compiled, and what it
// seems to be.
func TestLinks(t *testing.T) {
	const another = ": its contract is another; resonhost new begins a plugin of this host's"
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("env emscripten_%02d", i)
	}
	modules := make([]string, 20)
	for i := range modules {
		modules[i] = fmt.Sprintf("m%02d f", i)
	}
	wasiWrong := make([]string, 10)
	for i := range wasiWrong {
		wasiWrong[i] = "wasi_snapshot_preview1 sched_yield"
	}
	long := strings.Repeat("x", 200)
	for want, wasm := range map[string][]byte{
		"seems to be a module that Emscripten made for JavaScript: compile with clang --target=wasm32-wasi -mexec-model=reactor, as resonhost new --lang c has it\n" +
			"imports 40 functions of env, which the host does not grant: emscripten_00, emscripten_01, emscripten_02 and 37 more\n" + noContract: foreign(many, nil),
		"seems to be a module that Emscripten made for JavaScript: compile with clang --target=wasm32-wasi -mexec-model=reactor, as resonhost new --lang c has it\n" +
			"imports 2 functions of a, which the host does not grant: a and b\n" + noContract: foreign([]string{"a a", "a b"}, []string{"c"}),
		"seems to be a module that wasm-bindgen made for JavaScript: build without wasm-bindgen, as resonhost new --lang rust has it\n" +
			"imports __wbindgen_placeholder__.__wbindgen_throw, which the host does not grant\n" + noContract: foreign([]string{"__wbindgen_placeholder__ __wbindgen_throw"}, nil),
		"seems to be a plugin of Extism from before its version 1: build it with a plug-in development kit of version 1\n" +
			"imports 2 functions of env, which the host does not grant: extism_input_length and extism_output_set\n" + noContract: foreign([]string{"env extism_input_length", "env extism_output_set"}, nil),
		"seems to be a filter of Proxy-Wasm" + another + "\n" +
			"imports env.proxy_log, which the host does not grant\n" + noContract: foreign([]string{"env proxy_log"}, []string{"proxy_abi_version_0_2_1"}),
		"seems to be a guest of http-wasm" + another + "\n" +
			"imports http_handler.log, which the host does not grant\n" + noContract: foreign([]string{"http_handler log"}, nil),
		"seems to be a plugin of dprint with another schema than 3 and 4: get a newer release of the plugin\n" +
			"imports dprint.host_write_buffer, which the host does not grant\n" + noContract: foreign([]string{"dprint host_write_buffer"}, []string{"dprint_plugin_version_5"}),
		"seems to be a program of .NET's for the browser: write the plugin in another language: .NET's runtime needs its JavaScript\n" +
			"imports env.mono_wasm_bind_js_function, which the host does not grant\n" + noContract: foreign([]string{"env mono_wasm_bind_js_function"}, nil),
		"seems to be a program that TinyGo made for JavaScript: build it with tinygo build -target=wasip1 -buildmode=c-shared, as resonhost new --lang tinygo has it\n" +
			"imports gojs.runtime.ticks, which the host does not grant\n" + noContract: foreign([]string{"gojs runtime.ticks"}, []string{"go_scheduler"}),
		"seems to be a program that Go made for JavaScript: build it with GOOS=wasip1 GOARCH=wasm and -buildmode=c-shared\n" +
			"imports 2 functions of gojs, which the host does not grant: runtime.wasmExit and syscall/js.valueGet\n" + noContract: foreign([]string{"gojs runtime.wasmExit", "gojs syscall/js.valueGet"}, []string{"run"}),
		"seems to be the core module of a component: components are not run; build for WASI 0.1, such as Rust's target wasm32-wasip1 and not wasm32-wasip2\n" +
			"imports wasi:cli/environment@0.2.0.get-environment, which the host does not grant\n" + noContract: foreign([]string{"wasi:cli/environment@0.2.0 get-environment"}, []string{"cabi_realloc"}),
		"seems to be a program of WASIX: build for WASI 0.1, such as Rust's target wasm32-wasip1\n" +
			"imports wasix_32v1.proc_fork, which the host does not grant\n" + noContract: foreign([]string{"wasix_32v1 proc_fork"}, nil),
		"seems to be a program with threads of WASI: build for one thread: without -pthread, and for Rust's target wasm32-wasip1 and not wasm32-wasip1-threads\n" +
			"imports wasi.thread-spawn, which the host does not grant\n" + noContract: foreign([]string{"wasi thread-spawn"}, nil),
		"seems to be a program for WASI's first snapshot, wasi_unstable: build with a newer toolchain\n" +
			"imports wasi_unstable.fd_write, which the host does not grant\n" + noContract: foreign([]string{"wasi_unstable fd_write"}, nil),
		"seems to be a Swift program for JavaScript: write the plugin in another language\n" +
			"imports javascript_kit.swjs_call_function, which the host does not grant\n" + noContract: foreign([]string{"javascript_kit swjs_call_function"}, nil),
		"seems to be a position-independent module, to be linked at run time: link it statically: without -shared, -fPIC and Emscripten's SIDE_MODULE\n" +
			"imports env.f, which the host does not grant\n" +
			"imports 2 globals of env, which the host does not grant: __memory_base and __table_base\n" +
			"imports the memory env.memory, which the host does not grant\n" +
			"imports the table env.__indirect_function_table, which the host does not grant\n" + noContract: foreign([]string{"env f"}, nil,
			[]byte("\x03env\x0d__memory_base\x03\x7f\x00"), []byte("\x03env\x0c__table_base\x03\x7f\x00"),
			[]byte("\x03env\x06memory\x02\x00\x01"), []byte("\x03env\x19__indirect_function_table\x01\x70\x00\x01")),
		"seems to be a module that AssemblyScript made for JavaScript: compile it with asc --use abort=, as resonhost new --lang assemblyscript has it\n" +
			"imports env.abort, which the host does not grant\n" + noContract: foreign([]string{"env abort 4"}, []string{"add"}),
		"imports mappings.callback, which the host does not grant\n" + noContract:               foreign([]string{"mappings callback"}, nil),
		"imports wasi_snapshot_preview1.sock_open, which the host does not have\n" + noContract: foreign([]string{"wasi_snapshot_preview1 sock_open"}, nil),
		"imports resonhost.log() → (), the host has log(i32, i32, i32) → ()\n" + noContract:     foreign([]string{"resonhost log"}, nil),
		"imports the tag m.t, which the host does not grant\n" + noContract:                     foreign(nil, nil, []byte("\x01m\x01t\x04\x00\x00")),
		// Names are cut and quoted, and their number is bounded.
		`imports 2 functions of "m\x1b[2J", which the host does not grant: "` + long[:80] + `"… and "é\n"` + "\n" + noContract:                                           foreign([]string{"m\x1b[2J " + long, "m\x1b[2J é\n"}, nil),
		strings.Repeat("imports m%02d.f, which the host does not grant\n", 8) + "imports of 12 more modules, which the host does not grant\n" + noContract:               foreign(modules, nil),
		strings.Repeat("imports wasi_snapshot_preview1.sched_yield() → (), the host has sched_yield() → i32\n", 8) + "has 2 more imports of another type\n" + noContract: foreign(wasiWrong, nil),
	} {
		if strings.Contains(want, "%02d") {
			want = fmt.Sprintf(want, 0, 1, 2, 3, 4, 5, 6, 7)
		}
		if strings.HasSuffix(want, noContract) && !strings.HasPrefix(want, "seems to be ") { // which says what it is
			want += "\nis of no kind of plugin: a native plugin exports resonhost_abi; a plugin of Extism's imports extism:host/env; " +
				"a plugin of dprint exports dprint_plugin_version_4 or get_plugin_schema_version; a guest of waPC exports __guest_call; a command exports _start and imports WASI alone"
		}
		_, err := module.Load(t.Context(), wasm, options())
		if step := (*module.StepError)(nil); !errors.As(err, &step) || step.Step != module.StepLink || err.Error() != want {
			t.Errorf("%v, want\n%s\n", err, want)
		}
	}
	_, err := module.Load(t.Context(), foreign(nil, []string{"resonhost_run"}), options())
	if want := "exports resonhost_run() → (), want resonhost_run(i32, i32, i32) → i64\n" +
		"does not export the functions resonhost_abi() → i32, resonhost_describe() → i64 and resonhost_alloc(i32) → i32"; err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
	_, err = module.Load(t.Context(), foreign([]string{"wasi_snapshot_preview1 sched_yield"}, []string{"_start", "resonhost_abi"}), options())
	if want := "exports _start and no _initialize: it was built as a command and has to be a reactor, " +
		"for which Go has -buildmode=c-shared, clang -mexec-model=reactor and Rust the crate type cdylib"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want\n%s", err, want)
	}
}

// TestCompanion has a file say what a native plugin says by itself, and has no use for.
func TestCompanion(t *testing.T) {
	opts := options()
	opts.Name, opts.Companion = "room", []byte("kind: native\nname: room\nconfig: {a: b}")
	_, err := module.Load(t.Context(), read(t, "room"), opts)
	if want := "room.plugin.yaml:2: name: a native plugin says that of itself, in its manifest\n" +
		"room.plugin.yaml:3: config: a native plugin has no way to ask for that"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	opts.Companion = []byte("self_tests: [{name: n, transform: rom, input: ''}]")
	_, err = module.Load(t.Context(), read(t, "room"), opts)
	if want := `room.plugin.yaml:1: self_tests[0]: there is no transform "rom"; did you mean "room"?`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestManyLinks has more imports than there may be. What they are is told all the same.
func TestManyLinks(t *testing.T) {
	imports := make([]string, 200_000)
	for i := range imports {
		imports[i] = fmt.Sprintf("env emscripten_%d", i)
	}
	wasm := foreign(imports, nil)
	began := time.Now()
	_, err := module.Load(t.Context(), wasm, options())
	t.Logf("%d bytes took %v", len(wasm), time.Since(began))
	const want = "seems to be a module that Emscripten made for JavaScript: compile with clang --target=wasm32-wasi -mexec-model=reactor, as resonhost new --lang c has it\n" +
		"imports 10000 functions of env, which the host does not grant: emscripten_0, emscripten_1, emscripten_2 and 9997 more\n" +
		"has 190000 more imports\n" +
		noContract + "\n" +
		"has 200000 imports, the limit is 1000: raise --max-imports (PluginConfig.MaxImports)"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
}
