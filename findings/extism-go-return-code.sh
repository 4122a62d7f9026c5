#!/usr/bin/env bash
# Version: github.com/extism/go-sdk v1.7.1, Go 1.25 or newer.
#
# An exported function of an Extism plugin returns 0, or another number if it has failed. The Go SDK makes
# no error of that number: a function that returns 1 without error_set gives its output and a nil error.
# Who looks at the error alone takes it for success. The other way round, an error that was set is an error
# beside a code of 0.
#
# The guest gives one letter, and fails in both ways.
#
# Output seen: see want below.
#
# The guest:
# (module
#   (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
#   (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
#   (import "extism:host/env" "output_set" (func $output (param i64 i64)))
#   (import "extism:host/env" "error_set" (func $error (param i64)))
#   (memory (export "memory") 1)
#   (func $text (param $c i32) (result i64) (local $p i64)
#     (local.set $p (call $alloc (i64.const 1)))
#     (call $store (local.get $p) (local.get $c))
#     (local.get $p))
#   (func (export "returns_1") (result i32)
#     (call $output (call $text (i32.const 0x79)) (i64.const 1)) (i32.const 1))
#   (func (export "sets_error_returns_0") (result i32)
#     (call $output (call $text (i32.const 0x79)) (i64.const 1))
#     (call $error (call $text (i32.const 0x65))) (i32.const 0)))
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
AGFzbQEAAAABHQZgAX4BfmACfn8AYAJ+fgBgAX4AYAF/AX5gAAF/Am0ED2V4dGlzbTpob3N0L2VudgVhbGxvYwAAD2V4dGlzbTpob3N0
L2VudghzdG9yZV91OAABD2V4dGlzbTpob3N0L2VudgpvdXRwdXRfc2V0AAIPZXh0aXNtOmhvc3QvZW52CWVycm9yX3NldAADAwQDBAUF
BQMBAAEHLQMGbWVtb3J5AgAJcmV0dXJuc18xAAUUc2V0c19lcnJvcl9yZXR1cm5zXzAABgo3AxIBAX5CARAAIQEgASAAEAEgAQsNAEH5
ABAEQgEQAkEBCxQAQfkAEARCARACQeUAEAQQA0EACw==
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
	for _, name := range []string{"returns_1", "sets_error_returns_0"} {
		code, output, err := plugin.Call(name, nil)
		fmt.Printf("%s: code %d, output %q, error %v\n", name, code, output, err)
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='returns_1: code 1, output "y", error <nil>
sets_error_returns_0: code 0, output "y", error e'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
