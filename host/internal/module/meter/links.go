package meter

import "slices"

// Link is an import or an export of a binary.
type Link struct {
	Module string // of an import
	Name   string
	// Kind is one of KindFunction and the like.
	Kind byte
	// Params and Results are a function's; Typed is whether they are known.
	Params, Results []byte
	Typed           bool
	// Constructs is whether an exported function begins with a call of FirstCall, which takes
	// and returns nothing.
	Constructs bool
	FirstCall  uint32

	index uint32 // of what is exported
}

// Kinds of links.
const (
	KindFunction = iota
	KindTable
	KindMemory
	KindGlobal
	KindTag
)

// KindName is what a link's kind is called.
func KindName(kind byte) string {
	if int(kind) < len(externNames) {
		return externNames[kind]
	}
	return "tag"
}

// Links are what a binary imports and exports, in its order. The names are the binary's.
type Links struct {
	Imports, Exports []Link
	// Further is how many more imports there are, which were not read.
	Further uint64
	// Memory is what its own memory begins with, in bytes; 0 without one.
	Memory uint64
}

// Function returns the function that the binary exports by that name.
func (l *Links) Function(name string) (Link, bool) {
	i := slices.IndexFunc(l.Exports, func(e Link) bool { return e.Kind == KindFunction && e.Name == name })
	if i < 0 {
		return Link{}, false
	}
	return l.Exports[i], true
}

// ExportsMemory reports whether the binary exports a memory by that name.
func (l *Links) ExportsMemory(name string) bool {
	return slices.ContainsFunc(l.Exports, func(e Link) bool { return e.Kind == KindMemory && e.Name == name })
}

// maxLinks is how many imports and exports are kept each, whatever the limits: they are also to
// tell what a binary is that exceeds them.
const maxLinks = 10_000

// ReadLinks reads what a binary imports and exports, and checks it up to there: all but its
// segments and its code. Links are there beside an error, too, as far as they could be read,
// unless the binary's form is wrong.
func ReadLinks(wasm []byte, limits Limits) (*Links, error) {
	w := &rewriter{limits: limits.withDefaults(), exported: make(map[string]bool)}
	if err := w.split(wasm); err != nil {
		return new(Links), err
	}
	_, err := w.types(nil)
	links := w.links()
	if err != nil || slices.ContainsFunc(links.Imports, func(l Link) bool { return l.Kind != KindFunction }) {
		return links, err // what follows counts its own tables, memories and globals alone
	}
	for _, step := range []func([]byte) ([]byte, error){
		w.imports, w.functions, w.tableSection, w.memories, w.globalSection,
		func(b []byte) ([]byte, error) { return w.exports(b, new(Module)) },
	} {
		if _, err := step(nil); err != nil {
			return links, err
		}
	}
	w.firstCalls(links)
	if w.memory > 0 {
		links.Memory = uint64(w.pages) << 16
	}
	return links, nil
}

// links reads the imports and exports as far as it understands them.
func (w *rewriter) links() *Links {
	links := new(Links)
	var types []uint32 // of functions
	r, n := w.section(secImport)
	links.Further = uint64(n - min(n, maxLinks))
	for range min(n, maxLinks) {
		l := Link{Module: r.name(), Name: r.name(), Kind: r.byte()}
		switch l.Kind {
		case KindFunction:
			types = append(types, r.u32())
			w.signature(&l, types[len(types)-1])
		case KindTable:
			r.anyType()
			r.anyLimits()
		case KindMemory:
			r.anyLimits()
		case KindGlobal:
			r.anyType()
			r.byte()
		case KindTag:
			r.byte()
			r.u32()
		default:
			return links
		}
		if r.err != nil {
			return links
		}
		links.Imports = append(links.Imports, l)
	}
	r, n = w.section(secFunction)
	for range min(uint64(n), w.limits.Functions) {
		types = append(types, r.u32())
	}
	r, n = w.section(secExport)
	for range min(n, maxLinks) {
		l := Link{Name: r.name(), Kind: r.byte()}
		l.index = r.u32()
		if r.err != nil {
			return links
		}
		if l.Kind == KindFunction && uint64(l.index) < uint64(len(types)) {
			w.signature(&l, types[l.index])
		}
		links.Exports = append(links.Exports, l)
	}
	return links
}

// firstCalls looks at how exported functions begin.
func (w *rewriter) firstCalls(links *Links) {
	calls := make(map[uint32]uint32) // by function
	r, n := w.section(secCode)
	for i := range n {
		body := &reader{buf: r.bytes(r.u32())}
		for range body.count() { // variables
			body.u32()
			body.byte()
		}
		if op, f := body.byte(), body.u32(); body.err == nil && op == opCall && uint64(f) < uint64(len(w.funcTypes)) {
			if t := w.funcTypes[f]; len(w.params[t])+len(w.results[t]) == 0 {
				calls[w.imported+i] = f
			}
		}
		if r.err != nil {
			return
		}
	}
	for i := range links.Exports {
		if l := &links.Exports[i]; l.Kind == KindFunction {
			l.FirstCall, l.Constructs = calls[l.index]
		}
	}
}

// signature sets a link's type, if there is one of that index.
func (w *rewriter) signature(l *Link, t uint32) {
	if uint64(t) < uint64(len(w.params)) {
		l.Params, l.Results, l.Typed = w.params[t], w.results[t], true
	}
}

// anyType reads the type of a value or of a reference, those beyond WebAssembly 2.0 included.
func (r *reader) anyType() {
	if t := r.byte(); t == 0x63 || t == 0x64 {
		r.s33()
	}
}

// anyLimits reads the limits of a table or memory, likewise.
func (r *reader) anyLimits() {
	flags := r.byte()
	r.skipLEB(10)
	if flags&1 != 0 {
		r.skipLEB(10)
	}
	if flags&8 != 0 {
		r.u32()
	}
}
