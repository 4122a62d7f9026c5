package meter

import (
	"bytes"
	"slices"
)

// validator checks the types of a function's code as the compiler will check those of what it
// becomes. The pass has to know itself that they are right: it ends functions and loops by jumps,
// which drop what is left on the stack, so that the compiler would not see that something is. And
// it has to know the types of what a select chooses from.
//
// One is used for function after function, with its memory.
type validator struct {
	w      *rewriter
	r      *reader
	locals []byte
	stack  []byte // types of values; unknown for one of code that cannot be reached
	blocks []block
	// selects are the types of the operands of each select without a type, in their order.
	selects []byte
	// guarded are the guards that some instruction asks for.
	guarded Guards
	labels  uint64 // of all br_tables
}

// block is one that is open.
type block struct {
	op              byte
	base            int // of its values on the stack, parameters included
	params, results []byte
	never           bool // the current place in it cannot be reached
}

// unknown is the type of a value that is never there.
const unknown = 0

// maxStack is how many values are on the stack at most. Compilers leave some hundreds there, and a
// thousand for a call. Without a bound a call of two bytes could put a thousand there each time.
const maxStack = 1 << 16

// label returns the types of what a jump to the block takes along.
func (b *block) label() []byte {
	if b.op == opLoop {
		return b.params
	}
	return b.results
}

// validate reads a function's body. What is wrong is the reader's error.
func (v *validator) validate(w *rewriter, r *reader, f uint32) {
	params, results := w.params[w.funcTypes[f]], w.results[w.funcTypes[f]]
	*v = validator{w: w, r: r, locals: append(v.locals[:0], params...), stack: v.stack[:0], blocks: v.blocks[:0], selects: v.selects[:0]}
	for range r.count() {
		n := r.u32()
		t := r.valueType()
		v.bound(uint64(len(v.locals))+uint64(n), w.limits.Locals)
		if r.err != nil {
			return
		}
		v.locals = append(v.locals, bytes.Repeat([]byte{t}, int(n))...)
	}
	v.blocks = append(v.blocks, block{results: results})
	for len(v.blocks) > 0 && r.err == nil {
		v.instruction()
	}
	if r.err == nil && !r.done() {
		r.failf("goes on behind its end")
	}
}

// bound ends the function if it has more of something than a limit allows, and so is refused in
// any case, by [body.excess]. Looking on would take memory, or time for the types of each.
func (v *validator) bound(got, most uint64) {
	if got > most && v.r.err == nil {
		v.r.err, v.r.pos = errLarge, len(v.r.buf)
	}
}

func (v *validator) current() *block { return &v.blocks[len(v.blocks)-1] }

func (v *validator) push(types ...byte) {
	v.stack = append(v.stack, types...)
	if len(v.stack) > maxStack {
		v.r.failf("has more than %d values on the stack", maxStack)
	}
}

func typeName(t byte) string {
	switch t {
	case typeI32:
		return "i32"
	case typeI64:
		return "i64"
	case typeF32:
		return "f32"
	case typeF64:
		return "f64"
	case typeV128:
		return "v128"
	case typeFuncref:
		return "funcref"
	case typeExternref:
		return "externref"
	}
	return "any"
}

// pop takes a value of a type, or of any if that is unknown, and returns its type.
func (v *validator) pop(want byte) byte {
	b := v.current()
	if len(v.stack) == b.base {
		if !b.never {
			v.r.failf("a value is missing, of type %s", typeName(want))
		}
		return want
	}
	got := v.stack[len(v.stack)-1]
	v.stack = v.stack[:len(v.stack)-1]
	switch {
	case got == unknown:
		return want
	case want != unknown && got != want:
		v.r.failf("a value of type %s, where %s is wanted", typeName(got), typeName(want))
	}
	return got
}

// popAll takes values of the types, the last one first.
func (v *validator) popAll(types []byte) { v.stack = v.stack[:len(v.stack)-v.top(types)] }

// top checks that values of the types are on top of the stack, and returns how many of them are
// there: in what cannot be reached, there may be fewer. Its time is that of comparing bytes, as a
// thousand types can be asked for by an instruction of two, or by each byte of a br_table.
func (v *validator) top(types []byte) int {
	b := v.current()
	have := v.stack[max(b.base, len(v.stack)-len(types)):]
	n := len(have)
	want := types[len(types)-n:]
	if n > 0 && have[0] == unknown { // others are known: it is of a select from what is missing
		have, want = have[1:], want[1:]
	}
	if !bytes.Equal(have, want) {
		for i, got := range slices.Backward(have) {
			if got != unknown && got != want[i] {
				v.r.failf("a value of type %s, where %s is wanted", typeName(got), typeName(want[i]))
				return n
			}
		}
	}
	if n < len(types) && !b.never {
		v.r.failf("a value is missing, of type %s", typeName(types[len(types)-n-1]))
	}
	return n
}

// never takes note that what follows cannot be reached.
func (v *validator) never() {
	b := v.current()
	v.stack, b.never = v.stack[:b.base], true
}

// target reads the label of a jump, and returns the types that it takes along.
func (v *validator) target() []byte {
	depth := v.r.u32()
	if uint64(depth) >= uint64(len(v.blocks)) {
		v.r.failf("a jump out of %d blocks, of which there are %d", uint64(depth)+1, len(v.blocks))
		return nil
	}
	return v.blocks[len(v.blocks)-1-int(depth)].label()
}

// table reads a br_table.
func (v *validator) table() {
	v.pop(typeI32)
	n := v.r.count()
	var first []byte
	for i := uint32(0); i <= n && v.r.err == nil; i++ {
		v.labels++
		v.bound(v.labels, v.w.limits.Jumps)
		types := v.target()
		if i == 0 {
			first = types
		} else if len(types) != len(first) {
			v.r.failf("a br_table to labels of %d and of %d values", len(first), len(types))
		}
		v.top(types)
	}
	v.never()
}

// single are lists of one type each.
var single = [...]byte{typeI32, typeI64, typeF32, typeF64, typeV128, typeFuncref, typeExternref}

// blockType reads a block's type.
func (v *validator) blockType() (params, results []byte) {
	switch t, index := v.r.blockType(v.w.params); {
	case v.r.err != nil || t == noType:
	case index < 0:
		results = single[bytes.IndexByte(single[:], t):][:1]
	default:
		params, results = v.w.params[index], v.w.results[index]
	}
	return params, results
}

func (v *validator) open(op byte) {
	params, results := v.blockType()
	if v.r.err != nil {
		return
	}
	if op == opIf {
		v.pop(typeI32)
	}
	v.popAll(params)
	v.bound(uint64(len(v.blocks)), v.w.limits.Jumps)
	v.blocks = append(v.blocks, block{op: op, base: len(v.stack), params: params, results: results})
	v.push(params...)
}

// close ends a block, or the first part of an if.
func (v *validator) close() block {
	b := *v.current()
	v.popAll(b.results)
	if left := len(v.stack) - b.base; left > 0 {
		v.r.failf("values left over at the end of a block: %d", left)
	}
	return b
}

// instruction reads the next instruction.
func (v *validator) instruction() {
	r := v.r
	start := r.pos
	switch op := r.byte(); {
	case op == opUnreachable:
		v.never()
	case op == opNop:
	case op == opBlock || op == opLoop || op == opIf:
		v.open(op)
	case op == opElse:
		b := v.close()
		if b.op != opIf {
			r.failf("an else without an if")
		}
		*v.current() = block{op: opElse, base: b.base, params: b.params, results: b.results}
		v.push(b.params...)
	case op == opEnd:
		b := v.close()
		if b.op == opIf && !bytes.Equal(b.params, b.results) {
			r.failf("an if without an else, of another result than its parameter")
		}
		v.blocks = v.blocks[:len(v.blocks)-1]
		if len(v.blocks) > 0 {
			v.push(b.results...)
		}
	case op == opBr:
		v.popAll(v.target())
		v.never()
	case op == opBrIf:
		types := v.target()
		v.pop(typeI32)
		v.popAll(types)
		v.push(types...)
	case op == opBrTable:
		v.table()
	case op == opReturn:
		v.popAll(v.blocks[0].results)
		v.never()
	case op == opCall:
		if f := r.index("function", uint32(len(v.w.funcTypes))); r.err == nil {
			v.call(v.w.funcTypes[f])
		}
	case op == opCallIndir:
		t := r.index("type", uint32(len(v.w.params)))
		if i := r.index("table", uint32(len(v.w.tables))); r.err == nil && v.w.tables[i] != typeFuncref {
			r.failf("an indirect call through a table of no functions")
		}
		if v.pop(typeI32); r.err == nil {
			v.call(t)
		}
	case op == opDrop:
		v.pop(unknown)
	case op == opSelect:
		v.choice(false)
	case op == opSelectT:
		if n := r.byte(); n != 1 {
			r.failf("a select of %d types", n)
		}
		r.valueType()
		v.choice(true)
	case op >= opLocalGet && op <= opLocalTee:
		if i := r.index("variable", uint32(len(v.locals))); r.err == nil {
			v.variable(op-opLocalGet, v.locals[i])
		}
	case op == opGlobalGet || op == opGlobalSet:
		if i := r.index("global", uint32(len(v.w.globals))); r.err == nil {
			g := v.w.globals[i]
			if op == opGlobalSet && !g.variable {
				r.failf("global %d cannot be set", i)
			}
			v.variable(op-opGlobalGet, g.typ)
		}
	case op == opTableGet || op == opTableSet:
		if i := r.index("table", uint32(len(v.w.tables))); r.err == nil {
			if t := v.w.tables[i]; op == opTableGet {
				v.apply(unary(typeI32, t))
			} else {
				v.apply(shape{operand: t, count: 1, second: typeI32})
			}
		}
	case op == opRefNull:
		v.push(r.refType())
	case op == opRefIsNull:
		if t := v.pop(unknown); t != unknown && t != typeFuncref && t != typeExternref {
			r.failf("a value of type %s, where a reference is wanted", typeName(t))
		}
		v.push(typeI32)
	case op == opRefFunc:
		r.index("function", uint32(len(v.w.funcTypes)))
		v.push(typeFuncref)
	case op == opBulk:
		v.bulk()
	case op == opVector:
		v.vector()
	default:
		s := plainShape(op)
		if s.result == unknown && s.count == 0 || !r.skip(op) {
			r.pos = start
			r.unknownOp(op)
		}
		v.apply(s)
		v.guarded |= guardOf(op)
	}
}

// choice reads the rest of a select. The compiler takes it by its operands' type, whatever type it
// says. So does the result: what a typed select says is read, and then not used.
//
// In what cannot be reached operands may be missing, and so unknown. The type is that of the one which
// is there, and unknown if neither is: then the result fits whatever is wanted of it. No guard is
// asked for, as [body.choice] writes nothing where the code cannot be reached.
func (v *validator) choice(typed bool) {
	v.pop(typeI32)
	t := v.pop(unknown)
	if u := v.pop(t); t == unknown {
		t = u
	}
	if !typed && (t == typeFuncref || t == typeExternref) {
		v.r.failf("a select of references without a type")
	}
	v.push(t)
	v.selects = append(v.selects, t)
	v.guarded |= selectGuard(t)
}

// variable reads the rest of a local.get, local.set or local.tee, of which the kind is 0, 1 or 2, or
// of the same of a global.
func (v *validator) variable(kind, t byte) {
	if kind > 0 {
		v.pop(t)
	}
	if kind != 1 {
		v.push(t)
	}
}

func (v *validator) call(t uint32) {
	v.popAll(v.w.params[t])
	v.push(v.w.results[t]...)
}

// bulk reads what is behind the prefix of conversions that saturate and of operations on ranges.
func (v *validator) bulk() {
	r := v.r
	three := shape{operand: typeI32, count: 3}
	table := func() byte {
		if i := r.index("table", uint32(len(v.w.tables))); r.err == nil {
			return v.w.tables[i]
		}
		return unknown
	}
	switch sub := r.u32(); sub {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		v.apply(shape{operand: typeF32 - byte(sub>>1&1), count: 1, result: typeI32 - byte(sub>>2)})
	case bulkMemoryInit:
		r.u32()
		r.byte()
		v.apply(three)
	case bulkDataDrop, bulkElemDrop:
		r.u32()
	case bulkMemoryCopy:
		r.bytes(2)
		v.apply(three)
	case bulkMemoryFill:
		r.byte()
		v.apply(three)
	case bulkTableInit:
		r.u32()
		table()
		v.apply(three)
	case bulkTableCopy:
		to := table()
		if table() != to {
			r.failf("a copy between tables of different types")
		}
		v.apply(three)
	case bulkTableGrow:
		t := table()
		v.pop(typeI32)
		v.pop(t)
		v.push(typeI32)
	case bulkTableSize:
		table()
		v.push(typeI32)
	case bulkTableFill:
		t := table()
		v.pop(typeI32)
		v.pop(t)
		v.pop(typeI32)
	default:
		r.unknownBulk(sub)
	}
}

// vector reads what is behind the prefix of vector instructions.
func (v *validator) vector() {
	sub, lane := v.r.vector()
	s := vectorShape(sub)
	if s.result == unknown && s.count == 0 {
		v.r.failf("there is no vector instruction %d", sub)
	}
	v.apply(s)
	v.guarded |= guardOfVector(sub, lane)
}

// shape is what an instruction takes from the stack, count values of one type and then second, and
// the result that it leaves there. What is unknown is not there.
type shape struct {
	operand, second, result byte
	count                   int
}

func (v *validator) apply(s shape) {
	for range s.count {
		v.pop(s.operand)
	}
	if s.second != unknown {
		v.pop(s.second)
	}
	if s.result != unknown {
		v.push(s.result)
	}
}

func unary(operand, result byte) shape { return shape{operand: operand, count: 1, result: result} }
func pair(operand, result byte) shape  { return shape{operand: operand, count: 2, result: result} }

// plainShape is the shape of an instruction of one byte that is about numbers and memory.
func plainShape(op byte) shape {
	number := func(first byte) byte { return typeI32 - (op - first) } // the types in the order of their instructions
	switch {
	case op < opFirstLoad:
	case op < opFirstLoad+4:
		return unary(typeI32, number(opFirstLoad))
	case op < opFirstLoad+8:
		return unary(typeI32, typeI32)
	case op < opFirstStore:
		return unary(typeI32, typeI64)
	case op < opFirstStore+4:
		return shape{operand: number(opFirstStore), count: 1, second: typeI32}
	case op < opFirstStore+6:
		return pair(typeI32, unknown)
	case op <= opLastStore:
		return shape{operand: typeI64, count: 1, second: typeI32}
	case op == opMemorySize:
		return shape{result: typeI32}
	case op == opMemoryGrow:
		return unary(typeI32, typeI32)
	case op < opI32Eqz:
		return shape{result: number(opI32Const)}
	case op == opI32Eqz:
		return unary(typeI32, typeI32)
	case op < opI64Eqz:
		return pair(typeI32, typeI32)
	case op == opI64Eqz:
		return unary(typeI64, typeI32)
	case op <= opI64GeU:
		return pair(typeI64, typeI32)
	case op <= 0x60:
		return pair(typeF32, typeI32)
	case op <= opF64Ge:
		return pair(typeF64, typeI32)
	case op <= 0x69:
		return unary(typeI32, typeI32)
	case op <= 0x78:
		return pair(typeI32, typeI32)
	case op <= 0x7b:
		return unary(typeI64, typeI64)
	case op <= 0x8a:
		return pair(typeI64, typeI64)
	case op <= 0x91:
		return unary(typeF32, typeF32)
	case op <= opF32CopySign:
		return pair(typeF32, typeF32)
	case op <= 0x9f:
		return unary(typeF64, typeF64)
	case op <= opF64CopySign:
		return pair(typeF64, typeF64)
	case op <= 0xbf: // conversions
		c := conversions[op-opI32Wrap]
		return unary(c[0], c[1])
	case op <= 0xc1:
		return unary(typeI32, typeI32)
	case op <= opLastPlain:
		return unary(typeI64, typeI64)
	}
	return shape{}
}

// conversions are of which type and to which each is, from i32.wrap_i64 on.
var conversions = [...][2]byte{
	{typeI64, typeI32},
	{typeF32, typeI32}, {typeF32, typeI32}, {typeF64, typeI32}, {typeF64, typeI32},
	{typeI32, typeI64}, {typeI32, typeI64},
	{typeF32, typeI64}, {typeF32, typeI64}, {typeF64, typeI64}, {typeF64, typeI64},
	{typeI32, typeF32}, {typeI32, typeF32}, {typeI64, typeF32}, {typeI64, typeF32}, {typeF64, typeF32},
	{typeI32, typeF64}, {typeI32, typeF64}, {typeI64, typeF64}, {typeI64, typeF64}, {typeF32, typeF64},
	{typeF32, typeI32}, {typeF64, typeI64}, {typeI32, typeF32}, {typeI64, typeF64},
}

// lanes are the types of the values of lanes: i8x16, i16x8, i32x4, i64x2, f32x4, f64x2.
var lanes = [...]byte{typeI32, typeI32, typeI32, typeI64, typeF32, typeF64}

// vectorShape is the shape of a vector instruction.
func vectorShape(sub byte) shape {
	const v = typeV128
	insert := func(t byte) shape { return shape{operand: t, count: 1, second: v, result: v} }
	switch {
	case sub <= 10, sub == 92, sub == 93: // loads
		return unary(typeI32, v)
	case sub == 11, sub >= 88 && sub <= 91: // stores
		return shape{operand: v, count: 1, second: typeI32}
	case sub == 12:
		return shape{result: v}
	case sub <= 14: // shuffle, swizzle
		return pair(v, v)
	case sub <= 20: // splat
		return unary(lanes[sub-15], v)
	case sub <= 34: // extract_lane, of which the first two types have two, and replace_lane
		return [...]shape{
			unary(v, typeI32), unary(v, typeI32), insert(typeI32), unary(v, typeI32), unary(v, typeI32), insert(typeI32),
			unary(v, typeI32), insert(typeI32), unary(v, typeI64), insert(typeI64),
			unary(v, typeF32), insert(typeF32), unary(v, typeF64), insert(typeF64),
		}[sub-21]
	case sub <= 76: // comparisons
		return pair(v, v)
	case sub == 77:
		return unary(v, v)
	case sub <= 81:
		return pair(v, v)
	case sub == 82: // bitselect
		return shape{operand: v, count: 3, result: v}
	case sub == 83: // any_true
		return unary(v, typeI32)
	case sub <= 87: // loads of a lane
		return shape{operand: v, count: 1, second: typeI32, result: v}
	}
	switch sub {
	case 99, 100, 131, 132, 163, 164, 195, 196: // all_true, bitmask
		return unary(v, typeI32)
	case 107, 108, 109, 139, 140, 141, 171, 172, 173, 203, 204, 205: // shifts
		return insert(typeI32)
	case 94, 95, 96, 97, 98, 103, 104, 105, 106, 116, 117, 122, 124, 125, 126, 127, 128, 129, 135, 136, 137, 138, 148,
		160, 161, 167, 168, 169, 170, 192, 193, 199, 200, 201, 202, 224, 225, 227, 236, 237, 239, 248, 249, 250, 251, 252, 253, 254, 255:
		return unary(v, v)
	case 154, 162, 165, 166, 175, 176, 178, 179, 180, 187, 194, 197, 198, 207, 208, 210, 211, 212, 226, 238:
		return shape{} // there is none
	}
	return pair(v, v)
}
