#!/usr/bin/env bash
# Version: github.com/extism/go-sdk v1.7.1, Go 1.25 or newer.
#
# A guest that ends by WASI's proc_exit(0), as a program of a language whose main returns may do, has
# succeeded: Call returns its output and no error. But the instance is closed by then, which nothing tells.
# The caller learns it from the next call, which fails whatever it is.
#
# The guest gives one letter, and returns or exits.
#
# Output seen: see want below.
#
# The guest:
# (module
#   (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
#   (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
#   (import "extism:host/env" "output_set" (func $output (param i64 i64)))
#   (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
#   (memory (export "memory") 1)
#   (func $text (param $c i32) (result i64) (local $p i64)
#     (local.set $p (call $alloc (i64.const 1)))
#     (call $store (local.get $p) (local.get $c))
#     (local.get $p))
#   (func (export "returns") (result i32)
#     (call $output (call $text (i32.const 0x79)) (i64.const 1)) (i32.const 0))
#   (func (export "exits") (result i32)
#     (call $output (call $text (i32.const 0x79)) (i64.const 1))
#     (call $exit (i32.const 0)) (i32.const 0)))
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
AGFzbQEAAAABHQZgAX4BfmACfn8AYAJ+fgBgAX8AYAF/AX5gAAF/AnQED2V4dGlzbTpob3N0L2VudgVhbGxvYwAAD2V4dGlzbTpob3N0
L2VudghzdG9yZV91OAABD2V4dGlzbTpob3N0L2VudgpvdXRwdXRfc2V0AAIWd2FzaV9zbmFwc2hvdF9wcmV2aWV3MQlwcm9jX2V4aXQA
AwMEAwQFBQUDAQABBxwDBm1lbW9yeQIAB3JldHVybnMABQVleGl0cwAGCjQDEgEBfkIBEAAhASABIAAQASABCw0AQfkAEARCARACQQAL
EQBB+QAQBEIBEAJBABADQQAL
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
	plugin := load(extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: wasm}}})
	defer plugin.Close(context.Background())
	for _, name := range []string{"returns", "exits", "returns"} {
		code, output, err := plugin.Call(name, nil)
		fmt.Printf("%s: code %d, output %q, error %v\n", name, code, output, err)
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='returns: code 0, output "y", error <nil>
exits: code 0, output "y", error <nil>
returns: code 0, output "", error module is closed'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
