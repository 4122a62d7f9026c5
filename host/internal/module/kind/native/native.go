// Package native is the kind of guests that keep the contract of package abi. They describe
// themselves, and take frames of many items.
package native

import (
	"context"
	"errors"
	"log/slog"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// Kind implements [contract.Kind].
type Kind struct{}

var _ contract.Kind = Kind{}

// Name implements [contract.Kind].
func (Kind) Name() string { return "native" }

// Claims implements [contract.Kind].
func (Kind) Claims(links *meter.Links) string {
	for _, l := range links.Exports {
		if isRequired(l) {
			return "exports " + l.Name
		}
	}
	return ""
}

// Needs implements [contract.Kind].
func (Kind) Needs() string { return "a native plugin exports " + abi.ExportVersion }

// Imports implements [contract.Kind].
func (Kind) Imports(contract.Binary) contract.Imports {
	return contract.Imports{Functions: []contract.HostFunction{
		{
			Module: abi.ImportModule, Name: abi.ImportLog,
			Params: []api.ValueType{i32, i32, i32}, ParamNames: []string{"level", "ptr", "len"},
			Do: log,
		},
		{
			Module: abi.ImportModule, Name: abi.ImportCall,
			Params: []api.ValueType{i32, i32, i32, i32}, Results: []api.ValueType{i64}, ParamNames: []string{"name", "name_len", "arg", "arg_len"},
			Do: call,
		},
		{
			Module: abi.ImportModule, Name: abi.ImportResult,
			Params: []api.ValueType{i32}, ParamNames: []string{"ptr"},
			Do: callResult,
		},
	}}
}

// log is resonhost.log.
func log(_ context.Context, in contract.Instance, mod api.Module, stack []uint64) {
	level := slog.Level(api.DecodeI32(stack[0]))
	in.Log(level, argument(mod, abi.ImportLog, stack[1], stack[2]))
}

// checkCompanion refuses what a native plugin says by itself, or has no way to ask for.
func checkCompanion(file *companion.File) error {
	return errors.Join(
		file.Refuse("a native plugin says that of itself, in its manifest", "name", "version", "transforms", "timeout_ms"),
		file.Refuse("a native plugin has no way to ask for that", "config", "environment", "arguments", "allowed_hosts",
			"max_response_bytes", "max_variable_bytes"),
	)
}

// turns is how often self-tests are run before the snapshot is taken: a guest of Go's needs some
// tasks before its heap and its caches are such that the next task leaves little behind.
const turns = 16

// Open implements [contract.Kind].
func (Kind) Open(b contract.Binary) (contract.Plugin, error) {
	errs := []error{checkExports(b.Links.Exports)}
	if err := checkCompanion(b.Companion); err != nil {
		errs = append(errs, err)
	}
	of := &plugin{frames: b.Frames, initialized: initializes(b.Links), file: b.Companion}
	p := contract.Plugin{
		Guest:  func(in contract.Instance) contract.Guest { return newGuest(in, of) },
		WarmUp: contract.WarmUp{Turns: turns, Frames: true},
	}
	if constructsAlways(b.Links) {
		p.Doubt = noStartUp
	}
	return p, errors.Join(errs...)
}
