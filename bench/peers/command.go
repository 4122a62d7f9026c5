package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
	"github.com/resonhost/resonhost/host"
)

// commandGuest is a program of WASI whose argument is a function of package transform.
const commandGuest = "command"

// openCommandHere runs the program in a host.
func openCommandHere(ctx context.Context, o options) (*opened, error) {
	wasm, err := o.wasm(o.guests, commandGuest)
	if err != nil {
		return nil, err
	}
	var file strings.Builder
	file.WriteString("kind: command\ntransforms:\n")
	for _, function := range transform.Names {
		fmt.Fprintf(&file, "  - {name: %s.%s, arguments: [%[2]s]}\n", commandGuest, function)
	}
	return openForeign(ctx, o, host.Source{Name: commandGuest, WASM: wasm, Companion: []byte(file.String())}, host.IsolationPristine)
}

// openCommandPerCall compiles the program once and instantiates it for every task, which runs it, as many
// at once as there are workers.
func openCommandPerCall(ctx context.Context, o options) (*opened, error) {
	wasm, err := o.wasm(o.guests, commandGuest)
	if err != nil {
		return nil, err
	}
	r := wazero.NewRuntime(ctx)
	_, err = wasi_snapshot_preview1.Instantiate(ctx, r)
	if err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	program, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	slots := newPool(o.workers, func() struct{} { return struct{}{} })
	return &opened{
		run: func(ctx context.Context, t task, dst []byte) ([]byte, error) {
			slot, err := slots.get(ctx)
			if err != nil {
				return nil, err
			}
			defer slots.put(slot)
			out, complaint := bytes.NewBuffer(dst), new(bytes.Buffer)
			m, err := r.InstantiateModule(ctx, program, wazero.NewModuleConfig().WithName("").
				WithArgs(commandGuest, t.function).WithStdin(bytes.NewReader(t.input)).WithStdout(out).WithStderr(complaint))
			if exit := (*sys.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 0 {
				err = nil
			}
			if m != nil {
				err = errors.Join(err, m.Close(ctx))
			}
			if err != nil {
				return nil, fmt.Errorf("%w: %s", err, complaint)
			}
			return out.Bytes(), nil
		},
		close: r.Close,
	}, nil
}
