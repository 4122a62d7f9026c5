package meter

import (
	"fmt"
	"strings"
)

// Guards are kinds of instructions of which wazero 1.12 makes machine code that is wrong at times,
// without an error. Those of a kind that is set become others that do the same. All but GuardCompare
// are wrong where there are more values than registers.
//
// What wazero's backend makes of one instruction are several of the machine's, through which values
// are kept in registers of its own choice. It moves a value to memory where that was made, and
// takes it from there when it needs it again. So nothing may happen in between of which it does
// not know:
//
//   - A temporary that was changed in place must not be taken from memory, where it is as it was
//     before. It is, if another operand has to be taken from memory after the change and has it pushed
//     out of its register.
//   - Nothing may be taken from memory in one branch of such code only.
//   - An instruction that changes a part of a register, or none of it, has to say that it reads it.
//
// No operand is taken from memory in the middle, and so nothing is pushed out, if it has just been
// made and is used once. That is what some of the guards see to: they pass operands through an or.
type Guards uint32

const (
	// GuardSelect is for select of floats and vectors on amd64: its conditional move does not
	// say that it reads its destination (wazero issue 2534).
	GuardSelect Guards = 1 << iota
	// GuardConvert is for the conversion of i64 as unsigned to floats on amd64: a branch in it
	// takes its operand from memory, or pushes out what it changed.
	GuardConvert
	// GuardCopySign is for copysign on amd64, which changes a temporary before its second operand
	// is read.
	GuardCopySign
	// GuardVector is for those vector instructions on amd64 that do so, see vectorGuard.
	GuardVector
	// GuardBitCount is for clz and ctz on amd64, of processors without instructions for them: both
	// are branches.
	GuardBitCount
	// GuardCompare is for a comparison of x & y with 0 and a jump, which is another one.
	GuardCompare
	// GuardRemainder is for remainders on arm64, whose quotient is in the result's place until they
	// look whether to trap (wazero issue 2508).
	GuardRemainder
	// GuardLanes is for those vector instructions on arm64 that change a part of a register and do
	// not say that they keep the other, or the result's place twice: replace_lane of floats, narrow,
	// dot, and bitmask of i64x2.
	GuardLanes
	guardsEnd
)

// AllGuards are those of every architecture.
const AllGuards = guardsEnd - 1

// GuardsFor returns the guards that code for an architecture, named as GOARCH is, needs.
func GuardsFor(goarch string) Guards {
	switch goarch {
	case "amd64":
		return GuardSelect | GuardConvert | GuardCopySign | GuardVector | GuardBitCount | GuardCompare
	case "arm64":
		return GuardCompare | GuardRemainder | GuardLanes
	}
	return 0 // there it is interpreted
}

var guardNames = [...]string{"select", "convert", "copysign", "vector", "bit-count", "compare", "remainder", "lanes"}

func (g Guards) String() string {
	var names []string
	for i, name := range guardNames {
		if g&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := g &^ AllGuards; rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(rest)))
	}
	return strings.Join(names, ",")
}

// selectGuard is the guard of a select from values of a type.
func selectGuard(t byte) Guards {
	switch t {
	case typeF32, typeF64, typeV128:
		return GuardSelect
	}
	return 0
}

// guardOf is the guard of an instruction of one byte, if it has one.
func guardOf(op byte) Guards {
	switch op {
	case opF32ConvertI64U, opF64ConvertI64U:
		return GuardConvert
	case opF32CopySign, opF64CopySign:
		return GuardCopySign
	case opI32Clz, opI32Ctz, opI64Clz, opI64Ctz:
		return GuardBitCount
	case opI32RemS, opI32RemU, opI64RemS, opI64RemU:
		return GuardRemainder
	}
	return 0
}

// guardOfVector are the guards of a vector instruction.
func guardOfVector(sub, lane byte) Guards {
	switch sub {
	case vecReplaceF64:
		if lane == 0 {
			return GuardVector | GuardLanes
		}
		return GuardLanes
	case vecReplaceF32, vecNarrowI16S, vecNarrowI16U, vecNarrowI32S, vecNarrowI32U, vecDot, vecBitmaskI64:
		return GuardLanes
	case vecBitSelect, vecPopcnt, vecMulI64, vecMinF32, vecMaxF32, vecMinF64, vecMaxF64, vecConvertF32U, vecConvertF64U:
		return GuardVector
	}
	return 0
}

// guard writes an instruction, which was read, as others if the guards ask for it, and if it may be
// reached.
func (b *body) guard(start int, g Guards) {
	if g&b.w.opts.Guards == 0 || b.lows.never || b.r.err != nil {
		return
	}
	b.flush(start)
	b.copied = b.r.pos
	original := b.r.buf[start:b.r.pos]
	switch op := original[0]; {
	case op == opVector:
		b.vectorGuard(original)
	case g == GuardConvert, op == opI64Clz, op == opI64Ctz:
		b.out = append(b.out, opI64Const, 0, opI64Or, op)
	case g == GuardBitCount:
		b.out = append(b.out, opI32Const, 0, opI32Or, op)
	case g == GuardCopySign:
		b.copySign(op)
	case g == GuardRemainder:
		b.remainder(op)
	}
}

func (b *body) get(v uint32) { b.out = appendU32(append(b.out, opLocalGet), v) }
func (b *body) set(v uint32) { b.out = appendU32(append(b.out, opLocalSet), v) }
func (b *body) tee(v uint32) { b.out = appendU32(append(b.out, opLocalTee), v) }

// choice writes a select, which was read: from floats as one from the whole numbers of their bits,
// and from vectors by a mask. In what cannot be reached, their type may be unknown.
func (b *body) choice(start int) {
	if len(b.selects) == 0 { // the function is not valid
		return
	}
	t := b.selects[0]
	b.selects = b.selects[1:]
	if selectGuard(t)&b.w.opts.Guards == 0 || b.lows.never || b.r.err != nil {
		return
	}
	b.flush(start)
	b.copied = b.r.pos
	var ofFloat, ofInt byte = opI64OfF64, opF64OfI64
	other := b.bits
	switch t {
	case typeV128:
		b.out = append(b.out, opI32Eqz, opI32Const, 1, opI32Sub, opVector, vecSplatI32)
		b.bitSelect()
		return
	case typeF32:
		ofFloat, ofInt = opI32OfF32, opF32OfI32
		other = b.word
	}
	b.set(b.cond)
	b.out = append(b.out, ofFloat)
	b.set(other)
	b.out = append(b.out, ofFloat)
	b.get(other)
	b.get(b.cond)
	b.out = append(b.out, opSelect, ofInt)
}

// copySign writes a copysign by whole numbers.
func (b *body) copySign(op byte) {
	if op == opF32CopySign {
		b.out = append(append(append(b.out, opI32OfF32, opI32Const), minI32...), opI32And)
		b.set(b.word)
		b.out = append(append(append(b.out, opI32OfF32, opI32Const), maxI32...), opI32And)
		b.get(b.word)
		b.out = append(b.out, opI32Or, opF32OfI32)
		return
	}
	b.out = append(append(append(b.out, opI64OfF64, opI64Const), minI64...), opI64And)
	b.set(b.bits)
	b.out = append(append(append(b.out, opI64OfF64, opI64Const), maxI64...), opI64And)
	b.get(b.bits)
	b.out = append(b.out, opI64Or, opF64OfI64)
}

// The smallest and the largest numbers, as they are written.
const (
	minI32 = "\x80\x80\x80\x80\x78"
	maxI32 = "\xff\xff\xff\xff\x07"
	minI64 = "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f"
	maxI64 = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"
)

// Vector instructions that mean something to the guards.
const (
	vecSplatI32    = 17
	vecReplaceI32  = 28
	vecReplaceI64  = 30
	vecReplaceF32  = 32
	vecReplaceF64  = 34
	vecAnd         = 78
	vecOr          = 80
	vecXor         = 81
	vecBitSelect   = 82
	vecPopcnt      = 98
	vecNarrowI16S  = 101
	vecNarrowI16U  = 102
	vecNarrowI32S  = 133
	vecNarrowI32U  = 134
	vecDot         = 186
	vecBitmaskI64  = 196
	vecMulI64      = 213
	vecMinF32      = 232
	vecMaxF32      = 233
	vecMinF64      = 244
	vecMaxF64      = 245
	vecConvertF32U = 251
	vecConvertF64U = 255
)

// vectorGuard writes a vector instruction as others.
func (b *body) vectorGuard(original []byte) {
	right := b.left + 1
	switch sub := original[1]; sub {
	case vecReplaceF32, vecReplaceF64:
		lane := original[len(original)-1]
		if sub == vecReplaceF32 {
			b.out = append(b.out, opI32OfF32, opVector, vecReplaceI32, lane)
		} else {
			b.out = append(b.out, opI64OfF64, opVector, vecReplaceI64, lane)
		}
		return
	case vecBitSelect:
		b.bitSelect()
		return
	case vecBitmaskI64: // its result has to be used at once
		b.out = append(append(b.out, original...), opI32Const, 0, opI32Or)
		return
	case vecPopcnt, vecConvertF32U, vecConvertF64U:
		b.own(b.left)
	default:
		b.set(right)
		b.own(b.left)
		b.get(right)
		b.get(right)
		b.out = append(b.out, opVector, vecOr)
	}
	b.out = append(b.out, original...)
}

// own makes a value of its own of the vector on top of the stack.
func (b *body) own(v uint32) {
	b.tee(v)
	b.get(v)
	b.out = append(b.out, opVector, vecOr)
}

// bitSelect writes a bitselect, of x, y and a mask: ((x ^ y) & mask) ^ y.
func (b *body) bitSelect() {
	mask, y := b.left, b.left+1
	b.set(mask)
	b.tee(y)
	b.out = append(b.out, opVector, vecXor)
	b.get(mask)
	b.out = append(b.out, opVector, vecAnd)
	b.get(y)
	b.out = append(b.out, opVector, vecXor)
}

// remainder writes a remainder as x - x / y * y. What a division by -1 overflows at, one by 1 does not.
func (b *body) remainder(op byte) {
	x, y := b.cond, b.word
	var constant, equal, shift, add, sub, mul, div byte = opI32Const, opI32Eq, opI32Shl, opI32Add, opI32Sub, opI32Mul, opI32DivS
	if op >= opI64RemS {
		x, y = b.bits, b.bits2
		constant, equal, shift, add, sub, mul, div = opI64Const, opI64Eq, opI64Shl, opI64Add, opI64Sub, opI64Mul, opI64DivS
	}
	switch op {
	case opI32RemU, opI64RemU:
		div++
	default:
		b.tee(y)
		b.get(y)
		b.out = append(b.out, constant, 0x7f, equal)
		if constant == opI64Const {
			b.out = append(b.out, opI64ExtendU)
		}
		b.out = append(b.out, constant, 1, shift, add)
	}
	b.set(y)
	b.tee(x)
	b.get(x)
	b.get(y)
	b.out = append(b.out, div)
	b.get(y)
	b.out = append(b.out, mul, sub)
}
