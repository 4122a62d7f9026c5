package module

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// contractFunction is one that a plugin must export.
type contractFunction struct {
	name            string
	params, results []api.ValueType
}

var contract = []contractFunction{
	{name: abi.ExportVersion, results: []api.ValueType{i32}},
	{name: abi.ExportDescribe, results: []api.ValueType{i64}},
	{name: abi.ExportAlloc, params: []api.ValueType{i32}, results: []api.ValueType{i32}},
	{name: abi.ExportRun, params: []api.ValueType{i32, i32, i32}, results: []api.ValueType{i64}},
}

// checkLinks checks what a binary imports and exports, before anything is made of it.
func (m *Module) checkLinks(wasm []byte) error {
	links, err := meter.ReadLinks(wasm, m.opts.Binary)
	for _, l := range links.Imports {
		if l.Kind == meter.KindFunction {
			m.info.Imports = append(m.info.Imports, meter.Plain(l.Module)+"."+signature(l))
		}
	}
	for _, l := range links.Exports {
		if l.Kind == meter.KindFunction {
			m.info.Exports = append(m.info.Exports, signature(l))
		}
	}
	slices.Sort(m.info.Imports)
	slices.Sort(m.info.Exports)
	m.initial = links.Memory
	m.constructs = constructsAlways(links)
	kind := origin(links)
	if limit := (*meter.LimitError)(nil); err != nil && !errors.As(err, &limit) {
		return StepInspect.in(errors.Join(kind, err)) // what it lacks could not be told
	}
	faults := errors.Join(checkImports(links), checkExports(links.Exports))
	if err == nil && m.initial > m.opts.MemoryLimit {
		faults = errors.Join(faults, fmt.Errorf("needs %d bytes of memory, the limit is %d: raise --memory-limit (PluginConfig.MemoryLimit)", m.initial, m.opts.MemoryLimit))
	}
	switch {
	case err != nil:
		return StepInspect.in(errors.Join(kind, faults, err))
	case faults != nil:
		return StepLink.in(errors.Join(kind, faults))
	}
	return nil
}

// Errors name that many of each kind, and count the rest.
const (
	maxNamed  = 3
	maxGroups = 8
)

// group are imports of one kind from one module that the host does not have.
type group struct {
	module string
	kind   byte
	names  []string
	count  int
}

func (g *group) Error() string {
	why := ", which the host does not grant"
	if g.module == abi.ImportWASI {
		why = ", which the host does not have"
	}
	kind := meter.KindName(g.kind)
	if g.count == 1 {
		if kind = "the " + kind + " "; g.kind == meter.KindFunction {
			kind = ""
		}
		return fmt.Sprintf("imports %s%s.%s%s", kind, meter.Plain(g.module), g.names[0], why)
	}
	if kind += "s"; g.kind == meter.KindMemory {
		kind = "memories"
	}
	return fmt.Sprintf("imports %d %s of %s%s: %s", g.count, kind, meter.Plain(g.module), why, enumerate(g.names, g.count))
}

// enumerate writes names as a, b and c, or a, b, c and 37 more if there are count of them.
func enumerate(names []string, count int) string {
	last := names[len(names)-1]
	if more := count - len(names); more > 0 {
		last, names = fmt.Sprint(more, " more"), append(slices.Clip(names), "")
	}
	if len(names) == 1 {
		return last
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + last
}

// checkImports joins all faults of imports.
func checkImports(links *meter.Links) error {
	var groups []*group
	type key struct {
		module string
		kind   byte
	}
	index := make(map[key]*group)
	var wrong []error
	for _, l := range links.Imports {
		params, results, ok := provided(l)
		switch {
		case !ok:
			k := key{l.Module, l.Kind}
			g := index[k]
			if g == nil {
				g = &group{module: l.Module, kind: l.Kind}
				groups, index[k] = append(groups, g), g
			}
			if g.count++; len(g.names) < maxNamed {
				g.names = append(g.names, meter.Plain(l.Name))
			}
		case l.Typed && (!slices.Equal(l.Params, params) || !slices.Equal(l.Results, results)):
			has := l
			has.Params, has.Results = params, results
			wrong = append(wrong, fmt.Errorf("imports %s.%s, the host has %s", meter.Plain(l.Module), signature(l), signature(has)))
		}
	}
	var errs []error
	for _, g := range groups[:min(len(groups), maxGroups)] {
		errs = append(errs, g)
	}
	if more := len(groups) - maxGroups; more > 0 {
		errs = append(errs, fmt.Errorf("imports of %d more modules, which the host does not grant", more))
	}
	errs = append(errs, some(wrong, "imports of another type")...)
	if links.Further > 0 {
		errs = append(errs, fmt.Errorf("has %d more imports", links.Further))
	}
	return errors.Join(errs...)
}

// some leaves out errors beyond maxGroups, and counts them.
func some(errs []error, what string) []error {
	if more := len(errs) - maxGroups; more > 0 {
		errs = append(errs[:maxGroups:maxGroups], fmt.Errorf("has %d more %s", more, what))
	}
	return errs
}

// provided returns the type of a function that the host provides.
func provided(l meter.Link) (params, results []api.ValueType, ok bool) {
	switch {
	case l.Kind != meter.KindFunction:
	case l.Module == abi.ImportWASI:
		return wasi.Signature(l.Name)
	case l.Module == abi.ImportModule && l.Name == abi.ImportLog:
		return []api.ValueType{i32, i32, i32}, nil, true
	}
	return nil, nil, false
}

// checkExports joins all faults of exports.
func checkExports(exports []meter.Link) error {
	functions := make(map[string]meter.Link)
	var memories []string
	memory := false
	for _, l := range exports {
		switch l.Kind {
		case meter.KindFunction:
			functions[l.Name] = l
		case meter.KindMemory:
			memory = memory || l.Name == abi.ExportMemory
			if len(memories) < maxNamed {
				memories = append(memories, meter.Quote(l.Name))
			}
		}
	}
	var missing []string
	var errs []error
	for _, want := range contract {
		l, ok := functions[want.name]
		wanted := signature(meter.Link{Name: want.name, Params: want.params, Results: want.results, Typed: true})
		if !ok {
			missing = append(missing, wanted)
		} else if l.Typed && (!slices.Equal(l.Params, want.params) || !slices.Equal(l.Results, want.results)) {
			errs = append(errs, fmt.Errorf("exports %s, want %s", signature(l), wanted))
		}
	}
	if l, ok := functions[abi.ExportInitialize]; ok && l.Typed && len(l.Params)+len(l.Results) > 0 {
		errs = append(errs, fmt.Errorf("exports %s, want %s() → ()", signature(l), abi.ExportInitialize))
	}
	switch {
	case len(missing) == len(contract):
		errs = append(errs, fmt.Errorf("exports no function of the plugin contract: %s", enumerate(missing, len(missing))))
	case len(missing) == 1:
		errs = append(errs, fmt.Errorf("does not export the function %s", missing[0]))
	case len(missing) > 1:
		errs = append(errs, fmt.Errorf("does not export the functions %s", enumerate(missing, len(missing))))
	}
	_, reactor := functions[abi.ExportInitialize]
	if _, command := functions["_start"]; command && !reactor {
		errs = append(errs, errors.New("exports _start and no _initialize: it was built as a command and has to be a reactor, "+
			"for which Go has -buildmode=c-shared, clang -mexec-model=reactor and Rust the crate type cdylib"))
	}
	if !memory {
		errs = append(errs, fmt.Errorf("does not export a memory called %q (has [%s])", abi.ExportMemory, strings.Join(memories, " ")))
	}
	return errors.Join(errs...)
}

// signature writes a function as name(i32, i64) → i32, with () for no result.
func signature(l meter.Link) string {
	list := func(types []api.ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = api.ValueTypeName(t)
		}
		return strings.Join(names, ", ")
	}
	name := meter.Plain(l.Name)
	switch {
	case !l.Typed:
		return name
	case len(l.Results) == 1:
		return name + "(" + list(l.Params) + ") → " + list(l.Results)
	}
	return name + "(" + list(l.Params) + ") → (" + list(l.Results) + ")"
}
