package extism

import (
	"context"
	"log/slog"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// fail ends the guest's call. The task fails with that message, see guest.ends. A frame of other tasks
// beside it has a fault, by which each of them is run again by itself.
func (g *guest) fail(msg string) {
	g.failed = msg
	panic(&contract.Fault{Kind: contract.Exit, ExitCode: 1, Message: "a function of the host ended the call: " + msg})
}

// hostFunctions are those of the host's that the kernel gives on.
func hostFunctions() []contract.HostFunction {
	of := func(name string, params, results int, do func(g *guest, h heap, stack []uint64)) contract.HostFunction {
		f := contract.HostFunction{Module: ownModule, Name: name, Params: offsets(params), Results: offsets(results)}
		f.Do = func(_ context.Context, in contract.Instance, _ api.Module, stack []uint64) {
			g := in.Guest().(*guest)
			do(g, g.heap(), stack)
		}
		return f
	}
	logs := func(name string, level slog.Level) contract.HostFunction {
		return of(name, 1, 0, func(g *guest, h heap, stack []uint64) {
			g.in.Log(level, h.block(name, stack[0]))
			h.free(stack[0])
		})
	}
	status := of("http_status_code", 0, 1, func(g *guest, _ heap, stack []uint64) { stack[0] = uint64(g.response.status) })
	status.Results = []api.ValueType{i32}
	return []contract.HostFunction{
		of("config_get", 1, 1, configGet), of("var_get", 1, 1, varGet), of("var_set", 2, 0, varSet),
		of("http_request", 2, 1, httpRequest), status, of("http_headers", 0, 1, httpHeaders),
		logs("log_trace", slog.LevelDebug), logs("log_debug", slog.LevelDebug), logs("log_info", slog.LevelInfo),
		logs("log_warn", slog.LevelWarn), logs("log_error", slog.LevelError),
	}
}

// offsets are the types of so many.
func offsets(n int) []api.ValueType { return slices.Repeat([]api.ValueType{i64}, n) }

// The functions below free blocks that they are given only once there is a block for what they
// return: some kits free them as well, and would free that otherwise.

// maxKey is more than any key of a configuration has, in bytes.
const maxKey = companion.MaxBytes

func configGet(g *guest, h heap, stack []uint64) {
	key := stack[0]
	name := h.block("config_get", key)
	g.in.Charge(len(name))
	value := ""
	if len(name) <= maxKey {
		value = g.of.binary.Companion.Config[string(name)]
	}
	stack[0] = g.give(h, []byte(value)) // 0 for none
	h.free(key)
}

func varGet(g *guest, h heap, stack []uint64) {
	key := stack[0]
	name := h.block("var_get", key)
	g.in.Charge(len(name))
	stack[0] = g.give(h, g.variables.get(name))
	h.free(key)
}

func varSet(g *guest, h heap, stack []uint64) {
	name, value := h.block("var_set", stack[0]), h.block("var_set", stack[1])
	g.in.Charge(len(name) + len(value))
	if err := g.variables.set(name, value); err != nil {
		g.fail(err.Error())
	}
	h.free(stack[0])
	h.free(stack[1])
}

// give returns a block with a copy of data, which the guest is billed for; 0 if that is empty.
func (g *guest) give(h heap, data []byte) uint64 {
	g.in.Charge(len(data))
	return h.alloc(data)
}

// isUserFunction reports whether a function of the embedder's can be of that type.
func isUserFunction(l meter.Link) bool {
	for _, t := range l.Params {
		if t != i64 {
			return false
		}
	}
	return len(l.Results) == 0 || len(l.Results) == 1 && l.Results[0] == i64
}

// userFunction is a function of the embedder's as a guest imports it. What it is given, and what it
// returns, are offsets; 0 is nothing.
func userFunction(l meter.Link, do func(ctx context.Context, args [][]byte) ([]byte, error)) contract.HostFunction {
	return contract.HostFunction{
		Module: userModule, Name: l.Name, Params: l.Params, Results: l.Results,
		Do: func(_ context.Context, in contract.Instance, _ api.Module, stack []uint64) {
			g := in.Guest().(*guest)
			h, args, size := g.heap(), make([][]byte, len(l.Params)), 0
			for i := range args {
				args[i] = h.block(l.Name, stack[i])
				size += len(args[i])
			}
			in.Charge(size)
			var result []byte
			err := in.Outside(func(ctx context.Context) (err error) {
				result, err = do(ctx, args)
				return err
			})
			if err != nil {
				g.fail(meter.Plain(l.Name) + ": " + err.Error())
			}
			if len(l.Results) > 0 {
				stack[0] = g.give(g.heap(), result)
			}
		},
	}
}
