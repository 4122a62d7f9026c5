package module

import (
	"errors"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// maker is what makes modules for another host than this, and how to build a plugin instead.
type maker struct {
	name, cure string
	made       func(*meter.Links) bool
}

const (
	another = "its contract is another; resonhost new begins a plugin of this host's"
	newC    = "compile with clang --target=wasm32-wasi -mexec-model=reactor, as resonhost new --lang c has it"
)

// makers are known by the names of what their modules import and export. The more particular
// ones come first: Emscripten's names are in the modules of others, too.
var makers = []maker{
	{"a module that wasm-bindgen made for JavaScript", "build without wasm-bindgen, as resonhost new --lang rust has it", func(l *meter.Links) bool {
		return imports(l, func(module, name string) bool {
			return module == "wbg" || strings.HasPrefix(module, "__wbindgen_") || strings.HasSuffix(module, "_bg.js") || strings.HasPrefix(name, "__wbindgen_")
		})
	}},
	{"a plugin of Extism from before its version 1", "build it with a plug-in development kit of version 1", func(l *meter.Links) bool {
		return named(l, "env", "extism_")
	}},
	{"a filter of Proxy-Wasm", another, func(l *meter.Links) bool {
		return exports(l, "proxy_abi_version_") || named(l, "env", "proxy_")
	}},
	{"a guest of http-wasm", another, from("http_handler")},
	{"a plugin of dprint with another schema than 3 and 4", "get a newer release of the plugin", func(l *meter.Links) bool {
		return (from("dprint")(l) || exports(l, "dprint_plugin_version_")) && !exports(l, "dprint_plugin_version_4") && !exports(l, "get_plugin_schema_version")
	}},
	{"an actor of wasmCloud's", "its protocol is waPC's, from a module of another name: build it with a kit of waPC's", from("wasmbus")},
	{"a policy of Open Policy Agent's", another, func(l *meter.Links) bool { return named(l, "env", "opa_") }},
	{"a module of Javy's, to be linked to another at run time", "build the function with javy build, and without -C dynamic", func(l *meter.Links) bool {
		return exports(l, "eval_bytecode") || exports(l, "compile_src") || exports(l, "compile-src") ||
			imports(l, func(module, _ string) bool { return strings.Contains(module, "javy") })
	}},
	{"a program of .NET's for the browser", "write the plugin in another language: .NET's runtime needs its JavaScript", func(l *meter.Links) bool {
		return exports(l, "mono_wasm_") || named(l, "env", "mono_wasm_") || named(l, "env", "mono_interp_")
	}},
	{"a program that TinyGo made for JavaScript", "build it with tinygo build -target=wasip1 -buildmode=c-shared, as resonhost new --lang tinygo has it", func(l *meter.Links) bool {
		return named(l, "gojs", "runtime.ticks") || named(l, "env", "runtime.ticks") || named(l, "env", "syscall/js.")
	}},
	{"a program that Go made for JavaScript", "build it with GOOS=wasip1 GOARCH=wasm and -buildmode=c-shared", func(l *meter.Links) bool {
		return named(l, "gojs", "") || named(l, "go", "runtime.")
	}},
	{"the core module of a component", "components are not run; build for WASI 0.1, such as Rust's target wasm32-wasip1 and not wasm32-wasip2", func(l *meter.Links) bool {
		return exports(l, "cabi_realloc") || exports(l, "canonical_abi_") || imports(l, func(module, _ string) bool {
			return strings.HasPrefix(module, "wasi:") || strings.HasPrefix(module, "[export]") || strings.HasPrefix(module, "cm32p2") ||
				module == "canonical_abi" || strings.HasSuffix(module, "-abi-host")
		})
	}},
	{"a program of WASIX", "build for WASI 0.1, such as Rust's target wasm32-wasip1", func(l *meter.Links) bool {
		return imports(l, func(module, _ string) bool { return strings.HasPrefix(module, "wasix_") })
	}},
	{"a program with threads of WASI", "build for one thread: without -pthread, and for Rust's target wasm32-wasip1 and not wasm32-wasip1-threads", from("wasi")},
	{"a program for WASI's first snapshot, wasi_unstable", "build with a newer toolchain", from("wasi_unstable")},
	{"a Swift program for JavaScript", "write the plugin in another language", from("javascript_kit")},
	{"a position-independent module, to be linked at run time", "link it statically: without -shared, -fPIC and Emscripten's SIDE_MODULE", func(l *meter.Links) bool {
		return named(l, "env", "__memory_base") || named(l, "env", "__table_base") || from("GOT.mem")(l) || from("GOT.func")(l)
	}},
	{"a module that AssemblyScript made for JavaScript", "compile it with asc --use abort=, as resonhost new --lang assemblyscript has it", func(l *meter.Links) bool {
		return exports(l, "__pin") || exports(l, "__rtti_base") || slices.ContainsFunc(l.Imports, func(i meter.Link) bool {
			return i.Module == "env" && i.Name == "abort" && len(i.Params) == 4 && len(i.Results) == 0
		})
	}},
	{"a module that Emscripten made for JavaScript", newC, func(l *meter.Links) bool {
		return imports(l, func(module, name string) bool {
			return module == "asm2wasm" || module == "a" && len(name) <= 2 || module == "env" && (strings.HasPrefix(name, "emscripten_") || strings.HasPrefix(name, "_emscripten_") ||
				strings.HasPrefix(name, "_embind_") || strings.HasPrefix(name, "__syscall") || strings.HasPrefix(name, "___syscall") ||
				strings.HasPrefix(name, "invoke_") || strings.HasPrefix(name, "__cxa_") || name == "_abort_js" || name == "abortStackOverflow" || name == "__assert_fail")
		})
	}},
}

// from returns whether a module imports something of another.
func from(module string) func(*meter.Links) bool {
	return func(l *meter.Links) bool {
		return imports(l, func(m, _ string) bool { return m == module })
	}
}

// named returns whether a module imports something whose name begins so.
func named(l *meter.Links, module, prefix string) bool {
	return imports(l, func(m, name string) bool { return m == module && strings.HasPrefix(name, prefix) })
}

func imports(l *meter.Links, is func(module, name string) bool) bool {
	return slices.ContainsFunc(l.Imports, func(i meter.Link) bool { return is(i.Module, i.Name) })
}

// exports returns whether a module exports something whose name begins so.
func exports(l *meter.Links, prefix string) bool {
	return slices.ContainsFunc(l.Exports, func(e meter.Link) bool { return strings.HasPrefix(e.Name, prefix) })
}

// origin says whose module a binary seems to be that is no plugin; nil if that is not known, or
// if a kind knows it and all that it imports from.
func origin(l *meter.Links, known bool) error {
	if known {
		return nil
	}
	for _, m := range makers {
		if m.made(l) {
			return errors.New("seems to be " + m.name + ": " + m.cure)
		}
	}
	return nil
}
