package meter

// chargeFor charges for a length in a variable, shifted right or left, and leaves
// it to the next segment to call the host.
func (w *rewriter) chargeFor(out []byte, variable uint32, right, left byte) []byte {
	out = appendU32(append(out, opGlobalGet), w.fuel)
	out = appendU32(append(out, opLocalGet), variable)
	out = append(out, opI64ExtendU)
	if right > 0 {
		out = append(out, opI64Const, right, opI64ShrU)
	}
	if left > 0 {
		out = append(out, opI64Const, left, opI64Shl)
	}
	out = append(out, opI64Sub, opGlobalSet)
	return appendU32(out, w.fuel)
}

// callHost calls the host if there is no fuel left.
func (w *rewriter) callHost(out []byte) []byte { return w.callIf(w.noFuel(out)) }

// noFuel puts on the stack whether there is no fuel left.
func (w *rewriter) noFuel(out []byte) []byte {
	out = appendU32(append(out, opGlobalGet), w.fuel)
	return append(out, opI64Const, 0, opI64LtS)
}

// callIf calls the host if what is on the stack is not 0.
func (w *rewriter) callIf(out []byte) []byte {
	out = appendU32(append(out, opIf, noType, opCall), w.imported)
	return append(out, opEnd)
}

// Variables of the functions below: what memory.fill and memory.copy take, and the
// length of a piece.
const (
	varTo = iota
	varFrom
	varLength
	varPiece
)

// piece is the instruction that puts the length of the longest piece, 64 KiB, on the
// stack.
var piece = []byte{opI32Const, 0x80, 0x80, 0x04}

// outside jumps out of the block around it if the range that begins at a variable
// ends outside the memory.
func outside(out []byte, begin byte) []byte {
	return append(
		out, opLocalGet, begin, opI64ExtendU, opLocalGet, varLength, opI64ExtendU, opI64Add,
		opMemorySize, 0, opI64ExtendU, opI64Const, 16, opI64Shl, opI64GtU, opBrIf, 0,
	)
}

// beginPiece begins a loop, and sets the length of a piece. It calls the host if there is no
// fuel left, and each time that another 256 KiB are done: all of the range is paid for, and yet
// 64 pages that nobody has touched before take as long as a slice should.
func (w *rewriter) beginPiece(out []byte) []byte {
	out = w.noFuel(append(out, opLoop, noType))
	out = append(out, opLocalGet, varLength, opI32Const, 0x80, 0x80, 0x0c, opI32And, opI32Eqz, opI32Or)
	out = w.callIf(out)
	out = append(append(out, opLocalGet, varLength), piece...)
	out = append(append(out, opLocalGet, varLength), piece...)
	return append(out, opI32LtU, opSelect, opLocalSet, varPiece)
}

// advance adds the length of the piece to a variable, or subtracts it.
func advance(out []byte, variable, op byte) []byte {
	return append(out, opLocalGet, variable, opLocalGet, varPiece, op, opLocalSet, variable)
}

// endPiece ends the loop once nothing is left, and returns.
func endPiece(out []byte) []byte {
	return append(out, opLocalGet, varLength, opBrIf, 0, opEnd, opReturn)
}

// inPieces returns the body of a function that does what an instruction does. Long
// ranges that lie in the memory are left to long, which ends in a return; others
// are made by the instruction itself, which traps, and writes nothing, if they do
// not.
func (w *rewriter) inPieces(instruction, begins []byte, long func([]byte) []byte) []byte {
	if w.memory == 0 { // nobody can call it, but it has to be valid
		return []byte{0, opEnd}
	}
	out := w.chargeFor([]byte{1, 1, typeI32}, varLength, shiftLength, 0)
	out = append(append(out, opBlock, noType, opLocalGet, varLength), piece...)
	out = append(out, opI32LeU, opBrIf, 0)
	for _, v := range begins {
		out = outside(out, v)
	}
	out = append(long(out), opEnd)
	out = append(out, opLocalGet, varTo, opLocalGet, varFrom, opLocalGet, varLength)
	out = append(out, instruction...)
	return append(w.callHost(out), opEnd)
}

// fillBody is memory.fill. Its second argument is a value, no address.
func (w *rewriter) fillBody() []byte {
	fill := []byte{opBulk, bulkMemoryFill, 0}
	return w.inPieces(fill, []byte{varTo}, func(out []byte) []byte {
		out = w.beginPiece(out)
		out = append(out, opLocalGet, varTo, opLocalGet, varFrom, opLocalGet, varPiece)
		out = append(out, fill...)
		out = advance(advance(out, varTo, opI32Add), varLength, opI32Sub)
		return endPiece(out)
	})
}

// copyBody is memory.copy: from the front if the source lies behind, else from the
// back, so that it may overlap.
func (w *rewriter) copyBody() []byte {
	move := []byte{opBulk, bulkMemoryCopy, 0, 0}
	return w.inPieces(move, []byte{varTo, varFrom}, func(out []byte) []byte {
		out = append(out, opLocalGet, varTo, opLocalGet, varFrom, opI32LeU, opIf, noType)
		out = w.beginPiece(out)
		out = append(out, opLocalGet, varTo, opLocalGet, varFrom, opLocalGet, varPiece)
		out = append(out, move...)
		out = advance(advance(out, varTo, opI32Add), varFrom, opI32Add)
		out = endPiece(advance(out, varLength, opI32Sub))
		out = append(out, opEnd)
		out = w.beginPiece(out)
		out = advance(out, varLength, opI32Sub)
		out = append(
			out, opLocalGet, varTo, opLocalGet, varLength, opI32Add,
			opLocalGet, varFrom, opLocalGet, varLength, opI32Add, opLocalGet, varPiece,
		)
		return endPiece(append(out, move...))
	})
}
