#!/usr/bin/env bash
# Version: github.com/wapc/wapc-go v0.7.0, engine wazero, Go 1.25 or newer.
#
# What Instance.Invoke returns is no copy. It is a view of the guest's memory, so the next call of
# the instance changes it. An instance that came from the package's Pool and went back there
# changes under its former borrower. Nothing in the documentation of Invoke says so.
#
# The guest answers with its payload, and keeps each payload at one address.
#
# Output seen: see want below.
#
# The guest:
# (module
#   (import "wapc" "__guest_request" (func $request (param i32 i32)))
#   (import "wapc" "__guest_response" (func $response (param i32 i32)))
#   (memory (export "memory") 1)
#   (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
#     (call $request (i32.const 0) (i32.const 64))
#     (call $response (i32.const 64) (local.get $payload))
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
AGFzbQEAAAABDAJgAn9/AGACf38BfwIwAgR3YXBjD19fZ3Vlc3RfcmVxdWVzdAAABHdhcGMQX19ndWVzdF9yZXNwb25zZQAAAwIBAQUD
AQABBxkCBm1lbW9yeQIADF9fZ3Vlc3RfY2FsbAACChQBEgBBAEHAABAAQcAAIAEQAUEBCw==
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
	first, err := instance.Invoke(ctx, "echo", []byte("first"))
	fmt.Printf("answer to the first call: %q, error %v\n", first, err)
	_, err = instance.Invoke(ctx, "echo", []byte("later"))
	fmt.Printf("the same slice after the second call: %q, error %v\n", first, err)
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='answer to the first call: "first", error <nil>
the same slice after the second call: "later", error <nil>'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
