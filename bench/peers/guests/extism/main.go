//go:build wasip1

// Command extism is a plugin of Extism, made with its PDK for Go.
package main

import (
	"github.com/extism/go-pdk"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
)

// functions is a variable of the package because exports have no receiver.
var functions transform.Functions

//go:wasmexport noop
func noop() int32 { return 0 }

//go:wasmexport echo
func echo() int32 {
	pdk.Output(pdk.Input())
	return 0
}

//go:wasmexport cascade
func cascade() int32 { return answer(functions.Cascade(pdk.Input())) }

//go:wasmexport tick
func tick() int32 { return answer(functions.Tick(pdk.Input())) }

func answer(output []byte, err error) int32 {
	if err != nil {
		pdk.SetError(err)
		return 1
	}
	pdk.Output(output)
	return 0
}

func main() {}
