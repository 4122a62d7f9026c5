// Package extism is the kind of guests that were made with a plug-in development kit of Extism's, of
// version 1. They do not describe themselves: each function without parameters that returns an i32
// or nothing can be a transform. They take one item at a time.
package extism

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/internal/spell"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// Modules that guests import from. The library imports the host's functions from ownModule and gives
// them on.
const (
	envModule  = "extism:host/env"
	userModule = "extism:host/user"
	ownModule  = "resonhost:extism"
)

// Kind implements [contract.Kind].
type Kind struct{}

var _ contract.Kind = Kind{}

// Name implements [contract.Kind].
func (Kind) Name() string { return "extism" }

// Claims implements [contract.Kind].
func (Kind) Claims(links *meter.Links) string {
	for _, l := range links.Imports {
		if l.Module == envModule || l.Module == userModule {
			return "imports " + l.Module + "." + meter.Plain(l.Name)
		}
	}
	return ""
}

// Needs implements [contract.Kind].
func (Kind) Needs() string { return "a plugin of Extism's imports " + envModule }

// Imports implements [contract.Kind].
func (Kind) Imports(b contract.Binary) contract.Imports {
	functions := hostFunctions()
	for _, l := range b.Links.Imports {
		if l.Module == userModule && l.Kind == meter.KindFunction && b.Embedder.Functions[l.Name] != nil {
			functions = append(functions, userFunction(l, b.Embedder.Functions[l.Name]))
		}
	}
	return contract.Imports{
		Functions: functions, Libraries: []contract.Library{{Name: envModule, WASM: kernel}},
		Remedies: map[string]string{userModule: "the program that embeds the host offers such functions by PluginConfig.Functions"},
	}
}

// Limits of Extism's, which its manifests set.
const (
	defaultVariables = 1 << 20
	defaultResponse  = 50 << 20
)

// turns is how often self-tests are run before the snapshot is taken, as for guests of the native
// kind.
const turns = 16

// Open implements [contract.Kind].
func (Kind) Open(b contract.Binary) (contract.Plugin, error) {
	var errs []error
	of := &plugin{binary: b, functions: make(map[string]meter.Link)}
	keeps := false
	for _, l := range b.Links.Imports {
		switch {
		case l.Module == envModule && l.Name == "var_set":
			keeps = true
		case l.Module == userModule && l.Kind == meter.KindFunction && l.Typed && !isUserFunction(l):
			errs = append(errs, fmt.Errorf("imports %s.%s: a function of the embedder's takes and returns offsets, which are i64, and returns one at most", userModule, contract.Signature(l)))
		}
	}
	var exports []string
	for _, l := range b.Links.Exports {
		if l.Kind != meter.KindFunction {
			continue
		}
		of.functions[l.Name] = l
		if isTransform(l) && !isRuntime(l.Name) {
			exports = append(exports, l.Name)
		}
	}
	if _, command := of.functions[startExport]; command && len(exports) == 0 && !of.has(initReactor) {
		exports = []string{startExport}
	}
	described := companion.Plugin{Source: b.Name, Hash: b.Hash, Exports: exports}
	if keeps {
		described.StateBytes = min(variableBytes(b.Companion), manifest.MaxStateBytes)
	}
	m, transforms, err := b.Companion.Manifest(described)
	if err != nil {
		return contract.Plugin{}, errors.Join(append(errs, err)...)
	}
	for i := range m.Transforms {
		m.Transforms[i].StateVersion = stateVersion
	}
	of.manifest, of.transforms = m, transforms
	errs = append(errs, of.check()...)
	errs = append(errs,
		b.Companion.Refuse("a plugin of Extism's reads none; config is what it gets", "environment", "arguments"),
		b.Companion.RefuseIn("operation", "is for guests of waPC: write export"),
		b.Companion.RefuseIn("arguments", "a plugin of Extism's takes none"),
	)
	for i := range transforms {
		of.single = of.single || transforms[i].Export == startExport
	}
	return contract.Plugin{
		Single:  of.single,
		Shrinks: true, // large inputs and outputs grow the kernel's memory
		Guest:   func(in contract.Instance) contract.Guest { return newGuest(in, of) },
		WarmUp:  contract.WarmUp{Turns: turns},
	}, errors.Join(errs...)
}

// plugin is what the instances of a binary have in common.
type plugin struct {
	binary     contract.Binary
	functions  map[string]meter.Link // exported ones, by name
	manifest   *manifest.Manifest
	transforms []companion.Transform
	// single is whether an instance is put back after each task, as a program is that ends with it.
	single bool
}

// check returns what is wrong with the transforms' functions.
func (p *plugin) check() (errs []error) {
	for i := range p.transforms {
		t := &p.transforms[i]
		if t.Export == "" {
			t.Export = t.Bare(p.manifest.Name)
		}
		l, ok := p.functions[t.Export]
		switch {
		case !ok:
			errs = append(errs, p.binary.Companion.AtLine(t.Line, "the transform %s is to call the function %q, which the binary does not export%s",
				t.Name, meter.Plain(t.Export), spell.DidYouMean(t.Export, p.callable())))
		case !isTransform(l):
			errs = append(errs, p.binary.Companion.AtLine(t.Line, "the transform %s is to call the function %s, which is not of the type () → i32 or () → ()",
				t.Name, contract.Signature(l)))
		}
	}
	return errs
}

// callable are the names of functions that could be transforms, those that can be shown.
func (p *plugin) callable() (names []string) {
	for name, l := range p.functions {
		if isTransform(l) && !isRuntime(name) && meter.Plain(name) == name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// isTransform reports whether a function is of a type that transforms have.
func isTransform(l meter.Link) bool {
	return contract.SameType(l, nil, []api.ValueType{i32}) || contract.SameType(l, nil, nil)
}

// isRuntime reports whether a function of such a type is known to be of a language's runtime.
func isRuntime(name string) bool {
	for _, prefix := range []string{"_", "hs_", "emscripten_", "asyncify_", "cabi_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "go_scheduler" || name == "main"
}

// startExport is what a program runs by, and a transform where there is no other.
const startExport = "_start"

// What a guest may have to be called before all else.
const (
	initReactor  = "_initialize"
	initHaskell  = "hs_init"
	constructors = "__wasm_call_ctors"
)

// has reports whether a function of that type is exported.
func (p *plugin) has(name string, params ...api.ValueType) bool {
	l, ok := p.functions[name]
	return ok && contract.SameType(l, params, l.Results) && len(l.Results) <= 1
}

// initializers are the functions to call before all else: a reactor's and Haskell's, or else the
// linker's, which calls constructors.
func (p *plugin) initializers() (names []string) {
	if p.has(initReactor) {
		names = append(names, initReactor)
	}
	if p.has(initHaskell, i32, i32) {
		names = append(names, initHaskell)
	}
	if len(names) == 0 && p.has(constructors) {
		names = append(names, constructors)
	}
	return names
}
