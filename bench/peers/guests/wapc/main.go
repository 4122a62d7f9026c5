//go:build wasip1

// Command wapc is a guest of waPC. Its guest library is for TinyGo; these are the few
// lines of it that a guest without calls of its own needs, for Go.
package main

import (
	"slices"
	"unsafe"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
)

//go:wasmimport wapc __guest_request
func guestRequest(operation, payload unsafe.Pointer)

//go:wasmimport wapc __guest_response
func guestResponse(ptr unsafe.Pointer, n uint32)

//go:wasmimport wapc __guest_error
func guestError(ptr unsafe.Pointer, n uint32)

// Variables of the package because exports have no receiver.
var (
	functions          transform.Functions
	operation, payload []byte
)

//go:wasmexport __guest_call
func guestCall(operationSize, payloadSize uint32) uint32 {
	operation = slices.Grow(operation[:0], int(operationSize))[:operationSize]
	payload = slices.Grow(payload[:0], int(payloadSize))[:payloadSize]
	guestRequest(unsafe.Pointer(unsafe.SliceData(operation)), unsafe.Pointer(unsafe.SliceData(payload)))
	output, err := functions.Run(string(operation), payload)
	if err != nil {
		output = []byte(err.Error())
		guestError(unsafe.Pointer(unsafe.SliceData(output)), uint32(len(output)))
		return 0
	}
	guestResponse(unsafe.Pointer(unsafe.SliceData(output)), uint32(len(output)))
	return 1
}

func main() {}
