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

// low rewrites a local.get of v, which was read, and an i32.wrap_i64 behind it.
func (b *body) low(start int, v uint32) {
	if b.r.peek(0) != opI32Wrap || b.form != noTable {
		return
	}
	b.r.byte()
	b.cost += costPlain
	for i := range b.lows.of {
		if b.lows.of[i] == v+1 {
			b.flush(start)
			b.out = appendU32(append(b.out, opLocalGet), b.firstLow+uint32(i))
			b.copied = b.r.pos
			return
		}
	}
	b.flush(b.r.pos)
	b.out = appendU32(append(b.out, opLocalTee), b.firstLow+uint32(b.nextLow))
	b.lows.of[b.nextLow] = v + 1
	b.nextLow = (b.nextLow + 1) % keptLows
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
	get := func(v uint32) { b.out = appendU32(append(b.out, opLocalGet), v) }
	set := func(v uint32) { b.out = appendU32(append(b.out, opLocalSet), v) }
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
