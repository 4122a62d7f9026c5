package native

import (
	"context"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// maxCallMessage is the longest message of a function's error that guests are told, in bytes.
const maxCallMessage = 4 << 10

// maxName is more than the name of any function has, in bytes. What is behind it is not looked at.
const maxName = 256

// argument is a part of the guest's memory that it has passed to a function of the host's.
func argument(mod api.Module, function string, ptr, n uint64) []byte {
	b, ok := mod.Memory().Read(api.DecodeU32(ptr), api.DecodeU32(n))
	if !ok {
		panic(contract.Broken("%s.%s was given bytes %d to %d of a memory of %d", abi.ImportModule, function,
			api.DecodeU32(ptr), uint64(api.DecodeU32(ptr))+uint64(api.DecodeU32(n)), mod.Memory().Size()))
	}
	return b
}

// call is resonhost.call.
func call(_ context.Context, in contract.Instance, mod api.Module, stack []uint64) {
	name, arg := argument(mod, abi.ImportCall, stack[0], stack[1]), argument(mod, abi.ImportCall, stack[2], stack[3])
	in.Charge(len(name) + len(arg))
	g := in.Guest().(*guest)
	g.result = nil
	status, result := abi.CallOK, []byte(nil)
	name = name[:min(len(name), maxName)] // what is cut is a name of none, as is what is left of it
	if f := in.Embedder().Functions[string(name)]; f == nil {
		status, result = abi.CallUnknown, fmt.Appendf(nil, "there is no function %s; the program that embeds the host offers functions by PluginConfig.Functions", meter.Quote(string(name)))
	} else if err := in.Outside(func(ctx context.Context) (err error) {
		result, err = f(ctx, [][]byte{arg})
		return err
	}); err != nil {
		msg := err.Error()
		status, result = abi.CallFailed, []byte(strings.ToValidUTF8(msg[:min(len(msg), maxCallMessage)], "\uFFFD"))
	}
	g.result = result
	stack[0] = abi.Pack(uint32(status), uint32(len(result)))
}

// callResult is resonhost.call_result.
func callResult(_ context.Context, in contract.Instance, mod api.Module, stack []uint64) {
	g := in.Guest().(*guest)
	to := argument(mod, abi.ImportResult, stack[0], uint64(len(g.result)))
	in.Charge(len(g.result))
	copy(to, g.result)
	g.result = nil
}
