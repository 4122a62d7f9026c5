#!/usr/bin/env bash
# Version: github.com/extism/go-sdk v1.7.1, Go 1.25 or newer.
#
# A manifest's "memory" has three limits, each optional. In JSON a limit that is not there is its
# default, 1 MiB for variables and 50 MiB for HTTP responses. In a manifest that a Go program writes as
# a struct, ManifestMemory.MaxVarBytes and MaxHttpResponseBytes that are not set are 0 and mean that: who
# sets MaxPages alone has turned variables and HTTP bodies off. A Memory that is nil has the defaults.
#
# The guest sets a variable of one byte.
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
#     (call $set (call $text (i32.const 0x76)) (call $text (i32.const 0x31)))
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
CHN0b3JlX3U4AAEPZXh0aXNtOmhvc3QvZW52B3Zhcl9zZXQAAgMDAgMEBQMBAAEHEAIGbWVtb3J5AgADc2V0AAQKJAISAQF+QgEQACEB
IAEgABABIAELDwBB9gAQA0ExEAMQAkEACw==
WASM
cat >main.go <<'GO'
package main

import (
	"context"
	_ "embed"
	"encoding/json"
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
	data := []extism.Wasm{extism.WasmData{Data: wasm}}
	literal := extism.Manifest{Wasm: data, Memory: &extism.ManifestMemory{MaxPages: 64}}
	doc, err := json.Marshal(map[string]any{
		"wasm":   []any{map[string]any{"data": wasm}},
		"memory": map[string]any{"max_pages": 64},
	})
	if err != nil {
		panic(err)
	}
	var parsed extism.Manifest
	if err := json.Unmarshal(doc, &parsed); err != nil {
		panic(err)
	}
	for _, m := range []struct {
		name     string
		manifest extism.Manifest
	}{{"no Memory", extism.Manifest{Wasm: data}}, {"max_pages in JSON", parsed}, {"MaxPages in Go", literal}} {
		plugin := load(m.manifest)
		code, _, err := plugin.Call("set", nil)
		text, _, _ := strings.Cut(fmt.Sprint(err), " (recovered")
		fmt.Printf("%s: code %d, error %s\n", m.name, code, text)
		plugin.Close(context.Background())
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='no Memory: code 0, error <nil>
max_pages in JSON: code 0, error <nil>
MaxPages in Go: code 1, error Vars are disabled by this host'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
