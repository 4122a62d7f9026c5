package meter

import (
	"encoding/binary"
	"slices"
)

// What is here has wazero's compiler make better code of functions of Go's. It changes no
// result, and no fuel.

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
