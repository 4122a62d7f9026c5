package guest

import (
	"unsafe"

	"github.com/resonhost/resonhost/abi"
)

// exported is the one plugin that the module is. The exports of a module are
// functions without a receiver, so it has to be a variable of the package.
var exported *Plugin

// Export makes the module this plugin. Call it once, from an init function: it
// runs before the host's first call.
func Export(p *Plugin) {
	p.logPanic = logPanic
	exported = p
}

// Log writes a message to the host's log.
func Log(level abi.LogLevel, msg string) {
	hostLog(int32(level), unsafe.Pointer(unsafe.StringData(msg)), uint32(len(msg)))
}

// logPanic logs a panic that is recovered from.
func logPanic(msg string) { Log(abi.LogError, msg) }

//go:wasmimport resonhost log
func hostLog(level int32, ptr unsafe.Pointer, n uint32)

// call calls a function of the host's program.
func call(name string, arg []byte) ([]byte, error) {
	status, n := abi.Unpack(hostCall(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), unsafe.Pointer(unsafe.SliceData(arg)), uint32(len(arg))))
	result := make([]byte, n)
	if n > 0 {
		hostResult(unsafe.Pointer(unsafe.SliceData(result)))
	}
	return result, callError(abi.CallStatus(status), result)
}

//go:wasmimport resonhost call
func hostCall(name unsafe.Pointer, nameLen uint32, arg unsafe.Pointer, argLen uint32) uint64

//go:wasmimport resonhost call_result
func hostResult(ptr unsafe.Pointer)

//go:wasmexport resonhost_abi
func exportVersion() uint32 { return abi.Version }

//go:wasmexport resonhost_describe
func exportDescribe() uint64 {
	if exported == nil {
		panic("guest.Export was not called from an init function")
	}
	m := exported.manifest
	return abi.Pack(uint32(uintptr(unsafe.Pointer(unsafe.StringData(m)))), uint32(len(m)))
}

//go:wasmexport resonhost_alloc
func exportAlloc(n uint32) uint32 {
	b := exported.alloc(n)
	if b == nil {
		return 0
	}
	return address(b)
}

//go:wasmexport resonhost_run
func exportRun(transform, ptr, n uint32) uint64 {
	in := exported.input
	if len(in) == 0 || ptr != address(in) || uint64(n) > uint64(len(in)) {
		panic("resonhost_run: the frame is not where resonhost_alloc put it")
	}
	out, err := exported.Run(transform, in[:n])
	if err != nil {
		panic(err)
	}
	return pack(out)
}

func pack(b []byte) uint64 { return abi.Pack(address(b), uint32(len(b))) }

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
