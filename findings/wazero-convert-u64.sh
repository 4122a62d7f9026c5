#!/usr/bin/env bash
# Version: github.com/tetratelabs/wazero v1.12.0, Go 1.25 or newer, linux/amd64.
#
# f64.convert_i64_u of a number from 2^63 gives a wrong result in wazero's compiler, without an error,
# if many integers are alive around it. The interpreter is right, and so is
# the compiler if few are alive. The wrong result is twice the number read as a signed one.
#
# The function loads 17 integers of 64 bits from address 16 on, computes with them, converts 0 - (the first)
# as its last conversion, and stores all that is alive. The program runs it on 100 memories
# of random numbers and compares the conversion with Go's float64(uint64).
#
# Output seen: see want below. The 42 right results of the compiler are those below 2^63.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.25

require github.com/tetratelabs/wazero v1.12.0
MOD
base64 -d >module.wasm <<'WASM'
AGFzbQEAAAABBAFgAAADAgEABQMBAAEHEQIGbWVtb3J5AgAEZjEyNAAACtECAc4CAhN+A3xBACkDECECQQApAxghA0EAKQMgIQRB
ACkDKCEFQQApAzAhBkEAKQM4IQdBACkDQCEIQQApA0ghCUEAKQNQIQpBACkDWCELQQApA2AhDEEAKQNoIQ1BACkDcCEOQQApA3gh
D0EAKQOAASEQQQApA4gBIRFBACkDkAEhEiAAIAJ9IQMgASAFhiELIAu6IRUgBCACfSEKIAUgCIQhBCALIAOHIQUgCLohFSAKIAaF
IRIgCrohEyARuiETIA8gBoMhASAIuiETIAggEX0hBCAHIBKHIQ4gA7ohE0EAIBM5A4CgA0EAIA43A/AgQQAgBjcDsCBBACARNwOI
IUEAIAQ3A6AgQQAgDDcD4CBBACAJNwPIIEEAIAg3A8AgQQAgATcDiCBBACAFNwOoIEEAIAI3A5AgQQAgCjcD0CBBACAPNwP4IEEA
IAM3A5ggCw==
WASM
cat >main.go <<'GO'
package main

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/tetratelabs/wazero"
)

//go:embed module.wasm
var wasm []byte

func main() {
	ctx := context.Background()
	for _, engine := range []struct {
		name   string
		config wazero.RuntimeConfig
	}{{"compiler", wazero.NewRuntimeConfigCompiler()}, {"interpreter", wazero.NewRuntimeConfigInterpreter()}} {
		r := wazero.NewRuntimeWithConfig(ctx, engine.config)
		mod, err := r.Instantiate(ctx, wasm)
		if err != nil {
			panic(err)
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		large, wrong, twice := 0, 0, 0
		for range 100 {
			for i := range uint32(40) {
				mod.Memory().WriteUint64Le(8*i, rnd.Uint64())
			}
			first, _ := mod.Memory().ReadUint64Le(16)
			if _, err := mod.ExportedFunction("f124").Call(ctx); err != nil {
				panic(err)
			}
			got, _ := mod.Memory().ReadFloat64Le(53248)
			converted := -first
			if converted >= 1<<63 {
				large++
			}
			if got != float64(converted) {
				wrong++
			}
			if converted >= 1<<63 && math.Abs(got-2*float64(int64(converted))) <= math.Abs(got)*0x1p-50 {
				twice++
			}
		}
		fmt.Printf("%s: of 100 numbers %d are 2^63 or more; %d results are wrong, %d are twice the signed number\n", engine.name, large, wrong, twice)
	}
}
GO
go mod tidy >/dev/null 2>&1
got=$(go run .)
echo "$got"
want='compiler: of 100 numbers 58 are 2^63 or more; 58 results are wrong, 58 are twice the signed number
interpreter: of 100 numbers 58 are 2^63 or more; 0 results are wrong, 0 are twice the signed number'
[[ $got == "$want" ]] || { echo "this has changed" >&2; exit 1; }
