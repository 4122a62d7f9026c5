package meter

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

// span is code that is paid for in one place.
type span struct {
	id    int
	patch int // where in out the cost is to be written, -1 for nowhere
	cost  uint64
	// bypassed is whether a br_table leads into it, past its beginning.
	bypassed bool
}

// maxRenamed is the most variables of a function to which [body.host] gives new values.
const maxRenamed = 64

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
// A function in the form of a br_table has the call in front: no register holds anything there yet, and
// the call behind would be a seventh of all code.
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

// arrive begins a span if the first span from which a jump comes here is earlier than the current one:
// such a jump has not paid for the current one. from is that first span, -1 without a jump.
func (b *body) arrive(from int) {
	if from >= 0 && from < b.id {
		b.charge()
	}
}
