// Package command is the kind of guests that are programs of WASI: a task is a run of the program,
// from its beginning to its end. Its input is the program's standard input, its output what the
// program writes to its standard output.
package command

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// exportStart is the function that is the program.
const exportStart = "_start"

// Kind implements [contract.Kind].
type Kind struct{}

var _ contract.Kind = Kind{}

// Name implements [contract.Kind].
func (Kind) Name() string { return "command" }

// Claims implements [contract.Kind]. Kinds with exports of their own are to be asked before: their
// guests may export a _start, too.
func (Kind) Claims(links *meter.Links) string {
	if _, ok := links.Function(exportStart); ok {
		return "exports " + exportStart
	}
	return ""
}

// Needs implements [contract.Kind].
func (Kind) Needs() string { return "a command exports " + exportStart + " and imports WASI alone" }

// Imports implements [contract.Kind]: a command has WASI alone.
func (Kind) Imports(contract.Binary) contract.Imports { return contract.Imports{} }

// Open implements [contract.Kind].
func (Kind) Open(b contract.Binary) (contract.Plugin, error) {
	p := &program{frames: b.Frames}
	err := errors.Join(checkExports(b.Links), p.read(b))
	return contract.Plugin{
		Guest:   func(in contract.Instance) contract.Guest { return newGuest(in, p) },
		Single:  true,
		Shrinks: true, // a program takes its memory anew in each run
	}, err
}

func checkExports(links *meter.Links) error {
	l, ok := links.Function(exportStart)
	switch {
	case !ok:
		return fmt.Errorf("does not export the function %s() → (), which a command begins with: build it as a program, and not as a library", exportStart)
	case !contract.SameType(l, nil, nil):
		return fmt.Errorf("exports %s, want %s() → (): build it as a program of WASI, such as with clang --target=wasm32-wasi", contract.Signature(l), exportStart)
	case !links.ExportsMemory(abi.ExportMemory):
		return fmt.Errorf("does not export a memory called %q, through which WASI reads and writes", abi.ExportMemory)
	}
	return nil
}

// program is what all instances of a command have in common.
type program struct {
	manifest    *manifest.Manifest
	frames      contract.FrameLimits
	environment *wasi.Strings
	arguments   []*wasi.Strings // of each transform, with the program's name first
}

// read makes the program of what its companion file says of it.
func (p *program) read(b contract.Binary) error {
	file := b.Companion
	m, transforms, err := file.Manifest(companion.Plugin{
		Source: b.Name, Hash: b.Hash, Exports: []string{exportStart}, Whole: true,
	})
	if err != nil {
		return err
	}
	p.manifest = m
	errs := []error{
		file.Refuse("a command reads none; environment and arguments are what it gets", "config"),
		file.Refuse("a command sends no requests", "allowed_hosts", "max_response_bytes"),
		file.Refuse("a command has none", "max_variable_bytes"),
		file.RefuseIn("export", "is of no use to a command, which is called by "+exportStart+" alone; arguments tell its transforms apart"),
		file.RefuseIn("operation", "is for guests of waPC; arguments tell the transforms of a command apart"),
		file.RefuseIn("state", "a command keeps no state"),
	}
	if p.environment, err = environment(file.Environment); err != nil {
		errs = append(errs, file.At("environment", "environment: %v", err))
	}
	for i := range transforms {
		t := &transforms[i]
		args, err := wasi.NewStrings(slices.Concat([]string{m.Name}, file.Arguments, t.Arguments))
		if err != nil {
			errs = append(errs, file.AtLine(t.Line, "arguments of %s: %v", t.Name, err))
		}
		p.arguments = append(p.arguments, args)
	}
	return errors.Join(errs...)
}

// environment returns variables in the order of their names.
func environment(of map[string]string) (*wasi.Strings, error) {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if name == "" || strings.Contains(name, "=") {
			return nil, fmt.Errorf("%s is no name of a variable: it must have a character, and no =", meter.Quote(name))
		}
		all = append(all, name+"="+of[name])
	}
	return wasi.NewStrings(all)
}
