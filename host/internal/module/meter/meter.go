// Package meter rewrites a plugin's binary before it is compiled, so that the host
// can stop its guests, count what they do and put them back.
//
// The binary is not to be trusted, and not validated yet. Whatever the pass does not
// know it refuses; what it adds, indices of the original cannot reach; and it leaves
// every fault of the original for the compiler to find. It has to see the
// instructions that the compiler sees: where the compiler reads an encoding in its
// own way, or one of features that are off, the pass refuses it.
//
// # Metering
//
// A global counts fuel down. Code is divided into segments, each of which begins by
// taking from the global what all its instructions cost, and calls the host if that
// leaves less than nothing. A segment begins where a function does, a loop, after a
// loop, and wherever a jump arrives that started in another segment. So no path
// executes an instruction that was not paid for; one that jumps forward within its
// segment pays for what it skips. A br_table pays at once for as much as can follow
// its targets before the next segment begins: what Go's compiler makes of a function
// is one loop around a br_table, of which each turn executes a small part.
//
// Another global counts how deep calls nest, at those calls without which they cannot
// go round: indirect ones, and those of a function that stands no earlier than its
// caller. Others, which are most, as compilers put a program's libraries first, cost
// nothing. Calls that nest too deep take so much fuel that the function called goes to
// the host, unless it calls nothing itself.
//
// Operations on ranges of memory and tables cost by their length as well. Those on
// memory are made in pieces when they are long.
//
// # Control flow
//
// Functions that Go's compiler has made are written anew without their table, see flow, and
// instructions of theirs as wazero's compiler makes better code of them. They do the same in
// less time, but for addresses that are sums beyond 4 GiB, see sum: they are out of bounds.
//
// # Data
//
// Segments of data that lie close together are put together, always: see runs.
package meter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// What the host provides, and finds among the exports.
const (
	// ImportModule and ImportYield are the function, without parameters and
	// results, that the guest calls when its fuel is less than 0.
	ImportModule = "resonhost_meter"
	ImportYield  = "yield"
	// FuelExport is the i64 that counts down; the guest begins with 0.
	FuelExport = "resonhost_meter.fuel"
	// DepthExport is an i32, how much deeper calls may nest. When that is less than 0 the
	// guest owes TooDeep units of fuel at each further call, and so comes to the host before
	// calls nest deeper by more than one.
	DepthExport = "resonhost_meter.depth"
	// TooDeep is more fuel than anything else costs.
	TooDeep = 1 << 40
	// DirtyExport is an i32, which is set to 1 by what restoring memory and
	// globals does not undo: changes of tables, and the dropping of segments.
	DirtyExport = "resonhost_meter.dirty"
	// globalExport and a number name the program's own globals.
	globalExport = "resonhost_meter.global."
)

// Options are what the pass does besides checking limits and putting data together.
type Options struct {
	// Meter has the guest count fuel and the depth of its calls, and yield.
	Meter bool
	// Depth is how deep calls may nest, not negative.
	Depth int32
	// Reloop has functions of Go's compiler jump without a table.
	Reloop bool
	// Guards are the instructions that become others, see [Guards].
	Guards Guards
	// Reset makes all variable globals reachable, and adds DirtyExport.
	Reset bool
}

// Module is a binary that was rewritten.
type Module struct {
	WASM []byte `json:"-"`
	// Globals are the exports of the program's variable globals, and Opaque those
	// whose values the host cannot hold: vectors and references. Only with Reset.
	Globals []string `json:"globals"`
	Opaque  []string `json:"opaque"`
}

// Numbers of sections.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	sections
)

var sectionNames = [sections]string{
	"custom section", "type section", "import section", "function section", "table section", "memory section",
	"global section", "export section", "start section", "element section", "code section", "data section", "data count section",
}

// sectionOrder is where the sections stand.
var sectionOrder = [sections]int{
	secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secGlobal: 6, secExport: 7,
	secStart: 8, secElement: 9, secDataCount: 10, secCode: 11, secData: 12,
}

// Types of values.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
)

// rewriter holds what is known of the binary.
type rewriter struct {
	limits Limits
	opts   Options
	secs   [sections][]byte // contents
	at     [sections]int    // their offsets
	names  []byte           // the content of the name section, behind its name
	debug  bool             // it has sections of DWARF, as debug builds have

	params    [][]byte   // of each type
	results   [][]byte   // likewise
	funcTypes []uint32   // of each function, imported ones first
	relooped  []relooped // by function
	floats    floats
	unrolled  int      // words that blocks of memory became
	imported  uint32   // functions
	tables    []byte   // the types of their entries
	sizes     []uint32 // of tables, in entries
	memory    uint32   // how many there are
	pages     uint32   // of the memory
	globals   []global
	exported  map[string]bool
	over      map[limit]*excess // by functions
	room      int               // how long the next function may become, in bytes
	grown     bool              // one became longer
	validator validator

	yieldType, rangeType uint32 // () → (), and (i32, i32, i32) → ()
	fuel, depth, dirty   uint32 // globals
	fill, copy           uint32 // functions
}

type global struct {
	typ      byte
	variable bool
	export   string
}

// Rewrite returns the binary with what the options ask for. It never changes wasm.
// Binaries that exceed a limit are a [*LimitError].
func Rewrite(wasm []byte, limits Limits, opts Options) (*Module, error) {
	w := &rewriter{limits: limits.withDefaults(), opts: opts, exported: make(map[string]bool)}
	if err := w.split(wasm); err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(wasm)+len(wasm)/2), wasm[:8]...)
	m := new(Module)
	for _, step := range []func([]byte) ([]byte, error){
		w.types, w.imports, w.functions, w.tableSection, w.memories, w.globalSection,
		func(b []byte) ([]byte, error) { return w.exports(b, m) },
		w.start, w.elements, w.dataCount, w.code, w.data, w.nameSection,
	} {
		var err error
		if out, err = step(out); err != nil {
			return nil, err
		}
	}
	m.WASM = out
	return m, nil
}

// split finds the sections.
func (w *rewriter) split(wasm []byte) error {
	const header = 8
	if len(wasm) < header || string(wasm[:header]) != "\x00asm\x01\x00\x00\x00" {
		return errors.New("not a WebAssembly module of version 1")
	}
	r := &reader{buf: wasm, pos: header, what: "binary"}
	last := 0
	for !r.done() {
		id := r.byte()
		size := r.u32()
		at := r.pos
		content := r.bytes(size)
		switch {
		case r.err != nil:
		case id == secCustom:
			c := &reader{buf: content, base: at, what: sectionNames[secCustom]}
			name := c.name()
			if c.err == nil && name == "name" && w.names == nil {
				w.names = content[c.pos:]
			}
			w.debug = w.debug || strings.HasPrefix(name, ".debug_")
			r.err = c.err
			// Others have addresses of code in them, which would be wrong.
		case id >= sections:
			r.unknownSection(id)
		case sectionOrder[id] <= last:
			r.failf("the %s is out of order", sectionNames[id])
		default:
			last = sectionOrder[id]
			w.secs[id], w.at[id] = content, at
		}
	}
	return r.err
}

// section returns a reader of a section, and the number of its items.
func (w *rewriter) section(id int) (r *reader, n uint32) {
	r = &reader{buf: w.secs[id], base: w.at[id], what: sectionNames[id]}
	if len(r.buf) == 0 && w.at[id] == 0 {
		return r, 0
	}
	n = r.count()
	return r, n
}

// end returns the section's error, which is one if something is left of it.
func (r *reader) end() error {
	if r.err == nil && !r.done() {
		r.failf("has more bytes than items")
	}
	return r.err
}

func (w *rewriter) types(out []byte) ([]byte, error) {
	r, n := w.section(secType)
	r.limit(limitTypes, uint64(n), w.limits.Types)
	start := r.pos
	for range n {
		if form := r.byte(); form != 0x60 && r.err == nil {
			r.unknownForm(form)
		}
		params := r.valueTypes()
		results := r.valueTypes()
		r.limit(limitArity, uint64(len(params))+uint64(len(results)), w.limits.Arity)
		if r.err != nil {
			break
		}
		w.params, w.results = append(w.params, params), append(w.results, results)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	content := slices.Clip(r.buf[start:])
	if w.opts.Meter {
		w.yieldType, w.rangeType = n, n+1
		content = append(content, 0x60, 0, 0, 0x60, 3, typeI32, typeI32, typeI32, 0)
		n += 2
	}
	return appendSection(out, secType, n, content), nil
}

var externNames = [...]string{"function", "table", "memory", "global"}

func (w *rewriter) imports(out []byte) ([]byte, error) {
	r, n := w.section(secImport)
	r.limit(limitImports, uint64(n), w.limits.Imports)
	start := r.pos
	for range n {
		module, name := r.name(), r.name()
		kind := r.byte()
		switch {
		case r.err != nil:
		case int(kind) >= len(externNames):
			r.failf("an import of the unknown kind %d", kind)
		case kind != 0:
			return nil, fmt.Errorf("imports the %s %s.%s, which the host does not grant", externNames[kind], Plain(module), Plain(name))
		case module == ImportModule:
			return nil, fmt.Errorf("imports %s.%s, which the host does not grant", module, Plain(name))
		}
		if !w.functionType(r) {
			break
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	w.imported = n
	content := slices.Clip(r.buf[start:])
	if w.opts.Meter {
		content = appendName(appendName(content, ImportModule), ImportYield)
		content = appendU32(append(content, 0), w.yieldType)
		n++
	}
	return appendSection(out, secImport, n, content), nil
}

// functionType reads the type of a further function. It returns false if it cannot.
func (w *rewriter) functionType(r *reader) bool {
	t := r.index("type", uint32(len(w.params)))
	if r.err != nil {
		return false
	}
	w.funcTypes = append(w.funcTypes, t)
	return true
}

func (w *rewriter) functions(out []byte) ([]byte, error) {
	r, n := w.section(secFunction)
	r.limit(limitFunctions, uint64(n)+uint64(w.imported), w.limits.Functions)
	start := r.pos
	for range n {
		if !w.functionType(r) {
			break
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	content := slices.Clip(r.buf[start:])
	if w.opts.Reloop {
		w.reloop()
		for _, f := range w.relooped {
			content = appendU32(content, w.funcTypes[f.index])
		}
		n += uint32(len(w.relooped))
	}
	if w.opts.Meter {
		w.fill = w.imported + 1 + n
		w.copy = w.fill + 1
		content = appendU32(appendU32(content, w.rangeType), w.rangeType)
		n += 2
	}
	return appendSection(out, secFunction, n, content), nil
}

// relooped is a function without its table, and as it was. The latter is a function of its
// own, with an index behind those that the binary has.
type relooped struct {
	index      uint32
	body, copy []byte
	at         int  // of the copy in the binary
	floats     bool // it has many
}

// reloop finds the functions that can do without their table. What is wrong with others is
// told when they are rewritten.
func (w *rewriter) reloop() {
	r, n := w.section(secCode)
	var f flow
	all := make([]byte, 0, len(r.buf)) // their bodies, one behind the other
	for i := range min(n, uint32(len(w.funcTypes))-w.imported) {
		size := r.u32()
		at := r.base + r.pos
		raw := r.bytes(size)
		if r.err != nil {
			return
		}
		t := w.funcTypes[w.imported+i]
		if uint64(size) > w.limits.Body || string(w.params[t]) != parted || string(w.results[t]) != parted {
			continue
		}
		if more, ok := f.reloop(all, raw); ok {
			w.relooped = append(w.relooped, relooped{w.imported + i, more[len(all):], raw, at, w.floats.add(f.floats)})
			all = more
		}
	}
}

// copyOf returns the index of the copy of a relooped function.
func (w *rewriter) copyOf(i int) uint32 { return w.moved(uint32(len(w.funcTypes) + i)) }

// parted is what a function whose argument is a part of it takes and returns.
const parted = string(rune(typeI32))

// function reads the index of a function and returns its new one.
func (w *rewriter) function(r *reader) uint32 {
	return w.moved(r.index("function", uint32(len(w.funcTypes))))
}

// moved returns the index of a function behind the import that was added.
func (w *rewriter) moved(i uint32) uint32 {
	if w.opts.Meter && i >= w.imported {
		i++
	}
	return i
}

func (w *rewriter) tableSection(out []byte) ([]byte, error) {
	r, n := w.section(secTable)
	r.limit(limitTables, uint64(n), w.limits.Tables)
	var content []byte
	for range n {
		if r.peek(0) == 0x40 {
			r.unsupported(typedReferences, "a table with a first value")
		}
		elem := r.refType()
		flag := r.byte()
		r.limitFlags("a table", flag)
		least := r.u32()
		most := uint32(1<<32 - 1)
		if flag == 1 {
			most = r.u32()
		}
		r.limit(limitTable, uint64(least), w.limits.TableSize)
		if flag == 1 && most < least {
			r.failf("a table with more entries than it may have")
		}
		if r.err != nil {
			break
		}
		w.tables = append(w.tables, elem)
		content = append(content, elem, 1)
		w.sizes = append(w.sizes, least)
		content = appendU32(appendU32(content, least), uint32(min(uint64(most), w.limits.TableSize)))
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return appendSection(out, secTable, n, content), nil
}

func (w *rewriter) memories(out []byte) ([]byte, error) {
	r, n := w.section(secMemory)
	if n > 1 && r.err == nil {
		r.unsupported(multiMemory, fmt.Sprint(n, " memories"))
	}
	w.memory = n
	start := r.pos
	for range n {
		flag := r.byte()
		r.limitFlags("a memory", flag)
		w.pages = r.u32()
		if flag == 1 {
			r.u32()
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return appendSection(out, secMemory, n, r.buf[start:]), nil
}

func (w *rewriter) globalSection(out []byte) ([]byte, error) {
	r, n := w.section(secGlobal)
	r.limit(limitGlobals, uint64(n), w.limits.Globals)
	var content []byte
	for range n {
		typ, variable := r.valueType(), r.byte()
		if variable > 1 {
			r.failf("a global of the unknown mutability %d", variable)
		}
		// Initialisers see imported globals alone, of which there are none.
		content = w.constant(r, append(content, typ, variable), uint32(len(w.globals)))
		if r.err != nil {
			break
		}
		w.globals = append(w.globals, global{typ: typ, variable: variable == 1})
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if w.opts.Meter {
		w.fuel = n
		w.depth = n + 1
		content = append(content, typeI64, 1, opI64Const, 0, opEnd)
		content = append(appendS32(append(content, typeI32, 1, opI32Const), w.opts.Depth), opEnd)
		n += 2
	}
	if w.opts.Reset {
		w.dirty = n
		content = append(content, typeI32, 1, opI32Const, 0, opEnd)
		n++
	}
	content, n = w.floats.section(content, n)
	return appendSection(out, secGlobal, n, content), nil
}

// constant copies a constant expression. It may name the first globals.
func (w *rewriter) constant(r *reader, out []byte, globals uint32) []byte {
	for r.err == nil {
		start := r.pos
		switch op := r.byte(); op {
		case opEnd:
			return append(out, op)
		case opI32Const:
			r.skipLEB(5)
		case opI64Const:
			r.skipLEB(10)
		case opF32Const:
			r.bytes(4)
		case opF64Const:
			r.bytes(8)
		case opGlobalGet:
			if r.index("global", globals); r.err == nil { // it is one of the module's own: others were refused
				r.unsupported(extendedConstants, "global.get of a global that is not imported")
			}
		case opRefNull:
			r.refType()
		case opRefFunc:
			out = appendU32(append(out, op), w.function(r))
			continue
		case opVector:
			if sub := r.vectorOp(); sub != 12 {
				r.failf("a constant expression with the vector instruction %d", sub)
			}
			r.bytes(16)
		default:
			r.unknownConstant(op)
		}
		if r.err == nil {
			out = append(out, r.buf[start:r.pos]...)
		}
	}
	return out
}

func (w *rewriter) exports(out []byte, m *Module) ([]byte, error) {
	r, n := w.section(secExport)
	r.limit(limitExports, uint64(n), w.limits.Exports)
	var content []byte
	for range n {
		name := r.name()
		kind := r.byte()
		var index uint32
		switch kind {
		case 0:
			index = w.function(r)
		case 1:
			index = r.index("table", uint32(len(w.tables)))
		case 3:
			index = r.index("global", uint32(len(w.globals)))
			if r.err == nil {
				w.globals[index].export = name
			}
		default: // a memory, or what the compiler will not know
			index = r.u32()
		}
		if r.err != nil {
			break
		}
		w.exported[name] = true
		content = appendU32(append(appendName(content, name), kind), index)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	add := func(name string, index uint32) error {
		if w.exported[name] {
			return fmt.Errorf("exports %s, a name that is the host's", Quote(name))
		}
		content = appendU32(append(appendName(content, name), 3), index)
		n++
		return nil
	}
	var errs []error
	if w.opts.Meter {
		errs = append(errs, add(FuelExport, w.fuel), add(DepthExport, w.depth))
	}
	if w.opts.Reset {
		errs = append(errs, add(DirtyExport, w.dirty))
		for i, g := range w.globals {
			if !g.variable {
				continue
			}
			if g.export == "" {
				g.export = fmt.Sprint(globalExport, i)
				errs = append(errs, add(g.export, uint32(i)))
			}
			if g.typ == typeV128 || g.typ <= typeFuncref {
				m.Opaque = append(m.Opaque, g.export)
			} else {
				m.Globals = append(m.Globals, g.export)
			}
		}
	}
	return appendSection(out, secExport, n, content), errors.Join(errs...)
}

func (w *rewriter) start(out []byte) ([]byte, error) {
	if w.at[secStart] == 0 {
		return out, nil
	}
	r := &reader{buf: w.secs[secStart], base: w.at[secStart], what: sectionNames[secStart]}
	content := appendU32(nil, w.function(r))
	if err := r.end(); err != nil {
		return nil, err
	}
	return append(appendU32(append(out, secStart), uint32(len(content))), content...), nil
}

// elements copies the element section. The three lowest bits of a segment's flags
// say: passive or declared, with a table or declared, with expressions.
func (w *rewriter) elements(out []byte) ([]byte, error) {
	r, n := w.section(secElement)
	_, datas := w.section(secData)
	r.limit(limitSegments, uint64(n)+uint64(datas), w.limits.Segments)
	var content []byte
	var elements uint64
	for segment := range n {
		flags := r.u32()
		if flags > 7 {
			r.failf("a segment with the unknown flags 0x%x", flags)
		}
		content = appendU32(content, flags)
		table, at := uint32(0), []byte(nil)
		if flags&1 == 0 {
			if flags&2 != 0 {
				table = r.index("table", uint32(len(w.tables)))
				content = appendU32(content, table)
			}
			start := r.pos
			content = w.constant(r, content, uint32(len(w.globals)))
			at = r.buf[start:r.pos]
		}
		switch {
		case flags&3 == 0:
		case flags&4 != 0:
			content = append(content, r.refType())
		default:
			content = append(content, r.byte()) // its kind
		}
		count := r.count()
		elements += uint64(count)
		content = appendU32(content, count)
		if from, ok := number(at); ok && table < uint32(len(w.tables)) && from+uint64(count) > uint64(w.sizes[table]) {
			// Wazero would leave it out, and all behind it.
			r.failf("segment %d ends at entry %d, and its table at %d", segment, from+uint64(count), w.sizes[table])
		}
		for i := uint32(0); i < count && r.err == nil; i++ {
			if flags&4 != 0 {
				content = w.constant(r, content, uint32(len(w.globals)))
			} else {
				content = appendU32(content, w.function(r))
			}
		}
		if r.err != nil {
			break
		}
	}
	r.limit(limitElements, elements, w.limits.Elements)
	if err := r.end(); err != nil {
		return nil, err
	}
	return appendSection(out, secElement, n, content), nil
}

func (w *rewriter) dataCount(out []byte) ([]byte, error) {
	if w.at[secDataCount] == 0 {
		return out, nil
	}
	content := w.secs[secDataCount]
	return append(appendU32(append(out, secDataCount), uint32(len(content))), content...), nil
}

func (w *rewriter) data(out []byte) ([]byte, error) {
	r, n := w.section(secData)
	start := r.pos
	joined := runs{odd: w.at[secDataCount] != 0} // there are instructions that name segments
	for segment := range n {
		flags := r.u32()
		if flags > 2 {
			r.failf("a segment with the unknown flags 0x%x", flags)
		}
		if flags == 2 {
			r.u32()
		}
		address := r.pos
		if flags != 1 {
			w.constant(r, nil, uint32(len(w.globals)))
		}
		behind := r.pos
		data := r.bytes(r.u32())
		if r.err != nil {
			break
		}
		const page = 64 << 10
		if from, ok := number(r.buf[address:behind]); ok && w.memory > 0 && from+uint64(len(data)) > uint64(w.pages)*page {
			r.failf("segment %d ends at byte %d, and the memory at %d", segment, from+uint64(len(data)), uint64(w.pages)*page)
			break
		}
		joined.add(flags, r.buf[address:behind], data)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if content := joined.section(); content != nil {
		return appendSection(out, secData, uint32(len(joined.list)), content), nil
	}
	return appendSection(out, secData, n, r.buf[start:]), nil
}

// nameSection copies the names of functions, which stack traces show. What is wrong
// with it costs the names, as it would elsewhere.
func (w *rewriter) nameSection(out []byte) ([]byte, error) {
	r := &reader{buf: w.names, what: "name section"}
	for !r.done() {
		id, size := r.byte(), r.u32()
		body := &reader{buf: r.bytes(size), what: r.what}
		if id != functionNames || r.err != nil {
			continue
		}
		var names, copies []byte
		count, left := uint32(0), w.relooped
		for range body.count() {
			i, name := body.u32(), body.name()
			if !utf8.ValidString(name) { // which the compiler refuses
				return out, nil
			}
			if body.err != nil {
				break
			}
			if uint64(i) >= uint64(len(w.funcTypes)) { // it is of no function
				continue
			}
			names = appendName(appendU32(names, w.moved(i)), name)
			count++
			for len(left) > 0 && left[0].index < i {
				left = left[1:]
			}
			if len(left) > 0 && left[0].index == i {
				copies = appendName(appendU32(copies, w.copyOf(len(w.relooped)-len(left))), name)
				count++
			}
		}
		if body.end() != nil {
			break
		}
		content := slices.Concat(appendU32(nil, count), names, copies)
		section := append(appendName(nil, "name"), functionNames)
		section = append(appendU32(section, uint32(len(content))), content...)
		return append(appendU32(append(out, secCustom), uint32(len(section))), section...), nil
	}
	return out, nil //nolint:nilerr // a program runs without its names
}
