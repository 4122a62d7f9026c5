package module

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// inspect finds out of which kind a binary is, and checks what it imports and exports, before
// anything is made of it.
func (m *Module) inspect(wasm []byte) error {
	links, err := meter.ReadLinks(wasm, m.opts.Binary)
	m.list(links)
	file, wrong := companion.Parse(m.opts.Name, m.opts.Companion)
	if wrong != nil {
		return StepInspect.in(wrong)
	}
	kind, claim, unknown := contract.Of(m.opts.Kinds, links, file)
	if unknown != nil {
		return StepInspect.in(unknown)
	}
	m.info.Kind, m.info.Claim = kind.Name(), claim
	b := contract.Binary{
		Links: links, Name: m.opts.Name, Hash: m.info.Hash, Companion: file, Embedder: m.opts.Embedder, Frames: m.opts.Frames,
	}
	m.imports = kind.Imports(b)
	g, unsound := newImportable(&m.imports)
	if unsound != nil {
		return StepInspect.in(unsound)
	}
	m.libraries = g.libraries
	m.linked = links.Memory + g.memory
	m.initial = m.linked
	hint := origin(links, m.info.Claim != "" && !g.foreign(links))
	if limit := (*meter.LimitError)(nil); err != nil && !errors.As(err, &limit) {
		return StepInspect.in(errors.Join(hint, err)) // what it lacks could not be told
	}
	var lacks error
	m.plugin, lacks = kind.Open(b)
	m.maxMemory = file.MaxMemory()
	faults := errors.Join(checkImports(links, g), lacks)
	if faults != nil && hint == nil && claim == "" {
		faults = errors.Join(faults, ofNoKind(m.opts.Kinds))
	}
	if err == nil && m.linked > m.opts.MemoryLimit {
		faults = errors.Join(faults, fmt.Errorf("needs %d bytes of memory, the limit is %d: raise --memory-limit (PluginConfig.MemoryLimit)", m.linked, m.opts.MemoryLimit))
	}
	if own := m.maxMemory; err == nil && own > 0 && links.Memory > own {
		faults = errors.Join(faults, fmt.Errorf("needs %d bytes of memory, its companion file or manifest allows %d: raise max_pages", links.Memory, own))
	}
	switch {
	case err != nil:
		return StepInspect.in(errors.Join(hint, faults, err))
	case faults != nil:
		return StepLink.in(errors.Join(hint, faults))
	}
	m.info.Single = m.plugin.Single
	if m.plugin.Single {
		m.opts.Batch = 1
	}
	if m.plugin.Doubt != "" {
		m.info.Warnings = append(m.info.Warnings, m.plugin.Doubt)
	}
	return nil
}

// ofNoKind says what a binary would need that no kind claims.
func ofNoKind(kinds []contract.Kind) error {
	needs := make([]string, len(kinds))
	for i, k := range kinds {
		needs[i] = k.Needs()
	}
	return fmt.Errorf("is of no kind of plugin: %s", strings.Join(needs, "; "))
}

// list has the functions that a binary imports and exports in what is known of it.
func (m *Module) list(links *meter.Links) {
	for _, l := range links.Imports {
		if l.Kind == meter.KindFunction {
			m.info.Imports = append(m.info.Imports, meter.Plain(l.Module)+"."+contract.Signature(l))
		}
	}
	for _, l := range links.Exports {
		if l.Kind == meter.KindFunction {
			m.info.Exports = append(m.info.Exports, contract.Signature(l))
		}
	}
	slices.Sort(m.info.Imports)
	m.info.Imports = slices.Compact(m.info.Imports) // some linkers have one more than once
	slices.Sort(m.info.Exports)
}

// importable is what a guest may import.
type importable struct {
	functions map[[2]string]meter.Link // by module and name, without WASI's
	modules   map[string]bool          // of all of them
	libraries []string                 // names
	memory    uint64                   // of the libraries, in bytes
	remedies  map[string]string
	mistyped  map[[2]string]func(params []api.ValueType) string // as functions, some nil
}

// newImportable returns what a guest may import. Its error is the kind's own fault.
func newImportable(of *contract.Imports) (*importable, error) {
	g := &importable{functions: make(map[[2]string]meter.Link), modules: map[string]bool{abi.ImportWASI: true}, remedies: of.Remedies, mistyped: make(map[[2]string]func([]api.ValueType) string)}
	add := func(module string, l meter.Link) {
		g.functions[[2]string{module, l.Name}] = l
		g.modules[module] = true
	}
	for _, f := range of.Functions {
		add(f.Module, meter.Link{Name: f.Name, Params: f.Params, Results: f.Results, Typed: true})
		g.mistyped[[2]string{f.Module, f.Name}] = f.Mistyped
	}
	for _, lib := range of.Libraries {
		links, err := meter.ReadLinks(lib.WASM, meter.Limits{})
		if err != nil {
			return nil, fmt.Errorf("library %s: %w", lib.Name, err)
		}
		for _, l := range links.Exports {
			if l.Kind == meter.KindFunction {
				add(lib.Name, l)
			}
		}
		g.libraries = append(g.libraries, lib.Name)
		g.memory += links.Memory
	}
	return g, nil
}

// function returns the type of a function that may be imported.
func (g *importable) function(l meter.Link) (params, results []api.ValueType, ok bool) {
	switch {
	case l.Kind != meter.KindFunction:
		return nil, nil, false
	case l.Module == abi.ImportWASI:
		return wasi.Signature(l.Name)
	}
	f, ok := g.functions[[2]string{l.Module, l.Name}]
	return f.Params, f.Results, ok
}

// foreign reports whether a binary imports something of a module of which nothing may be imported.
func (g *importable) foreign(links *meter.Links) bool {
	return slices.ContainsFunc(links.Imports, func(l meter.Link) bool { return !g.modules[l.Module] })
}

// maxGroups is how many groups of imports an error names. It counts the rest.
const maxGroups = 8

// group are imports of one kind from one module that the host does not have.
type group struct {
	module string
	kind   byte
	names  []string
	count  int
	remedy string // "" without one
}

func (g *group) Error() string {
	if g.remedy != "" {
		return g.lack() + "; " + g.remedy
	}
	return g.lack()
}

func (g *group) lack() string {
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
	return fmt.Sprintf("imports %d %s of %s%s: %s", g.count, kind, meter.Plain(g.module), why, contract.Enumerate(g.names, g.count))
}

// checkImports joins all faults of imports.
func checkImports(links *meter.Links, g *importable) error {
	var groups []*group
	type key struct {
		module string
		kind   byte
	}
	index := make(map[key]*group)
	var wrong []error
	for _, l := range links.Imports {
		params, results, ok := g.function(l)
		switch {
		case !ok:
			k := key{l.Module, l.Kind}
			of := index[k]
			if of == nil {
				of = &group{module: l.Module, kind: l.Kind, remedy: g.remedies[l.Module]}
				groups, index[k] = append(groups, of), of
			}
			if of.count++; len(of.names) < contract.MaxNamed {
				of.names = append(of.names, meter.Plain(l.Name))
			}
		case !contract.SameType(l, params, results):
			has := l
			has.Params, has.Results = params, results
			fault := fmt.Errorf("imports %s.%s, the host has %s", meter.Plain(l.Module), contract.Signature(l), contract.Signature(has))
			if says := g.mistyped[[2]string{l.Module, l.Name}]; says != nil && says(l.Params) != "" {
				fault = fmt.Errorf("%w: %s", fault, says(l.Params))
			}
			wrong = append(wrong, fault)
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
