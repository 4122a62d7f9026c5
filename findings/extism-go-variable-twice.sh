#!/usr/bin/env bash
# Version: github.com/extism/go-sdk v1.7.1, Go 1.25 or newer.
#
# max_var_bytes bounds what all variables have together. When a guest sets a variable that there is
# already, the SDK counts the value that goes and the value that comes. A variable of more than half the
# bound can be set once, and never again, though what there would be stays the same.
#
# The guest sets one variable to 600,000 bytes, of the default of 1,048,576.
#
# Output seen: see want below.
#
# The guest:
# (module
#   (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
#   (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
#   (import "extism:host/env" "var_set" (func $set (param i64 i64)))
#   (memory (export "memory") 1)
#   (func $text (param $c i32) (result i64) (local $p i64)
#     (local.set $p (call $alloc (i64.const 1)))
#     (call $store (local.get $p) (local.get $c))
#     (local.get $p))
#   (func (export "set") (result i32)
#     (call $set (call $text (i32.const 0x76)) (call $alloc (i64.const 600000)))
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
AGFzbQEAAAABGQVgAX4BfmACfn8AYAJ+fgBgAX8BfmAAAX8CTgMPZXh0aXNtOmhvc3QvZW52BWFsbG9jAAAPZXh0aXNtOmhvc3QvZW52
CHN0b3JlX3U4AAEPZXh0aXNtOmhvc3QvZW52B3Zhcl9zZXQAAgMDAgMEBQMBAAEHEAIGbWVtb3J5AgADc2V0AAQKJgISAQF+QgEQACEB
IAEgABABIAELEQBB9gAQA0LAzyQQABACQQAL
WASM
cat >main.go <<'GO'
package main

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

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
	for i := range 2 {
		code, _, err := plugin.Call("set", nil)
		text, _, _ := strings.Cut(fmt.Sprint(err), " (recovered")
		fmt.Printf("time %d: code %d, error %s\n", i+1, code, text)
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='time 1: code 0, error <nil>
time 2: code 1, error Variable store is full'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
