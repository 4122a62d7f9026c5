#!/usr/bin/env bash
# Version: github.com/tetratelabs/wazero v1.12.0, Go 1.25 or newer.
#
# An active element segment that does not fit its table should make instantiation trap
# (WebAssembly 2.0, 4.5.4 "Instantiation"). wazero instantiates the module without an
# error, in the compiler and in the interpreter. It leaves that segment out, and also all
# segments after it, even those that fit. Calls through the missing entries trap later.
#
# Output seen: see want below. The third and the sixth line are the surprise: the segment at
# 0 fits, and is left out since the one at 2 before it does not fit.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.25

require github.com/tetratelabs/wazero v1.12.0
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
)

// A module with one table, active element segments at the given offsets of one function each,
// and an export "get"(i32) -> i32 that calls the table's entry.
func module(offsets ...byte) []byte {
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content ...byte) {
		wasm = append(append(wasm, id, byte(len(content))), content...)
	}
	section(1, 2, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f) // () -> i32, (i32) -> i32
	section(3, 2, 0, 1)
	section(4, 1, 0x70, 0, 3)             // 3 entries
	section(7, 1, 3, 'g', 'e', 't', 0, 1) // export
	elems := []byte{byte(len(offsets))}
	for _, o := range offsets {
		elems = append(elems, 0, 0x41, o, 0x0b, 2, 0, 0) // two entries from o on
	}
	section(9, elems...)
	section(10, 2, 4, 0, 0x41, 7, 0x0b, 7, 0, 0x20, 0, 0x11, 0, 0, 0x0b)
	return wasm
}

func main() {
	ctx := context.Background()
	for _, engine := range []struct {
		name   string
		config wazero.RuntimeConfig
	}{{"compiler", wazero.NewRuntimeConfigCompiler()}, {"interpreter", wazero.NewRuntimeConfigInterpreter()}} {
		r := wazero.NewRuntimeWithConfig(ctx, engine.config)
		for _, offsets := range [][]byte{{1}, {0, 1}, {2, 0}} {
			mod, err := r.InstantiateWithConfig(ctx, module(offsets...), wazero.NewModuleConfig().WithName(""))
			if err != nil {
				fmt.Printf("%s, segments of 2 at %v in a table of 3: instantiate: %v\n", engine.name, offsets, err)
				continue
			}
			fmt.Printf("%s, segments of 2 at %v in a table of 3: instantiated;", engine.name, offsets)
			for i := range uint64(3) {
				v, err := mod.ExportedFunction("get").Call(ctx, i)
				if err != nil {
					fmt.Printf(" entry %d null", i)
				} else {
					fmt.Printf(" entry %d is %d", i, v[0])
				}
			}
			fmt.Println()
		}
		r.Close(ctx)
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='compiler, segments of 2 at [1] in a table of 3: instantiated; entry 0 null entry 1 is 7 entry 2 is 7
compiler, segments of 2 at [0 1] in a table of 3: instantiated; entry 0 is 7 entry 1 is 7 entry 2 is 7
compiler, segments of 2 at [2 0] in a table of 3: instantiated; entry 0 null entry 1 null entry 2 null
interpreter, segments of 2 at [1] in a table of 3: instantiated; entry 0 null entry 1 is 7 entry 2 is 7
interpreter, segments of 2 at [0 1] in a table of 3: instantiated; entry 0 is 7 entry 1 is 7 entry 2 is 7
interpreter, segments of 2 at [2 0] in a table of 3: instantiated; entry 0 null entry 1 null entry 2 null'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
