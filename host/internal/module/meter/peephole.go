package meter

import (
	"encoding/binary"
	"slices"
)

// What is here has wazero's compiler make better code of functions of Go's.

// lows is what is known at a place of the low halves of variables of type i64, which is
// what Go's guests address memory by: they are in variables of the pass's own. Wazero checks
// an address again for each value, even one that was made of the same variable before; the
// value itself it checks once.
type lows struct {
	// of is which variable's low half the i-th has, plus 1, or 0.
	of [keptLows]uint32
	// never is whether the place cannot be reached, so that whatever is known is so.
	never bool
}

const keptLows = 8

// forget takes note that a variable changes.
func (l *lows) forget(v uint32) {
	for i := range l.of {
		if l.of[i] == v+1 {
			l.of[i] = 0
		}
	}
}

// join takes note of another way to a place, on which something else is known.
func (l *lows) join(other *lows) {
	switch {
	case other.never:
	case l.never:
		*l = *other
	default:
		for i := range l.of {
			if l.of[i] != other.of[i] {
				l.of[i] = 0
			}
		}
	}
}

// low rewrites a local.get of v, which was read, and what is behind it, if that takes its low half,
// or that of its sum with a number, for an address.
func (b *body) low(start int, v uint32) {
	if b.r.peek(0) != opI32Wrap {
		b.sum(start, false, func() { b.appendLow(v) })
		return
	}
	b.r.byte()
	b.cost += costPlain
	b.flush(start)
	b.appendLow(v)
	b.copied = b.r.pos
}

// appendLow writes what puts the low half of v on the stack.
func (b *body) appendLow(v uint32) {
	for i := range b.lows.of {
		if b.lows.of[i] == v+1 {
			b.out = appendU32(append(b.out, opLocalGet), b.firstLow+uint32(i))
			return
		}
	}
	b.out = append(appendU32(append(b.out, opLocalGet), v), opI32Wrap)
	b.out = appendU32(append(b.out, opLocalTee), b.firstLow+uint32(b.nextLow))
	b.lows.of[b.nextLow] = v + 1
	b.nextLow = (b.nextLow + 1) % keptLows
}

// maxOffset is the largest number that becomes an offset, and the largest offset that it
// is added to. maxValue is how many instructions a value may have that is stored.
const (
	maxOffset = 1 << 16
	maxValue  = 64
)

// sum rewrites the sum of a value and a number, which is read next, if its low half is taken for
// an address: the number becomes part of the offset. Go's compiler does so where whole
// numbers are read and written by a pointer, and leaves floats and its own stack. Of accesses with
// one address and several offsets wazero checks bounds once, if the highest comes first. Like Go's
// compiler it takes it that a sum does not pass 4 GiB, where an offset ends and a sum begins again
// from 0.
//
// low writes the value's low half; word is whether it has no other. Then the sum is one of
// words, wherever it goes.
func (b *body) sum(start int, word bool, low func()) bool {
	if b.r.peek(0) != opI64Const {
		return false
	}
	r := *b.r
	r.byte()
	n := r.s33()
	if n <= 0 || n > maxOffset || r.byte() != opI64Add || r.byte() != opI32Wrap {
		return false
	}
	behind := r.pos
	taken := r.taker()
	if !taken && !word {
		return false
	}
	b.cost += 3 * costPlain
	b.flush(start)
	low()
	b.r.pos, b.copied = behind, behind
	switch {
	case !taken:
		b.out = append(appendS32(append(b.out, opI32Const), int32(n)), opI32Add)
	case r.pos == behind: // a load
		b.cost += costLoad
		b.access(b.r.byte(), uint32(n))
	default: // a store. In its value there may be loads, and no store.
		b.store, b.addend = r.pos, uint32(n)
	}
	return true
}

// access writes an access of memory, which was read up to its operands, with more of an offset.
func (b *body) access(op byte, addend uint32) {
	align, offset := b.r.u32(), b.r.u32()
	b.out = appendU32(appendU32(append(b.out, op), align), offset+addend)
	b.copied = b.r.pos
}

// operands returns how many values an instruction makes one of; 0 if it does something else.
func operands(op byte) int {
	switch {
	case op < opI32Eqz || op > opLastPlain:
		return 0
	case op == opI32Eqz, op == opI64Eqz,
		op >= 0x67 && op <= 0x69, op >= 0x79 && op <= 0x7b, // clz, ctz, popcnt
		op >= 0x8b && op <= 0x91, op >= 0x99 && op <= 0x9f, // abs to sqrt
		op >= opI32Wrap: // conversions
		return 1
	}
	return 2
}

// taker reads up to the instruction that takes the address on top of the stack, if that is an
// access of memory with a small offset.
func (r *reader) taker() bool {
	above := 0 // values on the stack above the address
	for range maxValue {
		at := r.pos
		op := r.byte()
		switch n := operands(op); {
		case op >= opFirstLoad && op < opFirstStore && above == 0, op >= opFirstStore && op <= opLastStore && above == 1:
			r.u32()
			small := r.u32() <= maxOffset && r.err == nil
			r.pos = at
			return small
		case op == opLocalGet || op == opGlobalGet || op >= opI32Const && op <= opF64Const:
			above++
		case n > 0 && above >= n:
			above -= n - 1
		case above > 0 && (op == opLocalTee || op >= opFirstLoad && op < opFirstStore):
		default:
			return false
		}
		if !r.skip(op) || r.err != nil {
			return false
		}
	}
	return false
}

// compare rewrites a comparison, which was read.
//
// Where a jump follows, wazero 1.12 takes 0 < x & y for x & y < 0, and likewise with ≤, > and ≥;
// on arm64 unsigned ones of x & y and 0 are wrong, too. So no jump follows directly where there may be
// an and: to negate twice changes nothing, and stands in between.
func (b *body) compare(start int, op byte) {
	guarded := b.masked && b.w.opts.Guards&GuardCompare != 0
	switch {
	case guarded && op == opI32Eqz: // it may be what stands in between
	case guarded && ordering(op):
		if next := b.r.peek(0); next != opI32Eqz && next != opI64ExtendU {
			b.flush(b.r.pos)
			b.out = append(b.out, opI32Eqz, opI32Eqz)
		}
	case b.form == noTable:
		b.condition(start, op)
	}
}

// ordering reports whether an instruction compares whole numbers, but for being equal or not.
func ordering(op byte) bool {
	return op >= opI32LtS && op < opI64Eqz || op >= opI64LtS && op <= opI64GeU
}

// maxNegations is how many negations of a comparison are looked at. Go's compiler makes three.
const maxNegations = 8

// condition rewrites a comparison and its negations in front of a jump or an if that takes it for
// a condition. Go's compiler negates most conditions, some of them thrice; and wazero makes one
// instruction of a comparison and a jump, if they stand together.
func (b *body) condition(start int, op byte) {
	r := *b.r
	negated := false
	for range maxNegations {
		switch r.peek(0) {
		case opI32Eqz:
			r.byte()
		case opI64ExtendU:
			if r.byte(); r.byte() != opI64Eqz {
				return
			}
		case opIf, opBrIf, opSelect:
			b.flush(start)
			b.out = appendCondition(b.out, op, negated)
			b.cost += uint64(r.pos-b.r.pos) * costPlain // of a byte each
			b.r.pos, b.copied = r.pos, r.pos
			return
		default:
			return
		}
		negated = !negated
	}
}

// appendCondition appends a comparison or what is true if it is false.
func appendCondition(out []byte, op byte, negated bool) []byte {
	switch {
	case !negated:
		return append(out, op)
	case op == opI32Eqz: // any number but 0 is true
		return out
	case op == opI64Eqz:
		return append(out, opI64Const, 0, opI64Ne)
	case op > opI64GeU: // of floats, which may be no numbers
		return append(out, op, opI32Eqz)
	}
	first := byte(opI32Eqz + 1)
	if op > opI64Eqz {
		first = opI64Eqz + 1
	}
	// eq, ne, lt_s, lt_u, gt_s, gt_u, le_s, le_u, ge_s, ge_u.
	return append(out, first+[...]byte{1, 0, 8, 9, 6, 7, 4, 5, 2, 3}[op-first])
}

// floats are constants of type f64 that are globals too. Wazero makes two instructions of a
// constant, one of them of ten bytes, each time, and one of a global.
type floats struct {
	global map[uint64]uint32 // of each constant, counted from first
	list   []uint64
	first  uint32
}

// Only where there are many does it pay, as in a polynomial. maxFloats is how many globals
// are made at most.
const (
	manyFloats = 8
	maxFloats  = 256
)

// add takes constants of a function up, and reports whether they are many.
func (f *floats) add(constants []uint64) bool {
	constants = slices.DeleteFunc(constants, func(c uint64) bool { return c == 0 }) // which is one short instruction
	if len(constants) < manyFloats {
		return false
	}
	if f.global == nil {
		f.global = make(map[uint64]uint32)
	}
	for _, c := range constants {
		if _, ok := f.global[c]; !ok && len(f.list) < maxFloats {
			f.global[c] = uint32(len(f.list))
			f.list = append(f.list, c)
		}
	}
	return true
}

// section appends the globals behind n others.
func (f *floats) section(content []byte, n uint32) (_ []byte, all uint32) {
	f.first = n
	for _, c := range f.list {
		content = append(content, typeF64, 0, opF64Const)
		content = append(binary.LittleEndian.AppendUint64(content, c), opEnd)
	}
	return content, n + uint32(len(f.list))
}

// float rewrites an f64.const.
func (b *body) float(start int) {
	raw := b.r.bytes(8)
	if b.r.err != nil || !b.floats {
		return
	}
	if g, ok := b.w.floats.global[binary.LittleEndian.Uint64(raw)]; ok {
		b.flush(start)
		b.out = appendU32(append(b.out, opGlobalGet), b.w.floats.first+g)
		b.copied = b.r.pos
	}
}

// constants are those of type i32, from 0 to 8191, that stand directly in front of the current
// instruction.
type constants struct {
	n  int
	at [2]int // where the last ones stand, the later one last
	v  [2]int
}

// push takes note of a constant by its number as it is written.
func (c *constants) push(at int, number []byte) {
	if len(number) > 2 || number[len(number)-1]&0x40 != 0 { // too large, or negative
		c.n = 0
		return
	}
	v := 0
	for i, digit := range number {
		v |= int(digit&0x7f) << (7 * i)
	}
	c.at[0], c.v[0] = c.at[1], c.v[1]
	c.at[1], c.v[1] = at, v
	c.n = min(c.n+1, 2)
}

// Blocks of memory of a fixed length, such as structs, Go's compiler copies and clears by
// memory.copy and memory.fill, which are calls: what is in registers goes to memory and comes
// back. Short ones are loads and stores here, of wordSize bytes.
const (
	wordSize  = 16
	maxCopied = 8 * wordSize
	maxFilled = 16 * wordSize
	// maxWords bounds how much longer a binary becomes by it, by some 20 bytes a word.
	maxWords = 1 << 16
)

// words appends what write writes for each word of n bytes, at its offset, the last one
// first: if that lies outside the memory, nothing was written yet. The first two may
// overlap.
func words(n int, write func(i, offset int)) {
	for i := (n+wordSize-1)/wordSize - 1; i >= 0; i-- {
		write(i, max(0, min(i*wordSize, n-wordSize)))
	}
}

// unrolled writes a memory.copy, or a memory.fill if fill, as loads and stores, if its length
// is a constant and few bytes. Otherwise it writes nothing and returns false.
func (b *body) unrolled(fill bool) bool {
	c := b.constants
	n, from, most := c.v[1], c.at[1], maxCopied
	if fill {
		from, most = c.at[0], maxFilled
		if c.n < 2 || c.v[0] != 0 {
			return false
		}
	}
	if b.form != noTable || c.n == 0 || n < wordSize || n > most || from < b.copied || b.w.unrolled >= maxWords {
		return false
	}
	memories := 1 // that are named, the only one or the binary is not valid
	if !fill {
		memories = 2
	}
	for i := range memories {
		if b.r.peek(i) != 0 {
			return false
		}
	}
	b.r.bytes(uint32(memories))
	b.w.unrolled += (n + wordSize - 1) / wordSize
	b.flush(from)
	get, set := b.get, b.set
	access := func(op byte, offset int) {
		b.out = appendU32(append(b.out, opVector, op, 0), uint32(offset))
		b.cost += costLoad
	}
	const load, store = 0, 11 // v128.load, v128.store
	source := b.length
	if !fill {
		set(source)
	}
	set(b.to)
	if !fill {
		words(n, func(i, offset int) {
			get(source)
			access(load, offset)
			set(b.firstWord + uint32(i))
		})
	}
	words(n, func(i, offset int) {
		get(b.to)
		if fill {
			get(b.zero)
		} else {
			get(b.firstWord + uint32(i))
		}
		access(store, offset)
	})
	b.copied = b.r.pos
	return true
}
