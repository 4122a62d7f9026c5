package meter

import "fmt"

// reader reads a binary. After its first error, which it keeps, it reads zeros and
// is at its end.
type reader struct {
	buf  []byte
	pos  int
	base int    // of buf in the binary
	what string // the section
	err  error
}

// failf fails with a message, which is made once.
func (r *reader) failf(format string, args ...any) {
	if r.err == nil {
		r.fail(fmt.Errorf(format, args...))
	}
}

// fail ends the reading with an error, of which it says where it is.
func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s, byte %d: %w", r.what, r.base+r.pos, err)
	}
	r.pos = len(r.buf)
}

func (r *reader) done() bool { return r.pos >= len(r.buf) }

func (r *reader) byte() byte {
	if r.pos >= len(r.buf) {
		r.failf("ends too early")
		return 0
	}
	b := r.buf[r.pos]
	r.pos++
	return b
}

// bytes returns the next n bytes.
func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.buf)-r.pos) {
		r.failf("ends too early")
		return nil
	}
	b := r.buf[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// u32 reads an unsigned LEB128 number.
func (r *reader) u32() uint32 {
	if r.pos < len(r.buf) && r.buf[r.pos] < 0x80 { // most are
		r.pos++
		return uint32(r.buf[r.pos-1])
	}
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.failf("a number is larger than 32 bits")
	return 0
}

// skipLEB reads a LEB128 number of at most n bytes.
func (r *reader) skipLEB(n int) {
	for range n {
		if r.byte() < 0x80 {
			return
		}
	}
	r.failf("a number is too long")
}

// s33 reads what begins a block: a negative number for a value type, else an index.
func (r *reader) s33() int64 {
	var v int64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.failf("a number is larger than 33 bits")
	return 0
}

// count reads the length of a list whose items take at least one byte each.
func (r *reader) count() uint32 {
	n := r.u32()
	if uint64(n) > uint64(len(r.buf)-r.pos) {
		r.failf("a list of %d items does not fit", n)
		return 0
	}
	return n
}

// valueType reads the type of a value. The compiler knows others, of more than one
// byte, whether or not they are enabled; were one of them let through, its further
// bytes would be taken for instructions here, and not there.
func (r *reader) valueType() byte {
	t := r.byte()
	if (t < typeV128 || t > typeI32) && t != typeFuncref && t != typeExternref {
		r.unknownType(t)
	}
	return t
}

// refType reads the type of a reference, for which the same holds.
func (r *reader) refType() byte {
	t := r.byte()
	if t != typeFuncref && t != typeExternref {
		r.unknownHeapType(t)
	}
	return t
}

// valueTypes reads a list of types.
func (r *reader) valueTypes() []byte {
	n := r.count()
	start := r.pos
	for i := uint32(0); i < n && r.err == nil; i++ {
		r.valueType()
	}
	if r.err != nil {
		return nil
	}
	return r.buf[start:r.pos]
}

// peek returns the next byte but n without reading it, or 0 if there is none.
func (r *reader) peek(n int) byte {
	if r.pos+n >= len(r.buf) {
		return 0
	}
	return r.buf[r.pos+n]
}

// vectorOp reads what is behind the prefix of vector instructions. It is a LEB128
// number, of which the compiler reads but the first byte, and takes the 1 that is
// the second for a nop. Only where both come to the same, it is let through.
func (r *reader) vectorOp() byte {
	op := r.byte()
	if op >= 0x80 {
		if high := r.byte(); high != 1 {
			r.unknownVector(op, high)
		}
	}
	return op
}

// vector reads what is behind the prefix of vector instructions, and returns the instruction and
// its lane, if it has one.
func (r *reader) vector() (sub, lane byte) {
	sub = r.vectorOp()
	if ofMemory(sub) {
		r.u32()
		r.u32()
	}
	switch {
	case sub == 12, sub == 13:
		r.bytes(16)
	case sub >= 21 && sub <= 34, sub >= 84 && sub <= 91:
		lane = r.byte()
	}
	return sub, lane
}

// ofMemory reports whether a vector instruction reads or writes memory.
func ofMemory(sub byte) bool { return sub <= 11 || sub >= 84 && sub <= 93 }

// blockType reads a block's type: that of a value, noType, or an index, which is negative otherwise.
func (r *reader) blockType(types [][]byte) (t byte, index int64) {
	if c := r.peek(0); c&0xc0 == 0x40 { // a negative number of one byte
		if c == noType {
			return r.byte(), -1
		}
		return r.valueType(), -1
	}
	switch index = r.s33(); {
	case index < 0:
		r.failf("a block of the unknown type %d", index)
	case index >= int64(len(types)):
		r.failf("type %d is out of range, there are %d", index, len(types))
	}
	return 0, index
}

// index reads an index below n.
func (r *reader) index(what string, n uint32) uint32 {
	i := r.u32()
	if i >= n && r.err == nil {
		r.failf("%s %d is out of range, there are %d", what, i, n)
	}
	return i
}

// skip reads what belongs to an instruction, and reports whether it knows it. It knows those
// that neither open, part nor end blocks, but for some that concern references and vectors.
func (r *reader) skip(op byte) bool {
	switch {
	case op == opCall, op >= opLocalGet && op <= opGlobalSet:
		r.u32()
	case op == opCallIndir, op >= opFirstLoad && op <= opLastStore:
		r.u32()
		r.u32()
	case op == opMemorySize, op == opMemoryGrow:
		r.byte()
	case op == opI32Const:
		r.skipLEB(5)
	case op == opI64Const:
		r.skipLEB(10)
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opReturn:
	case op == opBulk:
		switch sub := r.u32(); {
		case sub < bulkMemoryInit:
		case sub == bulkMemoryCopy:
			r.bytes(2)
		case sub == bulkMemoryFill:
			r.byte()
		default:
			return false
		}
	default:
		return plain(op)
	}
	return true
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// appendS32 appends a signed number that is not negative.
func appendS32(b []byte, v int32) []byte {
	for v > 0x3f {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendName(b []byte, s string) []byte { return append(appendU32(b, uint32(len(s))), s...) }

// appendSection appends a section, unless it is of no items.
func appendSection(b []byte, id byte, items uint32, content []byte) []byte {
	if items == 0 {
		return b
	}
	head := appendU32(nil, items)
	b = appendU32(append(b, id), uint32(len(head)+len(content)))
	return append(append(b, head...), content...)
}
