//go:build wasip1

// Command wapc-go is a guest of waPC in Go. It imports what waPC's kits import, without a kit: the
// one for Go is TinyGo's alone. What it does is what the tests of kinds want.
package main

import (
	"bytes"
	"os"
	"unsafe"
)

//go:wasmimport wapc __guest_request
func guestRequest(operation, payload unsafe.Pointer)

//go:wasmimport wapc __guest_response
func guestResponse(at unsafe.Pointer, n uint32)

//go:wasmimport wapc __guest_error
func guestError(at unsafe.Pointer, n uint32)

//go:wasmimport wapc __host_call
func hostCall(binding unsafe.Pointer, bindingLen uint32, namespace unsafe.Pointer, namespaceLen uint32,
	operation unsafe.Pointer, operationLen uint32, payload unsafe.Pointer, payloadLen uint32) uint32

//go:wasmimport wapc __host_response_len
func hostResponseLen() uint32

//go:wasmimport wapc __host_response
func hostResponse(at unsafe.Pointer)

//go:wasmimport wapc __host_error_len
func hostErrorLen() uint32

//go:wasmimport wapc __host_error
func hostError(at unsafe.Pointer)

//go:wasmimport wapc __console_log
func consoleLog(at unsafe.Pointer, n uint32)

// at is where bytes lie.
func at(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// failure is an error in the guest's own words.
type failure []byte

// left is what tasks leave behind, and hoard what one of them keeps.
var left, hoard [][]byte

//go:wasmexport __guest_call
func guestCall(operationLen, payloadLen uint32) uint32 {
	operation, payload := make([]byte, operationLen), make([]byte, payloadLen)
	guestRequest(at(operation), at(payload))
	output, failed := run(string(operation), payload)
	if failed != nil {
		guestError(at(failed), uint32(len(failed)))
		return 0
	}
	guestResponse(at(output), uint32(len(output)))
	return 1
}

func run(operation string, payload []byte) ([]byte, failure) {
	switch operation {
	case "echo":
		return payload, nil
	case "keep":
		found := bytes.Join(left, nil)
		left = append(left, payload)
		return found, nil
	case "log":
		consoleLog(at(payload), uint32(len(payload)))
		return nil, nil
	case "host":
		return get(payload)
	case "trap":
		panic(string(payload))
	case "exit":
		os.Exit(3)
	case "grow":
		for {
			hoard = append(hoard, make([]byte, 1<<20))
		}
	}
	return nil, failure("there is no operation " + operation)
}

// get calls the host's function kv/store/get.
func get(payload []byte) ([]byte, failure) {
	binding, namespace, operation := []byte("kv"), []byte("store"), []byte("get")
	if hostCall(at(binding), uint32(len(binding)), at(namespace), uint32(len(namespace)),
		at(operation), uint32(len(operation)), at(payload), uint32(len(payload))) == 0 {
		why := make([]byte, hostErrorLen())
		hostError(at(why))
		return nil, why
	}
	response := make([]byte, hostResponseLen())
	hostResponse(at(response))
	return response, nil
}

func main() {}
