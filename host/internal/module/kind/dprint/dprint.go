// Package dprint is the kind of guests that are plugins of dprint, a code formatter, with version 3 or 4
// of its plugins' schema. A task formats one text.
//
// What is called when is that of https://github.com/dprint/dprint/blob/main/docs/wasm-plugin-development.md,
// and for version 3 of the file v3 of the npm package @dprint/formatter.
package dprint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

const (
	i32          = api.ValueTypeI32
	exportFormat = "format"
	// importModule is the module of the host's functions.
	importModule = "dprint"
)

// Kind implements [contract.Kind].
type Kind struct{}

var _ contract.Kind = Kind{}

// Name implements [contract.Kind].
func (Kind) Name() string { return "dprint" }

// Claims implements [contract.Kind].
func (Kind) Claims(links *meter.Links) string {
	for _, v := range schemas {
		if _, ok := links.Function(v.version); ok {
			return "exports " + v.version
		}
	}
	return ""
}

// Needs implements [contract.Kind].
func (Kind) Needs() string {
	return "a plugin of dprint exports " + schema4.version + " or " + schema3.version
}

// schemaOf returns the schema of a binary; the newest if it has none.
func schemaOf(links *meter.Links) *schema {
	for _, v := range schemas {
		if _, ok := links.Function(v.version); ok {
			return v
		}
	}
	return schemas[0]
}

// Imports implements [contract.Kind]. A plugin that formats text of another language within its own,
// such as code in Markdown, asks the host for that. Here such text stays as it is.
func (Kind) Imports(b contract.Binary) contract.Imports {
	var all []contract.HostFunction
	for _, l := range schemaOf(b.Links).imports {
		all = append(all, contract.HostFunction{
			Module: importModule, Name: l.Name, Params: l.Params, Results: l.Results,
			Do: func(_ context.Context, _ contract.Instance, _ api.Module, stack []uint64) {
				if len(l.Results) > 0 {
					stack[0] = 0 // there is no change; so many bytes
				}
			},
		})
	}
	return contract.Imports{Functions: all}
}

// turns is how often self-tests are run before the snapshot is taken, so that heaps have grown.
const turns = 4

// Open implements [contract.Kind].
func (Kind) Open(b contract.Binary) (contract.Plugin, error) {
	f := &formatter{schema: schemaOf(b.Links), frames: b.Frames}
	_, f.initializes = b.Links.Function(abi.ExportInitialize)
	err := errors.Join(f.schema.checkExports(b.Links), f.read(b))
	return contract.Plugin{
		Guest:   func(in contract.Instance) contract.Guest { return newGuest(in, f) },
		WarmUp:  contract.WarmUp{Turns: turns},
		Shrinks: true,
	}, err
}

// checkExports joins all faults of exports.
func (v *schema) checkExports(links *meter.Links) error {
	var missing []string
	var errs []error
	for _, want := range v.exports {
		l, ok := links.Function(want.Name)
		switch {
		case !ok:
			missing = append(missing, contract.Signature(want))
		case !contract.SameType(l, want.Params, want.Results):
			errs = append(errs, fmt.Errorf("exports %s, want %s", contract.Signature(l), contract.Signature(want)))
		}
	}
	if len(missing) > 0 {
		named := missing[:min(len(missing), contract.MaxNamed)]
		errs = append(errs, fmt.Errorf("lacks exports of a plugin of dprint with schema %d: %s", v.number, contract.Enumerate(named, len(missing))))
	}
	if !links.ExportsMemory(abi.ExportMemory) {
		errs = append(errs, fmt.Errorf("does not export a memory called %q", abi.ExportMemory))
	}
	return errors.Join(errs...)
}

// formatter is what all instances of a plugin have in common.
type formatter struct {
	schema      *schema
	manifest    *manifest.Manifest
	frames      contract.FrameLimits
	initializes bool
	// versioned is whether the companion file says the plugin's version.
	versioned bool
	file      *companion.File
	config    []byte   // as the plugin reads it
	paths     []string // of each transform's file; "" for one that the plugin is for
}

// read makes the formatter of what its companion file says of it.
func (f *formatter) read(b contract.Binary) error {
	file := b.Companion
	m, transforms, err := file.Manifest(companion.Plugin{
		Source: b.Name, Hash: b.Hash, Exports: []string{exportFormat}, Whole: true,
	})
	if err != nil {
		return err
	}
	f.manifest = m
	f.file = file
	f.versioned = file.Version != ""
	if f.config, err = configuration(file.Config); err != nil {
		return file.At("config", "config: %v", err)
	}
	errs := []error{
		file.Refuse("a plugin of dprint reads none; config is what it gets", "environment"),
		file.Refuse("a plugin of dprint has those of a transform alone: the path of a file, by which it chooses how to format", "arguments"),
		file.Refuse("a plugin of dprint sends no requests", "allowed_hosts", "max_response_bytes"),
		file.Refuse("a plugin of dprint has none", "max_variable_bytes"),
		file.RefuseIn("export", "is of no use to a plugin of dprint, which is called by "+exportFormat+" alone"),
		file.RefuseIn("operation", "is for guests of waPC"),
		file.RefuseIn("state", "a plugin of dprint keeps no state"),
	}
	for i := range transforms {
		t := &transforms[i]
		if t.Input == "" {
			m.Transforms[i].Input = manifest.MediaTypeText
		}
		if t.Output == "" {
			m.Transforms[i].Output = manifest.MediaTypeText
		}
		path := ""
		if len(t.Arguments) > 0 {
			path = t.Arguments[0]
		}
		f.paths = append(f.paths, path)
		if len(t.Arguments) > 1 {
			errs = append(errs, file.AtLine(t.Line, "transforms[%d].arguments: a transform of a plugin of dprint has one, the path of a file, by which the plugin chooses how to format", i))
		}
	}
	return errors.Join(errs...)
}

// configuration is what the plugin is given. A value that is JSON, such as a number, is that;
// another is a string.
func configuration(of map[string]string) ([]byte, error) {
	plugin := make(map[string]any)
	for key, value := range of {
		plugin[key] = value
		if json.Valid([]byte(value)) {
			plugin[key] = json.RawMessage(value)
		}
	}
	return json.Marshal(plugin)
}
