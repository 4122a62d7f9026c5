package meter

import (
	"encoding/binary"
	"slices"
)

// Go's compiler writes a function as parts of code in a loop around a table: a jump sets
// the argument, which is the number of a part, and goes round. So can a function be entered
// again at any part, which is how goroutines are switched. The compiler to machine code has
// to take it that any part may follow any other, and moves all variables to where the loop
// expects them at each jump.
//
// reloop writes the function as one that is entered at its beginning alone: with a loop where
// there is one, and jumps out of blocks. For any other argument there is a copy of what it
// was. The algorithm is that of Norman Ramsey, "Beyond Relooper: Recursive Translation of
// Unstructured Control Flow to Structured Control Flow", Proc. ACM Program. Lang. 6, ICFP
// (2022). Where a part can be reached by several ways, a block ends in front of it, which
// stands in the part that all these ways pass last; where a way leads back, a loop begins.
// Other parts stand where the jump to them was.

// flow is a function whose argument is the number of the part at which it begins. One is
// used for function after function, with its memory.
type flow struct {
	raw     []byte
	start   int // where what is in front of all blocks ends
	looped  bool
	unwinds bool // a block is around all others, behind which the function returns 1
	table   []int
	parts   []part
	jumps   []jump   // of all parts, in their order
	floats  []uint64 // its constants of that type

	order []int // parts that can be reached, each behind those that lead to it, but for loops
	rank  []int // where a part is in order; -1 if it can not be reached
	from  lists // the parts that lead to one
	above []int // the part that all ways to one pass last
	// joins are the parts with a block in front, by that in which the block stands, in order.
	joins  lists
	joined []bool
	head   []bool // a loop begins with the part

	out   []byte
	depth int   // how many blocks are open in out
	block []int // how many are around the one that ends in front of a part
	loop  []int // how many are around the loop that begins with it
}

// part is a part of code. It goes on with the next one if it comes to its end.
type part struct {
	from, to   int
	first, end int  // its jumps
	falls      bool // it may come to its end
}

// jump is one to another part, of which nothing is to be copied, or an instruction that
// jumps out of the outermost block if to is unwinding.
type jump struct {
	from, to int
	op       byte
	open     int // how many blocks of the part are around it
	part     int
}

const unwinding = -1

// maxParts, maxEntries and maxJumps bound the work on a function, and the nesting of what
// becomes of it. maxSteps is how many steps towards the first part are made for each.
const (
	maxParts   = 4_000
	maxEntries = 1 << 16 // of a table, of which Go's compiler makes no more
	maxJumps   = 30_000
	maxSteps   = 100
)

// reloop appends a function's body without its table to out, if it is of that form. It is
// right if the argument is 0.
func (f *flow) reloop(out, raw []byte) (_ []byte, ok bool) {
	*f = flow{
		raw: raw, table: f.table[:0], parts: f.parts, jumps: f.jumps[:0], floats: f.floats[:0], order: f.order[:0], rank: f.rank, from: f.from, above: f.above,
		joins: f.joins, joined: f.joined, head: f.head, block: f.block, loop: f.loop, out: out,
	}
	if !f.read() || !f.analyze() {
		return out, false
	}
	f.write()
	return f.out, true
}

// zeros is n of them, in the memory of a list if that has room.
func zeros[T any](list []T, n int) []T {
	list = slices.Grow(list[:0], n)[:n]
	clear(list)
	return list
}

// lists are a list of parts for each part, one behind the other.
type lists struct{ ends, all []int }

// fill makes the lists of what each calls add for, twice.
func (l *lists) fill(n int, each func(add func(of, part int))) {
	l.ends = zeros(l.ends, n+1)
	each(func(of, _ int) { l.ends[of+1]++ })
	for i := range n {
		l.ends[i+1] += l.ends[i]
	}
	l.all = zeros(l.all, l.ends[n])
	// Each end is where the list before ends, until the list is full.
	each(func(of, part int) {
		l.all[l.ends[of]] = part
		l.ends[of]++
	})
}

func (l *lists) of(i int) []int {
	if i == 0 {
		return l.all[:l.ends[0]]
	}
	return l.all[l.ends[i-1]:l.ends[i]]
}

// read finds the parts:
//
//	variables, instructions that read and set them
//	block           if it unwinds
//	  loop          if there are jumps
//	    block …     one for each part
//	      local.get 0
//	      br_table
//	    end
//	    the first part
//	    end
//	    …
//	    the last part
//	  end
//	  unreachable
//	end
//	i32.const 1
func (f *flow) read() bool {
	r := &reader{buf: f.raw}
	for range r.count() {
		r.u32()
		r.valueType()
	}
	if !f.begin(r) {
		return false
	}
	for i := range f.parts {
		if !f.part(r, i) {
			return false
		}
	}
	if f.looped && r.byte() != opUnreachable {
		return false
	}
	if f.unwinds && (r.byte() != opEnd || r.byte() != opI32Const || r.byte() != 1) {
		return false
	}
	return r.byte() == opEnd && r.err == nil && r.done()
}

// begin reads up to the first part. The last entry of the table is for all numbers that are
// too large.
func (f *flow) begin(r *reader) bool {
	op := r.byte()
	for ; op >= opLocalGet && op <= opGlobalSet; op = r.byte() {
		if i := r.u32(); i == 0 && (op == opLocalSet || op == opLocalTee) {
			return false // the table is to see the argument
		}
	}
	f.start = r.pos - 1
	outside, blocks := 0, 0
	for ; op == opBlock || op == opLoop; op = r.byte() {
		switch {
		case r.byte() != noType || op == opLoop && f.looped:
			return false
		case op == opBlock:
			blocks++
		default:
			f.looped, outside, blocks = true, blocks, 0
		}
	}
	if op != opLocalGet || r.byte() != 0 || r.byte() != opBrTable {
		return false
	}
	entries := r.count()
	if entries > maxEntries {
		return false
	}
	for range entries + 1 {
		f.table = append(f.table, int(r.u32()))
	}
	n := f.table[len(f.table)-1] + 1
	if !f.looped {
		outside, blocks = blocks-n, n
	}
	f.unwinds = outside == 1
	if r.byte() != opEnd || r.err != nil || n != blocks || n > maxParts || outside < 0 || outside > 1 || f.table[0] != 0 || slices.Max(f.table) >= n {
		return false
	}
	f.parts = zeros(f.parts, n)
	return true
}

// part reads the i-th part and the end of the block behind it.
func (f *flow) part(r *reader, i int) bool {
	p := &f.parts[i]
	p.from, p.first = r.pos, len(f.jumps)
	defer func() { p.end = len(f.jumps) }()
	around := len(f.parts) - 1 - i // blocks of parts; then come the loop and the outermost
	outermost := around
	if f.looped {
		outermost++
	}
	open := 0
	for {
		at := r.pos
		switch op := r.byte(); {
		case op == opBlock || op == opLoop || op == opIf:
			open++
			if r.byte() != noType {
				return false
			}
		case op == opEnd && open == 0:
			p.to, p.falls = at, true
			return around > 0 || f.looped // or the end is not that of a part
		case op == opEnd:
			open--
		case op == opBr || op == opBrIf:
			to := int(r.u32()) - open
			if to == outermost && f.unwinds {
				f.jumps = append(f.jumps, jump{from: at, to: r.pos, op: op, open: open, part: unwinding})
			} else if to >= 0 {
				return false
			}
		case op == opI32Const:
			n := r.s33()
			long := r.pos-at > 1+4 // the compiler reads the sign of five bytes in its own way
			if r.peek(0) != opLocalSet || r.peek(1) != 0 || r.peek(2) != opBr {
				break
			}
			if r.bytes(3); int(r.u32()) != open+around || !f.looped || long {
				return false
			}
			to := f.table[min(uint64(n), uint64(len(f.table)-1))] // a negative one is too large as well
			f.jumps = append(f.jumps, jump{from: at, to: r.pos, op: opBr, open: open, part: to})
			if open == 0 {
				p.to = r.pos
				return f.unreached(r, around)
			}
		case (op == opReturn || op == opUnreachable) && open == 0:
			p.to = r.pos
			return f.unreached(r, around)
		case op == opF64Const:
			if raw := r.bytes(8); r.err == nil {
				f.floats = append(f.floats, binary.LittleEndian.Uint64(raw))
			}
		case op >= opLocalGet && op <= opLocalTee:
			if r.u32() == 0 && !r.setForCall(op) {
				return false
			}
		case !r.skip(op):
			return false
		}
		if r.err != nil || len(f.jumps) > maxJumps {
			return false
		}
	}
}

// setForCall reads on behind an instruction about variable 0, which jumps do not set any more. But the
// index of a function that is called may make way there for the call's argument.
func (r *reader) setForCall(op byte) bool {
	if op != opLocalSet || string(r.bytes(5)) != calls {
		return false
	}
	r.u32()
	r.u32()
	return true
}

// calls is what follows a local.set of variable 0 that has nothing to do with jumps.
const calls = string(rune(opI32Const)) + "\x00" + string(rune(opLocalGet)) + "\x00" + string(rune(opCallIndir))

// unreached reads what cannot be reached, up to the end of a part.
func (f *flow) unreached(r *reader, around int) bool {
	for r.peek(0) == opUnreachable && !r.done() || r.peek(0) == opNop {
		r.byte()
	}
	return around == 0 && !f.looped || r.byte() == opEnd
}

// ways calls visit for each way from a part to another.
func (f *flow) ways(i int, visit func(to int)) {
	p := &f.parts[i]
	for _, j := range f.jumps[p.first:p.end] {
		if j.part != unwinding {
			visit(j.part)
		}
	}
	if p.falls && i+1 < len(f.parts) {
		visit(i + 1)
	}
}

// analyze finds where loops and blocks are. It returns false if there is a loop with more
// than one way in.
func (f *flow) analyze() bool {
	n := len(f.parts)
	f.rank = zeros(f.rank, n)
	f.walk(0)
	slices.Reverse(f.order)
	for i := range f.rank {
		f.rank[i] = -1
	}
	for at, i := range f.order {
		f.rank[i] = at
	}
	f.from.fill(n, func(add func(of, part int)) {
		for _, i := range f.order {
			f.ways(i, func(to int) { add(to, i) })
		}
	})

	// Without the ways back there are no loops, so that one pass is enough; and they change
	// nothing, if what they lead back to is above where they begin.
	f.above, f.head, f.joined = zeros(f.above, n), zeros(f.head, n), zeros(f.joined, n)
	steps := maxSteps * n
	for _, i := range f.order[1:] {
		above, ways := -1, 0
		for _, p := range f.from.of(i) {
			if f.rank[p] >= f.rank[i] {
				continue
			}
			if ways++; above < 0 {
				above = p
			}
			for p != above && steps > 0 {
				if steps--; f.rank[p] > f.rank[above] {
					p = f.above[p]
				} else {
					above = f.above[above]
				}
			}
		}
		f.above[i], f.joined[i] = above, ways > 1
	}
	f.joins.fill(n, func(add func(of, part int)) {
		for _, i := range f.order {
			if f.joined[i] {
				add(f.above[i], i)
			}
		}
	})
	for _, i := range f.order {
		for _, p := range f.from.of(i) {
			if f.rank[p] < f.rank[i] {
				continue
			}
			f.head[i] = true
			for ; f.rank[p] > f.rank[i] && steps > 0; steps-- {
				p = f.above[p]
			}
			if p != i {
				return false
			}
		}
	}
	return steps > 0
}

// walk puts what can be reached from a part, and has not been yet, in order, the last first.
// A rank of 1 says that a part has been reached.
func (f *flow) walk(i int) {
	f.rank[i] = 1
	f.ways(i, func(to int) {
		if f.rank[to] == 0 {
			f.walk(to)
		}
	})
	f.order = append(f.order, i)
}

// write writes the function without the table.
func (f *flow) write() {
	f.block, f.loop = zeros(f.block, len(f.parts)), zeros(f.loop, len(f.parts))
	f.out = append(f.out, f.raw[:f.start]...)
	if f.unwinds {
		f.open(opBlock)
	}
	f.place(0)
	if f.unwinds {
		f.end()
		f.out = append(f.out, opI32Const, 1)
	}
	f.out = append(f.out, opEnd)
}

func (f *flow) open(kind byte) {
	f.out = append(f.out, kind, noType)
	f.depth++
}

func (f *flow) end() {
	f.out = append(f.out, opEnd)
	f.depth--
}

func (f *flow) br(op byte, around int) {
	f.out = appendU32(append(f.out, op), uint32(f.depth-1-around))
}

// place writes a part and those that can be reached only by it. The end of what it writes
// cannot be reached.
func (f *flow) place(i int) {
	if f.head[i] {
		f.loop[i] = f.depth
		f.open(opLoop)
	}
	for _, j := range slices.Backward(f.joins.of(i)) {
		f.block[j] = f.depth
		f.open(opBlock)
	}
	p := &f.parts[i]
	at := p.from
	for _, j := range f.jumps[p.first:p.end] {
		f.out = append(f.out, f.raw[at:j.from]...)
		f.depth += j.open
		if j.part == unwinding {
			f.br(j.op, 0)
		} else {
			f.follow(i, j.part)
		}
		f.depth -= j.open
		at = j.to
	}
	f.out = append(f.out, f.raw[at:p.to]...)
	switch {
	case p.falls && i+1 < len(f.parts):
		f.follow(i, i+1)
	case p.falls:
		f.out = append(f.out, opUnreachable)
	}
	for _, j := range f.joins.of(i) {
		f.end()
		f.place(j)
	}
	if f.head[i] {
		f.end()
		f.out = append(f.out, opUnreachable)
	}
}

// follow writes the way from a part to another.
func (f *flow) follow(from, to int) {
	switch {
	case f.rank[to] <= f.rank[from]:
		f.br(opBr, f.loop[to])
	case f.joined[to]:
		f.br(opBr, f.block[to])
	default:
		f.place(to)
	}
}
