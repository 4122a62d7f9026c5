package meter

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
