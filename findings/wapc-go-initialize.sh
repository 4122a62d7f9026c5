#!/usr/bin/env bash
# Version: github.com/wapc/wapc-go v0.7.0, engine wazero, Go 1.25 or newer.
#
# The host of WASI has to call _initialize of a reactor before anything else. Compilers put the
# program's own initialisation there: Go with -buildmode=c-shared, clang with
# -mexec-model=reactor. wapc-go calls _start and wapc_init, and never _initialize. A guest that was
# built as a reactor runs uninitialised, without an error.
#
# The guest answers with what its global says, which _initialize sets.
#
# Output seen: see want below.
#
# The guest:
# (module
#   (import "wapc" "__guest_response" (func $response (param i32 i32)))
#   (memory (export "memory") 1)
#   (data (i32.const 0) "not ready")
#   (global $at (mut i32) (i32.const 0))
#   (func (export "_initialize") (global.set $at (i32.const 4)))
#   (func (export "__guest_call") (param i32 i32) (result i32)
#     (call $response (global.get $at) (i32.sub (i32.const 9) (global.get $at)))
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
AGFzbQEAAAABDwNgAn9/AGAAAGACf38BfwIZAQR3YXBjEF9fZ3Vlc3RfcmVzcG9uc2UAAAMDAgECBQMBAAEGBgF/AUEACwcnAwZtZW1v
cnkCAAtfaW5pdGlhbGl6ZQABDF9fZ3Vlc3RfY2FsbAACChYCBgBBBCQACw0AIwBBCSMAaxAAQQELCw8BAEEACwlub3QgcmVhZHk=
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
	answer, err := instance.Invoke(ctx, "state", nil)
	fmt.Printf("%q, error %v\n", answer, err)
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='"not ready", error <nil>'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
