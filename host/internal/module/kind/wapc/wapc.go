// Package wapc is the kind of guests that keep the protocol of waPC: one export is called with the
// lengths of an operation's name and of its payload, and the guest asks for both.
package wapc

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// Names of the protocol.
const (
	moduleName = "wapc"
	guestCall  = "__guest_call"
)

// starts are the functions that initialise a guest, in the order in which they are called. Of the
// first two a guest should have one: a reactor's, or else a command's.
var starts = [...]string{"_initialize", "_start", "wapc_init"}

const i32 = api.ValueTypeI32

// Kind implements [contract.Kind].
type Kind struct{}

var _ contract.Kind = Kind{}

// Name implements [contract.Kind].
func (Kind) Name() string { return moduleName }

// Claims implements [contract.Kind].
func (Kind) Claims(links *meter.Links) string {
	if _, ok := links.Function(guestCall); ok {
		return "exports " + guestCall
	}
	for _, l := range links.Imports {
		if l.Module == moduleName {
			return "imports " + moduleName + "." + meter.Plain(l.Name)
		}
	}
	return ""
}

// Needs implements [contract.Kind].
func (Kind) Needs() string { return "a guest of waPC exports " + guestCall }

// turns is how often self-tests are run before the snapshot is taken, as often as native guests'.
const turns = 16

// Open implements [contract.Kind].
func (Kind) Open(b contract.Binary) (contract.Plugin, error) {
	init, err := checkExports(b.Links)
	s := &shape{frames: b.Frames, starts: init}
	err = errors.Join(err, s.describe(b))
	return contract.Plugin{
		Guest:  func(in contract.Instance) contract.Guest { return newGuest(in, s) },
		WarmUp: contract.WarmUp{Turns: turns, Frames: true},
	}, err
}

// checkExports returns which functions initialise the guest, and joins all faults of exports.
func checkExports(links *meter.Links) (init []string, err error) {
	var errs []error
	check := func(name string, params, results []api.ValueType) bool {
		l, ok := links.Function(name)
		if ok && !contract.SameType(l, params, results) {
			want := meter.Link{Name: name, Params: params, Results: results, Typed: true}
			errs = append(errs, fmt.Errorf("exports %s, want %s", contract.Signature(l), contract.Signature(want)))
		}
		return ok
	}
	if !check(guestCall, []api.ValueType{i32, i32}, []api.ValueType{i32}) {
		errs = append(errs, fmt.Errorf("does not export the function %s(i32, i32) → i32", guestCall))
	}
	for _, name := range starts {
		if check(name, nil, nil) && (name != "_start" || len(init) == 0) {
			init = append(init, name)
		}
	}
	if !links.ExportsMemory(abi.ExportMemory) {
		errs = append(errs, fmt.Errorf("does not export a memory called %q", abi.ExportMemory))
	}
	return init, errors.Join(errs...)
}

// describe derives the manifest. Nothing in a binary names its operations, so the companion file
// must: a guess would be a plugin that loads, and fails each task.
func (s *shape) describe(b contract.Binary) error {
	file := b.Companion
	if len(file.Transforms) == 0 {
		return &operationsError{b.Name, cmp.Or(file.Name, companion.PluginName(b.Name))}
	}
	m, transforms, err := file.Manifest(companion.Plugin{Source: b.Name, Hash: b.Hash})
	if err != nil {
		return err
	}
	for i := range transforms {
		operation := transforms[i].Operation
		if operation == "" {
			operation = transforms[i].Bare(m.Name)
		}
		s.operations = append(s.operations, []byte(operation))
	}
	s.manifest = m
	return errors.Join(
		file.Refuse("a guest of waPC has no way to ask for that", "config", "environment", "arguments", "allowed_hosts", "max_response_bytes", "max_variable_bytes"),
		file.RefuseIn("export", "a guest of waPC has operations in place of exports: write operation"),
		file.RefuseIn("arguments", "a guest of waPC takes none"),
		file.RefuseIn("state", "a guest of waPC has no way to keep a stream's state"),
	)
}

// operationsError is of a guest whose operations nobody names. It shows the line that does, as it can
// be copied.
type operationsError struct{ source, plugin string }

func (e *operationsError) Error() string {
	return fmt.Sprintf("a guest of waPC does not say which operations it has: name them in %s%s, such as by the line "+
		"transforms: [{name: %s, operation: OPERATION}]", cmp.Or(e.source, "NAME"), companion.Suffix, e.plugin)
}
