package differ

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// u32 is an unsigned LEB128 number.
func u32(v int) []byte {
	return binary.AppendUvarint(nil, uint64(v))
}

// sleb appends a signed LEB128 number.
func sleb(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// hostFunc is what the host provides, as module env.
type hostFunc struct {
	name            string
	params, results []kind
}

// hostFuncs are mixing numbers to another, looking at memory, and making and looking at a
// reference. None is called with a loose float, whose bits the host would see.
var hostFuncs = []hostFunc{
	{"mix", kinds("ildf"), kinds("l")},
	{"peek", kinds("i"), kinds("i")},
	{"refer", kinds("i"), kinds("e")},
	{"number", kinds("e"), kinds("l")},
	{"twice", kinds("fd"), kinds("df")},
}

// Numbers of what each module has besides its own.
const (
	callsGlobal = 0 // how many calls there may still be, i32
	ownGlobals  = 1
	maxCalls    = 40
	maxPages    = 3
	maxTable    = 20
)

// encoder writes a program as a binary.
type encoder struct {
	p     *program
	types [][]byte
	index []int // of functions, by their number in the program
	// outline is which instructions are written as calls of functions of their own, where
	// nothing else is in a register; outlined are these functions.
	outline  func(*node) bool
	outlined []outlined
	first    int // the index of the first outlined function
	err      error

	// Of the function that is being written.
	f      *function
	out    []byte
	blocks []int        // the labels of those that are open
	locals map[int]int  // by number in the program
	extra  []kind       // variables that the program does not know
	temps  map[kind]int // those of canon
}

type outlined struct {
	key             string
	params, results []kind
	body            []byte
}

func (e *encoder) typ(params, results []kind) int {
	t := []byte{0x60}
	for _, list := range [][]kind{params, results} {
		t = append(t, u32(len(list))...)
		for _, k := range list {
			t = append(t, k.wasm())
		}
	}
	for i, other := range e.types {
		if bytes.Equal(other, t) {
			return i
		}
	}
	e.types = append(e.types, t)
	return len(e.types) - 1
}

func section(b []byte, id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return b
	}
	content := u32(len(items))
	for _, item := range items {
		content = append(content, item...)
	}
	return append(append(append(b, id), u32(len(content))...), content...)
}

func text(s string) []byte { return append(u32(len(s)), s...) }

// encode writes the program. Functions that were removed are left out, and so are variables
// that nothing names.
func (p *program) encode() ([]byte, error) { return p.encodeOutlined(nil) }

func (p *program) encodeOutlined(outline func(*node) bool) ([]byte, error) {
	e := &encoder{p: p, outline: outline}
	var imports, funcs, codes, exports, globals [][]byte
	for _, h := range hostFuncs {
		imports = append(imports, slices.Concat(text("env"), text(h.name), []byte{0}, u32(e.typ(h.params, h.results))))
	}
	e.index = make([]int, len(p.funcs))
	next := len(hostFuncs)
	for i, f := range p.funcs {
		if f.removed {
			e.index[i] = -1
			continue
		}
		e.index[i] = next
		next++
		funcs = append(funcs, u32(e.typ(f.params, f.results)))
	}
	dump := next
	funcs = append(funcs, u32(e.typ(nil, nil)))
	e.first = dump + 1
	for _, f := range p.funcs {
		if !f.removed {
			codes = append(codes, e.function(f))
		}
	}
	codes = append(codes, e.dump())
	for _, o := range e.outlined {
		funcs = append(funcs, u32(e.typ(o.params, o.results)))
		codes = append(codes, append(u32(len(o.body)+1), append([]byte{0}, o.body...)...))
	}
	globals = append(globals, append([]byte{0x7f, 1}, append(constant(i32, le(maxCalls)), 0x0b)...))
	for i, g := range p.globals {
		globals = append(globals, append([]byte{g.kind.wasm(), 1}, append(constant(g.kind, g.init), 0x0b)...))
		if g.kind != v128 {
			exports = append(exports, slices.Concat(text(fmt.Sprint("g", i)), []byte{3}, u32(i+ownGlobals)))
		}
	}
	exports = append(exports,
		slices.Concat(text("f"), []byte{0}, u32(e.index[0])), slices.Concat(text("dump"), []byte{0}, u32(dump)), slices.Concat(text("memory"), []byte{2, 0}))
	element := func(head []byte, list []int) []byte {
		b := slices.Concat(head, u32(len(list)))
		for _, f := range list {
			if f < 0 || p.funcs[f].removed {
				b = append(b, 0xd0, 0x70, 0x0b)
				continue
			}
			b = append(append(append(b, 0xd2), u32(e.index[f])...), 0x0b)
		}
		return b
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = section(out, 1, e.types)
	out = section(out, 2, imports)
	out = section(out, 3, funcs)
	out = section(out, 4, [][]byte{slices.Concat([]byte{0x70, 1}, u32(len(p.table)), u32(maxTable)), {0x6f, 1, 2, maxTable}})
	out = section(out, 5, [][]byte{{1, byte(p.pages), maxPages}})
	out = section(out, 6, globals)
	out = section(out, 7, exports)
	out = section(out, 9, [][]byte{element([]byte{4, 0x41, 0, 0x0b}, p.table), element([]byte{5, 0x70}, p.passive)})
	out = append(out, 12, 1, 2) // two segments of data
	out = section(out, 10, codes)
	out = section(out, 11, [][]byte{
		slices.Concat([]byte{0, 0x41, 0, 0x0b}, u32(len(p.data)), p.data), slices.Concat([]byte{1}, u32(len(p.init)), p.init),
	})
	return out, e.err
}

// le is a number as the bits of a constant.
func le(v uint64) (b [16]byte) {
	binary.LittleEndian.PutUint64(b[:], v)
	return b
}

// constant is the instruction that leaves the bits.
func constant(k kind, bits [16]byte) []byte {
	switch k.exact() {
	case i32:
		return sleb([]byte{0x41}, int64(int32(binary.LittleEndian.Uint32(bits[:]))))
	case i64:
		return sleb([]byte{0x42}, int64(binary.LittleEndian.Uint64(bits[:])))
	case f32:
		return append([]byte{0x43}, bits[:4]...)
	case f64:
		return append([]byte{0x44}, bits[:8]...)
	case v128:
		return append([]byte{0xfd, 12}, bits[:]...)
	}
	return []byte{0xd0, k.wasm()}
}

// dump is a function that shows in memory what the host cannot look at: vectors in globals,
// and what tables have become.
func (e *encoder) dump() []byte {
	const at = 0xc000
	b := []byte{0}
	i := 0
	for n, g := range e.p.globals {
		if g.kind == v128 {
			b = append(sleb(append(b, 0x41), int64(at+16*i)), 0x23)
			b = append(append(b, u32(n+ownGlobals)...), 0xfd, 11, 0, 0)
			i++
		}
	}
	for t := range 2 {
		b = append(sleb(append(b, 0x41), int64(at+0x200+4*t)), 0xfc, 16, byte(t), 0x36, 0, 0)
	}
	b = append(b, 0x0b)
	return append(u32(len(b)), b...)
}

func (e *encoder) emit(b ...byte) { e.out = append(e.out, b...) }

// function writes a body with its variables.
func (e *encoder) function(f *function) []byte {
	e.f, e.out, e.blocks = f, nil, []int{0}
	e.extra, e.temps, e.locals = nil, make(map[kind]int), make(map[int]int)
	for i := range f.params {
		e.locals[i] = i
	}
	if f == e.p.funcs[0] {
		e.emit(append(append(constant(i32, le(maxCalls)), 0x24), callsGlobal)...)
	} else if f.calls() {
		// if (calls = calls - 1) < 0 { return what is zero }
		e.emit(0x23, callsGlobal, 0x41, 1, 0x6b, 0x24, callsGlobal, 0x23, callsGlobal, 0x41, 0, 0x48, 0x04, 0x40)
		for _, k := range f.results {
			e.emit(constant(k, [16]byte{})...)
		}
		e.emit(0x0f, 0x0b)
	}
	e.nodes(f.body)
	e.emit(0x0b)
	decls := u32(len(e.extra))
	for _, k := range e.extra {
		decls = append(decls, 1, k.wasm())
	}
	body := slices.Concat(decls, e.out)
	return slices.Concat(u32(len(body)), body)
}

func (e *encoder) variable(k kind) int {
	e.extra = append(e.extra, k)
	return len(e.f.params) + len(e.extra) - 1
}

// local returns the index of a variable of the program.
func (e *encoder) local(i int) []byte {
	at, ok := e.locals[i]
	if !ok {
		at = e.variable(e.f.locals[i])
		e.locals[i] = at
	}
	return u32(at)
}

// temp returns the index of a variable for what canon looks at.
func (e *encoder) temp(k kind) []byte {
	at, ok := e.temps[k]
	if !ok {
		at = e.variable(k)
		e.temps[k] = at
	}
	return u32(at)
}

func (e *encoder) nodes(list []*node) {
	for _, n := range list {
		e.node(n)
	}
}

// depth is how many blocks a jump to the label leaves.
func (e *encoder) depth(label int) []byte {
	for i, l := range slices.Backward(e.blocks) {
		if l == label {
			return u32(len(e.blocks) - 1 - i)
		}
	}
	e.err = fmt.Errorf("no block has label %d", label)
	return []byte{0}
}

func (e *encoder) open(kind byte, n *node, body ...[]*node) {
	e.emit(kind)
	switch {
	case len(n.params) == 0 && len(n.results) == 0:
		e.emit(0x40)
	case len(n.params) == 0 && len(n.results) == 1:
		e.emit(n.results[0].wasm())
	default:
		e.out = sleb(e.out, int64(e.typ(n.params, n.results)))
	}
	e.blocks = append(e.blocks, n.label)
	e.nodes(body[0])
	if len(body) > 1 && len(body[1]) > 0 {
		e.emit(0x05)
		e.nodes(body[1])
	}
	e.blocks = e.blocks[:len(e.blocks)-1]
	e.emit(0x0b)
}

func (e *encoder) node(n *node) {
	e.nodes(n.kids)
	if e.outline != nil && e.outline(n) {
		e.call(n)
		return
	}
	switch n.code {
	case seqNode:
	case opNode:
		e.emit(e.instruction(n)...)
	case constNode:
		e.emit(constant(n.kind, n.bits)...)
	case localGet, localSet, localTee:
		e.emit(0x20 + byte(n.code-localGet))
		e.emit(e.local(n.index)...)
	case globalGet, globalSet:
		e.emit(0x23 + byte(n.code-globalGet))
		e.emit(u32(n.index + ownGlobals)...)
	case blockNode:
		e.open(0x02, n, n.body)
	case ifNode:
		e.open(0x04, n, n.body, n.alt)
	case loopNode:
		e.emit(constant(i32, le(uint64(n.count)))...)
		e.emit(0x21)
		e.emit(e.local(n.index)...)
		e.open(0x03, n, n.body)
	case againNode:
		// The condition, and (counter = counter - 1) > 0.
		v := e.local(n.index)
		e.emit(slices.Concat([]byte{0x20}, v, []byte{0x41, 1, 0x6b, 0x22}, v, []byte{0x41, 0, 0x4a})...)
		if n.count > 0 { // there is a condition
			e.emit(0x71)
		}
		e.emit(0x0d)
		e.emit(e.depth(n.label)...)
	case brNode, brIfNode:
		e.emit(0x0c + byte(n.code-brNode))
		e.emit(e.depth(n.label)...)
	case brTable:
		e.emit(0x0e)
		e.emit(u32(len(n.labels) - 1)...)
		for _, l := range n.labels {
			e.emit(e.depth(l)...)
		}
	case returnNode:
		e.emit(0x0f)
	case callNode:
		if e.index[n.index] < 0 {
			e.err = fmt.Errorf("function %d was removed", n.index)
			return
		}
		e.emit(0x10)
		e.emit(u32(e.index[n.index])...)
	case hostCall:
		e.emit(0x10)
		e.emit(u32(n.index)...)
	case callIndir:
		e.emit(0x11)
		e.emit(u32(e.typ(n.params, n.results))...)
		e.emit(0)
	case selectNode:
		e.emit(0x1b)
	case selectT:
		e.emit(0x1c, 1, n.kind.wasm())
	case canonNode:
		e.canon(n)
	case dropNode:
		e.emit(0x1a)
	case trapNode:
		e.emit(0x00)
	case shuffle:
		e.emit(0xfd, 13)
		e.emit(n.bits[:]...)
	case memSize:
		e.emit(0x3f, 0)
	case memGrow:
		e.emit(0x40, 0)
	case memFill:
		e.emit(0xfc, 11, 0)
	case memCopy:
		e.emit(0xfc, 10, 0, 0)
	case memInit:
		e.emit(0xfc, 8, 1, 0)
	case dataDrop:
		e.emit(0xfc, 9, 1)
	case tableGet, tableSet:
		e.emit(0x25+byte(n.code-tableGet), byte(n.index))
	case tableSize:
		e.emit(0xfc, 16, byte(n.index))
	case tableGrow:
		e.emit(0xfc, 15, byte(n.index))
	case tableFill:
		e.emit(0xfc, 17, byte(n.index))
	case tableCopy:
		e.emit(0xfc, 14, byte(n.index), byte(n.index))
	case tableInit:
		e.emit(0xfc, 12, 1, 0)
	case elemDrop:
		e.emit(0xfc, 13, 1)
	case refNull:
		e.emit(0xd0, n.kind.wasm())
	case refIsNull:
		e.emit(0xd1)
	case refFunc:
		if e.index[n.index] < 0 {
			e.emit(0xd0, 0x70)
			return
		}
		e.emit(0xd2)
		e.emit(u32(e.index[n.index])...)
	default:
		panic(fmt.Sprint("node ", n.code))
	}
}

// instruction is one of the table with what it has besides operands.
func (e *encoder) instruction(n *node) []byte {
	b := slices.Clone(n.op.code)
	if n.op.form == memory || n.op.form == memoryLane {
		b = append(append(b, byte(n.align)), u32(int(n.offset))...)
	}
	if n.op.form == lane || n.op.form == memoryLane {
		b = append(b, byte(n.index))
	}
	return b
}

// The NaN that a canon leaves.
const (
	nan32 = 0x7fc00000
	nan64 = 0x7ff8000000000000
)

// Ways of a canon.
const (
	bySelect = iota // of floats
	byBits          // a select of integers
	byIf
	ways
)

// canon writes what makes one NaN of all. It comes in several ways, so that none of them
// hides a fault for good.
func (e *encoder) canon(n *node) {
	from := n.params[0]
	t := e.temp(n.kind)
	get, tee := append([]byte{0x20}, t...), append([]byte{0x22}, t...)
	if n.kind == v128 {
		bits, eq := le(nan64), byte(71)
		binary.LittleEndian.PutUint64(bits[8:], nan64)
		if from == f32x4 {
			eq = 65
			for i := range 4 {
				binary.LittleEndian.PutUint32(bits[4*i:], nan32)
			}
		}
		e.emit(slices.Concat(tee, constant(v128, bits), get, get, []byte{0xfd, eq}, []byte{0xfd, 82})...)
		return
	}
	eq, bits, toInt, toFloat, number, nan := byte(0x5b), f32, byte(0xbc), byte(0xbe), i32, le(nan32)
	if n.kind == f64 {
		eq, bits, toInt, toFloat, number, nan = 0x61, f64, 0xbd, 0xbf, i64, le(nan64)
	}
	switch n.index {
	case byBits:
		e.emit(slices.Concat(tee, []byte{toInt}, constant(number, nan), get, get, []byte{eq, 0x1b, toFloat})...)
	case byIf:
		e.emit(slices.Concat(tee, get, []byte{eq, 0x04, bits.wasm()}, get, []byte{0x05}, constant(bits, nan), []byte{0x0b})...)
	default:
		e.emit(slices.Concat(tee, constant(bits, nan), get, get, []byte{eq, 0x1b})...)
	}
}

// call writes an instruction as a call of a function that does no more.
func (e *encoder) call(n *node) {
	var params []kind
	var body []byte
	results := []kind{n.kind}
	switch n.code {
	case opNode:
		params, body = n.op.in, e.instruction(n)
	case selectNode, selectT:
		params, body = []kind{n.kind, n.kind, i32}, []byte{0x1c, 1, n.kind.wasm()}
	case shuffle:
		params, body = kinds("vv"), append([]byte{0xfd, 13}, n.bits[:]...)
	default:
		e.err = fmt.Errorf("%s stands for itself only", codeNames[n.code])
		return
	}
	if n.kind == none {
		results = nil
	}
	key := letters(params) + letters(results) + string(body)
	i := slices.IndexFunc(e.outlined, func(o outlined) bool { return o.key == key })
	if i < 0 {
		var whole []byte
		for p := range params {
			whole = append(append(whole, 0x20), u32(p)...)
		}
		i = len(e.outlined)
		e.outlined = append(e.outlined, outlined{key, params, results, append(append(whole, body...), 0x0b)})
	}
	e.emit(0x10)
	e.emit(u32(e.first + i)...)
}

func floatBits(v float64) [16]byte { return le(math.Float64bits(v)) }
