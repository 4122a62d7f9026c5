package wapc

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"unicode/utf16"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// callHost is the function of the embedder's that takes the calls of the host for which there is no
// function by their own name. It is given binding, namespace, operation and payload.
const callHost = "__host_call"

// Imports implements [contract.Kind].
func (Kind) Imports(contract.Binary) contract.Imports {
	i := func(n int) []api.ValueType { return slices.Repeat([]api.ValueType{i32}, n) }
	of := func(name string, params, results []api.ValueType, names []string, do func(context.Context, *guest, api.Memory, []uint64)) contract.HostFunction {
		return contract.HostFunction{
			Module: moduleName, Name: name, Params: params, Results: results, ParamNames: names,
			Do: func(ctx context.Context, in contract.Instance, mod api.Module, stack []uint64) {
				do(ctx, in.Guest().(*guest), mod.Memory(), stack)
			},
		}
	}
	span := []string{"ptr", "len"}
	call := of(callHost, i(8), i(1), []string{"binding_ptr", "binding_len", "namespace_ptr", "namespace_len", "operation_ptr", "operation_len", "payload_ptr", "payload_len"}, hostCall)
	call.Mistyped = func(params []api.ValueType) string {
		if slices.Equal(params, i(4)) || slices.Equal(params, i(6)) { // without a binding, and once without a namespace
			return "that is an older protocol of waPC's; build the guest with a current kit"
		}
		return ""
	}
	return contract.Imports{Functions: []contract.HostFunction{
		call,
		of("__guest_request", i(2), nil, []string{"operation_ptr", "payload_ptr"}, guestRequest),
		of("__guest_response", i(2), nil, span, guestResponse),
		of("__guest_error", i(2), nil, span, guestError),
		of("__host_response_len", nil, i(1), nil, func(_ context.Context, g *guest, _ api.Memory, stack []uint64) {
			stack[0] = uint64(len(g.host.response))
		}),
		of("__host_response", i(1), nil, []string{"ptr"}, func(_ context.Context, g *guest, mem api.Memory, stack []uint64) {
			g.write(mem, "__host_response", stack[0], g.host.response)
		}),
		of("__host_error_len", nil, i(1), nil, func(_ context.Context, g *guest, _ api.Memory, stack []uint64) { stack[0] = uint64(len(g.host.err)) }),
		of("__host_error", i(1), nil, []string{"ptr"}, func(_ context.Context, g *guest, mem api.Memory, stack []uint64) {
			g.write(mem, "__host_error", stack[0], g.host.err)
		}),
		of("__console_log", i(2), nil, span, func(_ context.Context, g *guest, mem api.Memory, stack []uint64) {
			g.in.Log(slog.LevelInfo, g.read(mem, "__console_log", stack[0], stack[1]))
		}),
		{
			Module: "env", Name: "abort", Params: i(4), ParamNames: []string{"message", "file", "line", "column"}, Do: abort,
		},
	}}
}

// write puts bytes into the guest's memory, for which it is billed.
func (g *guest) write(mem api.Memory, function string, ptr uint64, b []byte) {
	if !mem.Write(uint32(ptr), b) {
		panic(contract.Broken("%s.%s is to write bytes %d to %d of a memory of %d", moduleName, function, uint32(ptr), uint64(uint32(ptr))+uint64(len(b)), mem.Size()))
	}
	g.in.Charge(len(b))
}

// read returns bytes of the guest's memory.
func (g *guest) read(mem api.Memory, function string, ptr, n uint64) []byte {
	b, ok := mem.Read(uint32(ptr), uint32(n))
	if !ok {
		panic(contract.Broken("%s.%s was given bytes %d to %d of a memory of %d", moduleName, function, uint32(ptr), uint64(uint32(ptr))+uint64(uint32(n)), mem.Size()))
	}
	return b
}

// within panics outside a task.
func (g *guest) within(function string) {
	if g.task == nil {
		panic(contract.Broken("%s.%s is called while there is no task", moduleName, function))
	}
}

func guestRequest(_ context.Context, g *guest, mem api.Memory, stack []uint64) {
	g.within("__guest_request")
	g.write(mem, "__guest_request", stack[0], g.operations[g.task.Transform])
	g.write(mem, "__guest_request", stack[1], g.task.Items[g.item].Payload)
}

// guestResponse copies the output, since the guest may use its memory again before it returns.
func guestResponse(_ context.Context, g *guest, mem api.Memory, stack []uint64) {
	g.within("__guest_response")
	output := g.read(mem, "__guest_response", stack[0], stack[1])
	if g.oversized = g.frames.CheckOutput(guestCall, uint64(g.before)+uint64(len(output)), len(g.task.Items)); g.oversized != nil || g.failed {
		return
	}
	g.in.Charge(len(output))
	g.answer(output)
}

// maxMessage is how much of an error's text is looked at, in bytes.
const maxMessage = 8 << 10

func guestError(_ context.Context, g *guest, mem api.Memory, stack []uint64) {
	g.within("__guest_error")
	message := g.read(mem, "__guest_error", stack[0], stack[1])
	message = message[:min(len(message), maxMessage)] // of which not more is passed on
	g.in.Charge(len(message))
	if len(message) == 0 {
		message = []byte("the guest failed with an empty message")
	}
	g.fail(message)
}

// maxName is the longest name in a call of the host, in bytes.
const maxName = 256

// hostCall calls a function of the embedder's: that of the name BINDING/NAMESPACE/OPERATION with the
// payload, or else [callHost].
func hostCall(_ context.Context, g *guest, mem api.Memory, stack []uint64) {
	var args [4][]byte
	for i := range args {
		args[i] = g.read(mem, callHost, stack[2*i], stack[2*i+1])
		g.in.Charge(len(args[i]))
	}
	g.host = reply{}
	response, err := g.dispatch(args[:])
	if stack[0] = 1; err != nil {
		stack[0], response, g.host.err = 0, nil, []byte(err.Error())
	}
	g.host.response = response
	g.in.Charge(len(g.host.response) + len(g.host.err))
}

func (g *guest) dispatch(args [][]byte) (response []byte, err error) {
	for i, of := range [...]string{"binding", "namespace", "operation"} {
		if n := len(args[i]); n > maxName {
			return nil, fmt.Errorf("the name of the %s has %d bytes, the limit is %d", of, n, maxName)
		}
	}
	functions := g.in.Embedder().Functions
	name := fmt.Sprintf("%s/%s/%s", args[0], args[1], args[2])
	do := functions[name]
	if do == nil {
		do = functions[callHost]
	} else {
		args = args[3:]
	}
	if do == nil {
		return nil, fmt.Errorf("the host has no function %q", name)
	}
	err = g.in.Outside(func(ctx context.Context) (err error) {
		response, err = do(ctx, args)
		return err
	})
	return response, err
}

// maxAbort is how much of a string of AssemblyScript's is told, in bytes.
const maxAbort = 1 << 10

// abort is what AssemblyScript's throw and assert become.
func abort(_ context.Context, _ contract.Instance, mod api.Module, stack []uint64) {
	mem := mod.Memory()
	panic(&contract.Fault{
		Kind:    contract.Trap,
		Message: fmt.Sprintf("abort: %s at %s:%d:%d", text(mem, stack[0]), text(mem, stack[1]), uint32(stack[2]), uint32(stack[3])),
	})
}

// text is a string of AssemblyScript's: UTF-16, with its length in bytes before it.
func text(mem api.Memory, ptr uint64) string {
	if at := uint32(ptr); at >= 4 {
		if n, ok := mem.ReadUint32Le(at - 4); ok {
			n = min(n, maxAbort) &^ 1
			if b, ok := mem.Read(at, n); ok {
				units := make([]uint16, n/2)
				for i := range units {
					units[i] = binary.LittleEndian.Uint16(b[2*i:])
				}
				return meter.Plain(string(utf16.Decode(units)))
			}
		}
	}
	return "?"
}
