#!/usr/bin/env bash
# Version: github.com/extism/go-sdk v1.7.1, Go 1.25 or newer.
#
# An input that does not fit the memory that max_pages leaves is not refused. The SDK heeds neither
# that no block was allocated nor that nothing was written. The plugin runs with an empty input, and Call
# returns its output without an error.
#
# The guest says how long its input is, as one letter: 0 for nothing, + for something.
#
# Output seen: see want below.
#
# The guest:
# (module
#   (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
#   (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
#   (import "extism:host/env" "input_length" (func $length (result i64)))
#   (import "extism:host/env" "output_set" (func $output (param i64 i64)))
#   (memory (export "memory") 1)
#   (func $text (param $c i32) (result i64) (local $p i64)
#     (local.set $p (call $alloc (i64.const 1)))
#     (call $store (local.get $p) (local.get $c))
#     (local.get $p))
#   (func (export "length") (result i32)
#     (call $output
#       (call $text (select (i32.const 0x30) (i32.const 0x2b) (i64.eqz (call $length))))
#       (i64.const 1))
#     (i32.const 0)))
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.25

require github.com/extism/go-sdk v1.7.1
MOD
base64 -d >guest.wasm <<'WASM'
AGFzbQEAAAABHQZgAX4BfmACfn8AYAABfmACfn4AYAF/AX5gAAF/AnAED2V4dGlzbTpob3N0L2VudgVhbGxvYwAAD2V4dGlzbTpob3N0
L2VudghzdG9yZV91OAABD2V4dGlzbTpob3N0L2VudgxpbnB1dF9sZW5ndGgAAg9leHRpc206aG9zdC9lbnYKb3V0cHV0X3NldAADAwMC
BAUFAwEAAQcTAgZtZW1vcnkCAAZsZW5ndGgABQonAhIBAX5CARAAIQEgASAAEAEgAQsSAEEwQSsQAlAbEARCARADQQAL
WASM
cat >main.go <<'GO'
package main

import (
	"context"
	_ "embed"
	"fmt"

	extism "github.com/extism/go-sdk"
)

//go:embed guest.wasm
var wasm []byte

func load(manifest extism.Manifest) *extism.Plugin {
	plugin, err := extism.NewPlugin(context.Background(), manifest, extism.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		panic(err)
	}
	return plugin
}

func main() {
	for _, n := range []int{0, 1, 3 << 20, 4 << 20} {
		plugin := load(extism.Manifest{
			Wasm:   []extism.Wasm{extism.WasmData{Data: wasm}},
			Memory: &extism.ManifestMemory{MaxPages: 64, MaxHttpResponseBytes: -1, MaxVarBytes: -1}, // 4 MiB
		})
		code, output, err := plugin.Call("length", make([]byte, n))
		fmt.Printf("input of %d bytes: code %d, output %q, error %v\n", n, code, output, err)
		plugin.Close(context.Background())
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='input of 0 bytes: code 0, output "0", error <nil>
input of 1 bytes: code 0, output "+", error <nil>
input of 3145728 bytes: code 0, output "+", error <nil>
input of 4194304 bytes: code 0, output "0", error <nil>'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
