#!/usr/bin/env bash
# Version: github.com/tetratelabs/wazero v1.12.0, Go 1.25 or newer, linux/amd64.
#
# In wazero's compiler the native stack of a guest belongs to the api.Function object that is called.
# A call that nests deeply makes that stack grow by doubling, and it never shrinks: after one deep call the
# object holds tens of MiB for as long as it is kept, however shallow its later calls are.
# A pool that keeps instances with their function objects keeps all these stacks.
# Asking the same instance for the export again gives an object with a small stack.
#
# Output seen: see want below.
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
	"runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// deep is a module whose export "f"(i32) -> i32 calls itself as often as its argument says.
var deep = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x06\x01\x60\x01\x7f\x01\x7f" + "\x03\x02\x01\x00" + "\x07\x05\x01\x01f\x00\x00" +
	"\x0a\x17\x01\x15\x00\x20\x00\x45\x04\x7f\x41\x00\x05\x20\x00\x41\x01\x6b\x10\x00\x41\x01\x6a\x0b\x0b")

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc >> 20)
}

func main() {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	mod, err := r.Instantiate(ctx, deep)
	if err != nil {
		panic(err)
	}
	f := mod.ExportedFunction("f")
	show := func(what string, f api.Function) {
		fmt.Printf("%s: %d MiB\n", what, heap())
		runtime.KeepAlive(f)
	}
	call := func(n uint64) {
		v, err := f.Call(ctx, n)
		if err != nil {
			panic(err)
		}
		fmt.Println("result", v[0])
	}
	call(1)
	show("after a call that nests once", f)
	call(1_500_000)
	show("after a call that nests 1,500,000 times", f)
	for range 1000 {
		if _, err := f.Call(ctx, 1); err != nil {
			panic(err)
		}
	}
	show("after 1,000 more calls that nest once", f)
	f = mod.ExportedFunction("f")
	call(1)
	show("with a new function object of the same instance", f)
	r.Close(ctx)
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='result 1
after a call that nests once: 0 MiB
result 1500000
after a call that nests 1,500,000 times: 60 MiB
after 1,000 more calls that nest once: 60 MiB
result 1
with a new function object of the same instance: 0 MiB'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
