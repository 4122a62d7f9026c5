#!/usr/bin/env bash
# Version: github.com/wapc/wapc-go v0.7.0, engine wazero, Go 1.25 or newer.
#
# A guest of waPC tells an error by __guest_error. wapc-go takes the error for the text, and an
# empty text for none. A guest that reports an error without a text, and returns 1 as one does that has
# handled its call, has succeeded: Invoke returns no error.
#
# The guest reports its payload as the error.
#
# Output seen: see want below.
#
# The guest:
# (module
#   (import "wapc" "__guest_request" (func $request (param i32 i32)))
#   (import "wapc" "__guest_error" (func $error (param i32 i32)))
#   (memory (export "memory") 1)
#   (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
#     (call $request (i32.const 0) (i32.const 64))
#     (call $error (i32.const 64) (local.get $payload))
#     (i32.const 1)))
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.25

require github.com/wapc/wapc-go v0.7.0
MOD
base64 -d >guest.wasm <<'WASM'
AGFzbQEAAAABDAJgAn9/AGACf38BfwItAgR3YXBjD19fZ3Vlc3RfcmVxdWVzdAAABHdhcGMNX19ndWVzdF9lcnJvcgAAAwIBAQUDAQAB
BxkCBm1lbW9yeQIADF9fZ3Vlc3RfY2FsbAACChQBEgBBAEHAABAAQcAAIAEQAUEBCw==
WASM
cat >main.go <<'GO'
package main

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/wapc/wapc-go"
	"github.com/wapc/wapc-go/engines/wazero"
)

//go:embed guest.wasm
var wasm []byte

func main() {
	ctx := context.Background()
	module, err := wazero.Engine().New(ctx, nil, wasm, &wapc.ModuleConfig{})
	if err != nil {
		panic(err)
	}
	defer module.Close(ctx)
	instance, err := module.Instantiate(ctx)
	if err != nil {
		panic(err)
	}
	for _, text := range []string{"no such account", ""} {
		answer, err := instance.Invoke(ctx, "fail", []byte(text))
		fmt.Printf("guest reports the error %q: answer %q, error %v\n", text, answer, err)
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='guest reports the error "no such account": answer "", error no such account
guest reports the error "": answer "", error <nil>'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
