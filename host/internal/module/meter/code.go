package meter

import (
	"bytes"
	"errors"
	"fmt"
)

// Instructions that mean something to the pass.
const (
	opUnreachable = 0x00
	opNop         = 0x01
	opBlock       = 0x02
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opBrTable     = 0x0e
	opReturn      = 0x0f
	opCall        = 0x10
	opCallIndir   = 0x11
	opDrop        = 0x1a
	opSelect      = 0x1b
	opSelectT     = 0x1c
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opTableGet    = 0x25
	opTableSet    = 0x26
	opFirstLoad   = 0x28
	opFirstStore  = 0x36
	opLastStore   = 0x3e
	opMemorySize  = 0x3f
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opF32Const    = 0x43
	opF64Const    = 0x44
	opI32Eqz      = 0x45
	opI32LtS      = 0x48
	opI32LtU      = 0x49
	opI32GtU      = 0x4b
	opI32LeU      = 0x4d
	opI64Eqz      = 0x50
	opI64Ne       = 0x52
	opI64LtS      = 0x53
	opI64GtU      = 0x56
	opI64GeU      = 0x5a
	opF64Ge       = 0x66
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI32And      = 0x71
	opI32Or       = 0x72
	opI64And      = 0x83
	opI64Or       = 0x84
	opF32CopySign = 0x98
	opF64CopySign = 0xa6
	opI64Add      = 0x7c
	opI64Sub      = 0x7d
	opI64Shl      = 0x86
	opI64ShrU     = 0x88
	opI32Wrap     = 0xa7
	opI64ExtendU  = 0xad
	opI32Eq       = 0x46
	opI64Eq       = 0x51
	opI32Mul      = 0x6c
	opI32DivS     = 0x6d
	opI32Shl      = 0x74
	opI64Mul      = 0x7e
	opI64DivS     = 0x7f
	opI32Clz      = 0x67
	opI32Ctz      = 0x68
	opI32RemS     = 0x6f
	opI32RemU     = 0x70
	opI64Clz      = 0x79
	opI64Ctz      = 0x7a
	opI64RemS     = 0x81
	opI64RemU     = 0x82

	opF32ConvertI64U = 0xb5
	opF64ConvertI64U = 0xba
	opI32OfF32       = 0xbc // reinterpret
	opI64OfF64       = 0xbd
	opF32OfI32       = 0xbe
	opF64OfI64       = 0xbf
	opLastPlain      = 0xc4
	opRefNull        = 0xd0
	opRefIsNull      = 0xd1
	opRefFunc        = 0xd2
	opBulk           = 0xfc
	opVector         = 0xfd

	bulkMemoryInit = 8
	bulkDataDrop   = 9
	bulkMemoryCopy = 10
	bulkMemoryFill = 11
	bulkTableInit  = 12
	bulkElemDrop   = 13
	bulkTableCopy  = 14
	bulkTableGrow  = 15
	bulkTableSize  = 16
	bulkTableFill  = 17

	noType = 0x40
)

// Costs. A unit is about what a simple instruction takes; those that can take much
// longer than others cost more, so that fuel bounds time.
const (
	costPlain = 1
	costLoad  = 3  // it may miss every cache
	costSlow  = 8  // a division, a root
	costCall  = 32 // a frame, its registers, and a small function that calls none
	costBulk  = 16 // a call of the host's
	// window is how much is executed at most between two charges on a straight
	// way; a br_table pays for it, wherever it leads.
	window = 128
	// small is the most that a function without loops and calls costs which its
	// callers have paid for.
	small = 64
	// freeLength is the longest range, in bytes, that costs no more than its
	// instruction; shiftLength makes units of a longer one's.
	freeLength  = 256
	shiftLength = 6
)

// body rewrites one function.
type body struct {
	w   *rewriter
	r   *reader
	out []byte
	// copied is up to where of the input is in out.
	copied int

	index   uint32 // the function's
	locals  uint32 // the original's, parameters included
	types   []byte // theirs; none if they are more than maxRenamed
	scratch uint32 // a variable of type i64
	length  uint32 // a variable of type i32
	frames  []frame
	depth   int    // how many blocks are open in out
	jumps   uint64 // places where the code that is made parts or joins
	charges int
	leaf    bool // nothing is called, nothing goes round, and no jump leaves the function
	simple  bool // no block was opened yet
	form    form
	wrapped bool // the function is in the blocks that enter wrote
	// What enter wrote is from first to behind in out.
	first  int
	behind int
	span   // the current one

	lows     lows   // at the current place
	firstLow uint32 // of variables of type i32
	nextLow  int
	floats   bool   // some constants are globals
	touched  uint64 // which variables were read or set since code last parted or joined, by bits
	masked   bool   // an i32.and or i64.and stands in between
	// store is where one stands whose offset grows by addend, as its address was rewritten, up to it.
	// There is one at a time: what it stores contains no store.
	store  int
	addend uint32

	selects []byte // the types that the selects choose from which are yet to come
	// Variables for the guards: two of type i32, two of i64, and two of v128, which are left and
	// the one behind it.
	cond, word, bits, bits2, left uint32

	constants constants
	to        uint32 // a variable of type i32, for the address of what is written
	firstWord uint32 // of maxCopied/wordSize variables of type v128
	zero      uint32 // another, which is never set
}

// form is what is rewritten.
type form int

const (
	asItIs    form = iota
	noTable        // a function without its table
	tableCopy      // and as it was, which is rarely run
)

// span is code that is paid for in one place.
type span struct {
	id    int
	patch int // where in out the cost is to be written, -1 for nowhere
	cost  uint64
	// bypassed is whether a br_table leads into it, past its beginning.
	bypassed bool
}

// frame is a block that is open.
type frame struct {
	kind byte
	// label is what the block's label is in out: how many blocks were open
	// before it. extra is how many blocks were put around it.
	label, extra int
	// from is the first span from which a jump goes to the frame's end, or to its
	// else, or -1 if there is none.
	from int
	// tabled is whether a br_table leads to the frame's end.
	tabled bool
	// outer is the span in which a loop begins. It goes on behind the loop: it
	// was paid for on the way in.
	outer span
	// atEnd is what is known of variables on all ways to the frame's end but that of the
	// code before it.
	atEnd lows
	// Variables that are set in the frame, and those that are read there while it may be that
	// they were set elsewhere, by bits.
	sets, reads uint64
}

func (w *rewriter) code(out []byte) ([]byte, error) {
	r, n := w.section(secCode)
	if int(n) != len(w.funcTypes)-int(w.imported) && r.err == nil {
		r.failf("%d functions, the function section has %d", n, len(w.funcTypes)-int(w.imported))
	}
	if r.err != nil {
		return nil, r.err
	}
	content := make([]byte, 0, len(r.buf)+len(r.buf)/2)
	most := maxGrowth*len(r.buf) + smallGrowth
	b := &body{w: w}
	again := w.relooped
	for i := range n {
		size := r.u32()
		at := r.base + r.pos
		raw := r.bytes(size)
		if r.err != nil {
			return nil, r.err
		}
		f := i + w.imported
		if uint64(size) > w.limits.Body {
			w.large(f, limitBody, uint64(size), w.limits.Body, false)
			continue
		}
		w.room = most - len(content)
		done := false
		if len(again) > 0 && again[0].index == f {
			// It has some more blocks than before, and may exceed a limit that it did not.
			done = b.rewrite(again[0].body, at, f, noTable, w.entrance(len(w.relooped)-len(again)), again[0].floats) == nil
			again = again[1:]
		}
		if !done {
			if err := b.rewrite(raw, at, f, asItIs, nil, false); err != nil && !errors.Is(err, errLarge) {
				return nil, err
			}
		}
		if w.grown {
			return nil, grown(most)
		}
		if w.over != nil { // the others are looked at for what they need
			continue
		}
		content = append(appendU32(content, uint32(len(b.out))), b.out...)
	}
	for _, f := range w.relooped {
		w.room = most - len(content)
		// It counts as the function itself where that matters, which is for calls that go round.
		if err := b.rewrite(f.copy, f.at, f.index, tableCopy, nil, false); err != nil && !errors.Is(err, errLarge) {
			return nil, err
		}
		if w.grown {
			return nil, grown(most)
		}
		content = append(appendU32(content, uint32(len(b.out))), b.out...)
		n++
	}
	if err := errors.Join(r.end(), w.tooLarge()); err != nil {
		return nil, err
	}
	if w.opts.Meter {
		for _, helper := range [][]byte{w.fillBody(), w.copyBody()} {
			content = append(appendU32(content, uint32(len(helper))), helper...)
			n++
		}
	}
	return appendSection(out, secCode, n, content), nil
}

// entrance is what a relooped function begins with: of another argument than 0 the copy
// takes care.
func (w *rewriter) entrance(i int) []byte {
	b := []byte{opLocalGet, 0, opIf, noType, opLocalGet, 0, opCall}
	return append(appendU32(b, w.copyOf(i)), opReturn, opEnd)
}

// rewrite writes a function. What is to be in front of its code is not counted: it is a few
// instructions, behind which the function or its copy is. floats is whether some of its
// constants are globals.
func (b *body) rewrite(raw []byte, at int, f uint32, of form, front []byte, floats bool) error {
	*b = body{
		w: b.w, r: &reader{buf: raw, base: at}, index: f, out: b.out[:0], types: b.types, frames: append(b.frames[:0], frame{from: -1}),
		depth: 1, form: of, leaf: true, simple: true, span: span{patch: -1}, floats: floats, store: -1,
	}
	v := &b.w.validator
	v.validate(b.w, &reader{buf: raw, base: at}, f) // what is wrong is told unless something else is
	b.selects = v.selects
	b.declare(b.w.params[b.w.funcTypes[f]], v.guarded&b.w.opts.Guards)
	b.copied = b.r.pos
	b.out = append(b.out, front...)
	b.enter()
	for len(b.frames) > 0 && b.r.err == nil {
		b.instruction()
	}
	b.flush(b.r.pos)
	if b.leaf && b.charges == 1 && b.cost <= small {
		b.elide()
	}
	b.exit()
	b.close()
	if b.r.err == nil && !b.r.done() {
		b.r.failf("goes on behind its end")
	}
	b.excess(false)
	if b.r.err == nil {
		b.r.err = v.r.err
	}
	if b.r.err == errLarge { //nolint:errorlint // it is as it was made
		return errLarge
	}
	if b.r.err != nil {
		return fmt.Errorf("%s%w", b.w.called(f), b.r.err)
	}
	return nil
}

// declare copies the variables and adds the pass's own, those for guards if there are any.
func (b *body) declare(params []byte, guarded Guards) {
	total, r := uint64(len(params)), b.r
	b.types = append(b.types[:0], params...)
	groups := r.count()
	start := r.pos
	for range groups {
		n := r.u32()
		t := r.valueType()
		total += uint64(n)
		if r.err != nil {
			return
		}
		if total <= maxRenamed {
			b.types = append(b.types, bytes.Repeat([]byte{t}, int(n))...)
		}
	}
	if total > b.w.limits.Locals {
		b.large(limitLocals, total, b.w.limits.Locals, false)
		return
	}
	if total > maxRenamed {
		b.types = b.types[:0]
	}
	b.locals = uint32(total)
	b.scratch, b.length = b.locals, b.locals+1
	b.to, b.firstLow = b.locals+2, b.locals+3
	b.firstWord = b.firstLow + keptLows
	b.zero = b.firstWord + maxCopied/wordSize
	var own []byte
	end := b.locals
	add := func(n uint32, t byte) {
		groups++
		end += n
		own = append(appendU32(own, n), t)
	}
	switch {
	case b.form == noTable:
		add(1, typeI64)
		add(2+keptLows, typeI32)
		add(maxCopied/wordSize+1, typeV128)
	case b.w.opts.Meter:
		add(1, typeI64)
		add(1, typeI32)
	}
	if guarded != 0 {
		b.cond, b.word, b.bits, b.bits2, b.left = end, end+1, end+2, end+3, end+4
		add(2, typeI32)
		add(2, typeI64)
		add(2, typeV128)
	}
	b.out = append(appendU32(b.out, groups), r.buf[start:r.pos]...)
	b.out = append(b.out, own...)
}

// flush copies the input up to a position.
func (b *body) flush(to int) {
	if b.r.err == nil {
		b.out = append(b.out, b.r.buf[b.copied:to]...)
	}
	b.copied = b.r.pos
}

// enter begins a function and its first span. The call of the host's is put behind
// the function, where it costs no registers:
//
//	loop $again
//	  block $host
//	    br_if $host if fuel < 0
//	    charge
//	    …
//	    return
//	  end
//	  call the host
//	  br $again
//	end
//	unreachable
//
// Where the argument is that of the table it is not: nothing else is in a register yet, and it
// costs a seventh of all code.
func (b *body) enter() {
	if !b.w.opts.Meter {
		return
	}
	b.first = len(b.out)
	if b.wrapped = b.form == asItIs; b.wrapped {
		b.out = append(b.out, opLoop, noType, opBlock, noType)
		b.checked(0)
		b.depth += 2
	} else {
		b.out = b.w.callHost(b.out)
		b.out = appendU32(append(b.out, opGlobalGet), b.w.fuel)
		b.take()
	}
	b.behind = len(b.out)
	b.cost = uint64(b.locals) / 16 // they are cleared
}

// exit ends a function.
func (b *body) exit() {
	if b.wrapped && b.r.err == nil {
		b.out[len(b.out)-1] = opReturn // in place of its end
		b.host(1<<maxRenamed - 1)
	}
}

// host ends what is around a function or loop: it calls the host and goes round.
//
// Wazero's register allocator has a variable that is changed in a loop stored at each
// change if its value is needed after a call, wherever that is. So the variables get
// new values before the call, by instructions that change nothing: those of which one turn of the
// loop leaves a value to the next. Others would have to be carried along for it.
func (b *body) host(variables uint64) {
	b.out = append(b.out, opEnd)
	for i, t := range b.types {
		if variables&(1<<i) == 0 {
			continue
		}
		var same []byte
		switch t {
		case typeI32:
			same = []byte{opI32Or}
		case typeI64:
			same = []byte{opI64Or}
		case typeF32:
			same = []byte{opDrop, opI32OfF32, opF32OfI32}
		case typeF64:
			same = []byte{opDrop, opI64OfF64, opF64OfI64}
		case typeV128:
			same = []byte{opVector, 0x50} // v128.or
		default: // a reference
			continue
		}
		b.out = appendU32(append(b.out, opLocalGet), uint32(i))
		b.out = appendU32(append(b.out, opLocalGet), uint32(i))
		b.out = append(b.out, same...)
		b.out = appendU32(append(b.out, opLocalSet), uint32(i))
	}
	b.out = appendU32(append(b.out, opCall), b.w.imported)
	b.out = append(b.out, opBr, 0, opEnd, opUnreachable, opEnd)
}

// maxRenamed is the most variables of a function for which host does that.
const maxRenamed = 64

// elide takes back what enter wrote.
func (b *body) elide() {
	if !b.w.opts.Meter {
		return
	}
	b.out = append(b.out[:b.first], b.out[b.behind:]...)
	b.behind = b.first // once
	b.patch = -1
	if b.wrapped {
		b.depth -= 2
		b.wrapped = false
	}
}

// checked begins a span, and leaves a block if there is no fuel.
func (b *body) checked(block byte) {
	b.out = appendU32(append(b.out, opGlobalGet), b.w.fuel)
	b.out = appendU32(append(b.out, opLocalTee), b.scratch)
	b.out = append(b.out, opI64Const, 0, opI64LtS, opBrIf, block)
	b.out = appendU32(append(b.out, opLocalGet), b.scratch)
	b.take()
}

// take begins a span, and takes its cost from what is on the stack.
func (b *body) take() {
	b.out = append(b.out, opI64Const)
	patch := len(b.out)
	b.out = append(append(b.out, unpatched...), opI64Sub)
	b.out = appendU32(append(b.out, opGlobalSet), b.w.fuel)
	b.charges++
	b.span = span{id: b.charges, patch: patch}
}

// charge begins a span in front of the next instruction. Whether there is fuel is
// left to the next loop or function.
func (b *body) charge() {
	b.close()
	if b.w.opts.Meter {
		b.flush(b.r.pos)
		b.out = appendU32(append(b.out, opGlobalGet), b.w.fuel)
		b.take()
	}
}

// unpatched is the place of a number of fixed length.
var unpatched = []byte{0x80, 0x80, 0x80, 0x80, 0}

// close ends a span: its cost is known.
func (b *body) close() {
	if b.patch >= 0 {
		// At most some 2^27 for the largest function: it fits 5 bytes with its sign.
		c := b.cost
		for i := range 4 {
			b.out[b.patch+i] = byte(c&0x7f) | 0x80
			c >>= 7
		}
		b.out[b.patch+4] = byte(c & 0x3f)
	}
	b.patch, b.cost = -1, 0
}

// target reads a jump's target and returns the frame, and its label in out.
func (b *body) target() (f *frame, label uint32) {
	depth := b.r.u32()
	b.branch(1)
	if uint64(depth) >= uint64(len(b.frames)) {
		b.r.failf("a jump out of %d blocks, of which there are %d", uint64(depth)+1, len(b.frames))
		depth = 0
	}
	i := len(b.frames) - 1 - int(depth)
	if i == 0 { // out of the function, whose frame must not change any more
		b.leaf, b.simple = false, false
	}
	f = &b.frames[i]
	f.atEnd.join(&b.lows)
	return f, uint32(b.depth - 1 - f.label)
}

// branch counts places where the code parts or joins.
func (b *body) branch(n int) {
	b.jumps += uint64(n)
	if most := b.w.limits.Jumps; b.jumps > most && (b.form == noTable || b.jumps > maxOver*most || len(b.frames) > maxNested) {
		b.excess(true)
	}
}

// jump rewrites a br or br_if.
func (b *body) jump(start int, op byte) {
	f, to := b.target()
	if f.from < 0 {
		f.from = b.id
	}
	b.flush(start)
	b.out = appendU32(append(b.out, op), to)
	b.copied = b.r.pos
}

// table rewrites a br_table. It pays for what follows its targets, so that these
// need no charge of their own: their code up to the next charge is no longer than a
// window. This includes no other br_table, which would have to pay for what follows
// its targets in turn, so one on such a way begins a span.
func (b *body) table(start int) {
	r := b.r
	if b.bypassed {
		r.pos = start
		b.charge()
		r.pos = start + 1
		b.cost = costPlain
	}
	n := r.count()
	b.flush(start)
	b.out = appendU32(append(b.out, opBrTable), n)
	for i := uint32(0); i <= n && r.err == nil; i++ {
		f, to := b.target()
		f.tabled = true
		b.out = appendU32(b.out, to)
	}
	b.cost += window
	b.copied = r.pos
}

// open opens a block.
func (b *body) open(kind byte, start int) {
	_, t := b.r.blockType(b.w.params)
	if b.r.err != nil {
		return
	}
	f := frame{kind: kind, from: -1, atEnd: lows{never: true}}
	switch {
	case kind == opIf:
		f.from, f.atEnd = b.id, b.lows // the way round it
	case kind == opLoop && b.w.opts.Meter:
		if b.simple && b.leaf && b.charges == 1 && b.cost <= small {
			// The function begins with a loop, which will do for it.
			b.flush(start)
			b.copied = start
			b.elide()
		}
		b.leaf = false
		f.outer = b.span
		f.extra = b.loop(start, b.form != tableCopy && (t < 0 || len(b.w.params[t]) == 0))
	}
	if kind == opLoop {
		b.lows = lows{} // on the way back it may be anything
	}
	b.branch(2 + 2*f.extra)
	b.simple = false
	f.label = b.depth
	b.depth++
	b.frames = append(b.frames, f)
}

// loop opens a loop, which begins a span of its own. So that the call of the host's
// is no part of it, and costs no registers there, it goes out for that and comes in
// again:
//
//	block $done (type of the loop)
//	  loop $again
//	    block $host
//	      loop (its type)
//	        br_if $host if fuel < 0
//	        charge
//	        …
//	      end
//	      br $done
//	    end
//	    call the host
//	    br $again
//	  end
//	  unreachable
//	end
//
// A loop with parameters, or of a copy, calls the host where it stands. It returns how many
// blocks were opened around the loop.
func (b *body) loop(start int, plain bool) (extra int) {
	kind := b.r.buf[start+1 : b.r.pos]
	if !plain {
		b.charge()
		b.cost += costCall // for what it carries around
		b.out = b.w.callHost(b.out)
		return 0
	}
	b.flush(start)
	b.out = append(append(b.out, opBlock), kind...)
	b.out = append(b.out, opLoop, noType, opBlock, noType, opLoop)
	b.out = append(b.out, kind...)
	b.checked(1)
	b.copied = b.r.pos
	const around = 3
	b.depth += around
	return around
}

// leave closes what was put around a loop.
func (b *body) leave(f *frame) {
	b.flush(b.r.pos)
	b.close()
	if f.extra > 0 {
		b.out = append(b.out, opBr, 2)
		b.host(f.sets & f.reads)
		b.depth -= f.extra
	}
	b.span = f.outer
	if b.patch < 0 { // it was given up
		b.charge()
	}
}

// end closes a block.
func (b *body) end() {
	f := b.frames[len(b.frames)-1]
	b.frames = b.frames[:len(b.frames)-1]
	b.depth--
	if len(b.frames) == 0 {
		return // the function's
	}
	around := &b.frames[len(b.frames)-1]
	around.sets, around.reads = around.sets|f.sets, around.reads|f.reads
	if f.kind != opLoop {
		f.atEnd.join(&b.lows)
		b.lows = f.atEnd
	} else if b.w.opts.Meter {
		b.leave(&f)
		return
	}
	before := b.charges
	b.arrive(f.from)
	if f.tabled && b.charges == before {
		b.bypassed = true
	}
}

// arrive begins a span if one that jumps to here, from which the way does not lead
// through the beginning of the current one.
func (b *body) arrive(from int) {
	if from >= 0 && from < b.id {
		b.charge()
	}
}

// instruction rewrites the next instruction.
func (b *body) instruction() {
	r := b.r
	if len(b.out) > b.w.room {
		b.outgrown()
		return
	}
	if b.cost > window {
		b.charge()
	}
	start := r.pos
	op := r.byte()
	b.cost += costPlain
	if op > opBlock && op <= opReturn {
		b.touched, b.masked = 0, false
	}
	switch {
	case op == opBlock || op == opLoop || op == opIf:
		b.open(op, start)
	case op == opElse:
		f := &b.frames[len(b.frames)-1]
		b.lows, f.atEnd = lows{}, lows{} // functions without their table have none
		b.arrive(f.from)
	case op == opEnd:
		b.end()
	case op == opBr || op == opBrIf:
		b.jump(start, op)
		b.lows.never = b.lows.never || op == opBr
	case op == opReturn:
		b.simple = false
		b.lows.never = true
	case op == opUnreachable:
		b.lows.never = true
	case op == opBrTable:
		b.table(start)
		b.lows.never = true
	case op == opCall:
		f := r.index("function", uint32(len(b.w.funcTypes)))
		b.call(start, f >= b.index, func() { b.out = appendU32(append(b.out, opCall), b.w.moved(f)) })
	case op == opCallIndir:
		r.index("type", uint32(len(b.w.params)))
		r.index("table", uint32(len(b.w.tables)))
		b.call(start, true, func() { b.out = append(b.out, r.buf[start:r.pos]...) })
	case op == opRefFunc: // which the runtime is asked for
		b.cost += costCall
		b.leaf = false
		b.flush(start)
		f := b.w.function(r)
		b.out = appendU32(append(b.out, op), f)
		b.copied = r.pos
	case op == opSelect || op == opSelectT:
		if op == opSelectT {
			r.byte() // how many types there are, one
			r.valueType()
		}
		b.choice(start)
	case op >= opLocalGet && op <= opLocalTee:
		b.variable(start, op, r.index("variable", b.locals))
	case op == opF64Const:
		b.float(start)
	case op >= opI32Eqz && op <= opF64Ge:
		b.compare(start, op)
	case op == opI32And || op == opI64And:
		b.masked = true
	case b.form == noTable && op == opI64ExtendU:
		b.sum(start, true, func() {})
	case b.form == noTable && op == opI64Const:
		r.pos, b.cost = start, b.cost-costPlain
		if !b.sum(start, false, func() { b.out = append(b.out, opI32Wrap) }) {
			r.pos, b.cost = start+1, b.cost+costPlain
			r.skip(op)
		}
	case op == opI32Const:
		if r.skip(op); r.err == nil {
			b.constants.push(start, r.buf[start+1:r.pos])
		}
		return
	case op == opGlobalGet || op == opGlobalSet:
		r.index("global", uint32(len(b.w.globals)))
	case op == opTableGet:
		r.index("table", uint32(len(b.w.tables)))
	case op == opTableSet:
		r.index("table", uint32(len(b.w.tables)))
		b.dirty(start)
	case op >= opFirstLoad && op <= opLastStore:
		b.cost += costLoad - costPlain
		if start != b.store {
			r.skip(op)
			break
		}
		b.flush(start)
		b.access(op, b.addend)
	case op == opMemoryGrow:
		r.skip(op)
		// In pages; a new one is cleared when it is first used.
		b.chargeLength(start, 0, 4)
	case op == opRefNull:
		r.refType()
	case op == opRefIsNull:
	case op == opBulk:
		b.bulk(start)
	case op == opVector:
		b.vector(start)
	case slow(op):
		b.cost += costSlow - costPlain
		b.guard(start, guardOf(op))
	case r.skip(op):
		b.guard(start, guardOf(op))
	default:
		r.pos = start
		r.unknownOp(op)
	}
	b.constants.n = 0
}

// variable takes note of a local.get, local.set or local.tee.
func (b *body) variable(start int, op byte, v uint32) {
	f, bit := &b.frames[len(b.frames)-1], uint64(1)<<v
	if op == opLocalGet {
		f.reads |= bit &^ b.touched
		if b.form == noTable {
			b.low(start, v)
		}
	} else {
		f.sets |= bit
		b.lows.forget(v)
	}
	b.touched |= bit
}

// call rewrites a call, which write writes, and counts it if it may go round.
func (b *body) call(start int, round bool, write func()) {
	b.cost += costCall
	b.leaf = false
	if b.r.err != nil {
		return
	}
	b.flush(start)
	round = round && b.w.opts.Meter
	if round {
		b.branch(4)
		b.deeper(opI32Sub)
		b.out = appendU32(append(b.out, opGlobalGet), b.w.depth)
		b.out = append(b.out, opI32Const, 0, opI32LtS, opIf, noType)
		b.out = appendU32(append(b.out, opGlobalGet), b.w.fuel)
		b.out = append(append(b.out, opI64Const), tooDeep...)
		b.out = appendU32(append(b.out, opI64Sub, opGlobalSet), b.w.fuel)
		b.out = append(b.out, opEnd)
	}
	write()
	if round {
		b.deeper(opI32Add)
	}
	b.copied = b.r.pos
}

// tooDeep is [TooDeep] as an instruction has it.
var tooDeep = []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x20}

// deeper counts a call, or its end.
func (b *body) deeper(op byte) {
	b.out = appendU32(append(b.out, opGlobalGet), b.w.depth)
	b.out = append(b.out, opI32Const, 1, op, opGlobalSet)
	b.out = appendU32(b.out, b.w.depth)
}

// plain reports whether an instruction has nothing to it but itself.
func plain(op byte) bool {
	switch op {
	case opUnreachable, opNop, opDrop, opSelect:
		return true
	}
	return op > opF64Const && op <= opLastPlain
}

// slow reports whether an instruction is a division, a remainder or a root.
func slow(op byte) bool {
	switch {
	case op >= 0x6d && op <= 0x70, op >= 0x7f && op <= 0x82: // integers
		return true
	}
	return op == 0x91 || op == 0x95 || op == 0x9f || op == 0xa3
}

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

func (b *body) vector(start int) {
	sub, lane := b.r.vector()
	switch {
	case sub == 227, sub == 231, sub == 239, sub == 243: // roots and divisions
		b.cost += costSlow - costPlain
	case ofMemory(sub):
		b.cost += costLoad - costPlain
	}
	b.guard(start, guardOfVector(sub, lane))
}
