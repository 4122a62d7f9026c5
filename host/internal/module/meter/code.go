package meter

import (
	"bytes"
	"errors"
	"fmt"
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
