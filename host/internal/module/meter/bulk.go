package meter

// dirty puts the setting of the global that says so in front of an instruction.
func (b *body) dirty(start int) {
	if !b.w.opts.Reset || b.r.err != nil {
		return
	}
	b.flush(start)
	b.out = append(b.out, opI32Const, 1, opGlobalSet)
	b.out = appendU32(b.out, b.w.dirty)
	b.copied = start
}

// metersBulk begins what is put in front of an instruction that takes as long as it is told to. It
// returns false if that is nothing.
func (b *body) metersBulk(start int) bool {
	if !b.w.opts.Meter || b.r.err != nil {
		return false
	}
	b.cost += costBulk
	b.leaf = false
	b.flush(start)
	return true
}

// chargeLength charges, in front of an instruction, for what is on top of the
// stack: right shifted, or left.
func (b *body) chargeLength(start int, right, left byte) {
	if !b.metersBulk(start) {
		return
	}
	b.out = appendU32(append(b.out, opLocalSet), b.length)
	b.out = b.w.chargeFor(b.out, b.length, right, left)
	b.out = appendU32(append(b.out, opLocalGet), b.length)
	b.copied = start
}

func (b *body) bulk(start int) {
	r := b.r
	tables := uint32(len(b.w.tables))
	sub := r.u32()
	if (sub == bulkMemoryCopy || sub == bulkMemoryFill) && b.unrolled(sub == bulkMemoryFill) {
		return
	}
	b.branch(8) // for loops in the compiler's code, and what inPieces puts around it
	switch {
	case sub < bulkMemoryInit:
	case sub == bulkMemoryInit:
		r.u32() // wazero checks it against the data count
		r.byte()
		b.chargeLength(start, shiftLength, 0)
	case sub == bulkDataDrop:
		r.u32()
		b.dirty(start)
	case sub == bulkMemoryCopy:
		r.byte()
		r.byte()
		b.inPieces(start, b.w.copy)
	case sub == bulkMemoryFill:
		r.byte()
		b.inPieces(start, b.w.fill)
	case sub == bulkTableInit:
		r.u32()
		r.index("table", tables)
		b.chargeLength(start, 0, 0)
		b.dirty(start)
	case sub == bulkElemDrop:
		r.u32()
		b.dirty(start)
	case sub == bulkTableCopy:
		r.index("table", tables)
		r.index("table", tables)
		b.chargeLength(start, 0, 0)
		b.dirty(start)
	case sub == bulkTableGrow, sub == bulkTableFill:
		r.index("table", tables)
		b.chargeLength(start, 0, 0)
		b.dirty(start)
	case sub == bulkTableSize:
		r.index("table", tables)
	default:
		r.unknownBulk(sub)
	}
}

// inPieces has a function do what an instruction does, if its length, on top of
// the stack, is more than a few bytes.
func (b *body) inPieces(start int, f uint32) {
	if !b.metersBulk(start) {
		return
	}
	b.out = appendU32(append(b.out, opLocalTee), b.length)
	b.out = appendU32(append(b.out, opLocalGet), b.length)
	b.out = append(b.out, opI32Const, freeLength&0x7f|0x80, freeLength>>7, opI32GtU, opIf)
	b.out = appendS32(b.out, int32(b.w.rangeType)) // a block's type is a signed number
	b.out = appendU32(append(b.out, opCall), f)
	b.out = append(b.out, opElse)
	b.out = append(b.out, b.r.buf[start:b.r.pos]...)
	b.out = append(b.out, opEnd)
	b.copied = b.r.pos
}
