package differ

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
)

// generator writes random programs. Whatever it writes is valid, and ends: loops count down,
// and so does what bounds the calls.
type generator struct {
	*rand.Rand

	ops *opTable
	p   *program
	n   int // of the function that is written

	f      *function
	labels []label
	last   int // the label given last
	room   int // nodes that are yet to be written, about
	habits
	nested int    // loops that are open
	recent [4]int // variables
	often  int    // of 100 functions are mostly of its kind
	helper kind   // of a value from which the last function makes another; none without one
}

// habits are how a function is written. Compilers go wrong where much comes together in one place,
// which does not happen if all functions have a bit of everything.
type habits struct {
	straight bool // no blocks: as much is alive at once as there are variables
	selects  int  // of 100 expressions
	calls    int
	leaves   int
	locals   int // of 100 leaves
	clamps   int
	careful  bool // no traps, but for the calls'
	still    bool // most variables keep what they began with, and so are alive from the beginning to the end
	pure     bool // nothing that is a call in the machine's code, but for calls
	same     int  // of 100 variables are one that was read lately
	favorite []*op
}

// label is a block that is open.
type label struct {
	id      int
	loop    bool
	takes   []kind // what a jump to it takes along
	counter int    // of a loop
}

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) } //nolint:gosec // a seed makes the same program for ever

// generate returns the program of a seed. If a kind is favored, most functions have to do with it.
func generate(ops *opTable, seed uint64, favor kind) *program {
	g := &generator{Rand: newRand(seed, 0), ops: ops, often: 50}
	if favor != none {
		g.often = 95
	}
	g.p = &program{pages: 1 + g.IntN(2), data: g.dataOf(256), init: g.dataOf(16)}
	for range g.IntN(7) {
		k := pick(g, kinds("ilfdvilfdFD"))
		gl := global{kind: k}
		gl.init = g.constant(k)
		g.p.globals = append(g.p.globals, gl)
	}
	scalars := kinds("ilfd")
	entry := &function{}
	for range 2 + g.IntN(4) {
		entry.params = append(entry.params, pick(g, scalars))
	}
	for range g.IntN(4) {
		entry.results = append(entry.results, pick(g, kinds("ilfdFD")))
	}
	g.p.funcs = append(g.p.funcs, entry)
	for range 1 + g.IntN(4) {
		f := &function{}
		for range pick(g, []int{1, 1, 2, 3, 4, 5}) {
			f.params = append(f.params, pick(g, kinds("ilfdvilfdvFDF42De")))
		}
		for range min(1+g.IntN(3), 1+g.IntN(3)) {
			f.results = append(f.results, pick(g, kinds("ilfdvilfdvFDF42D")))
		}
		if g.IntN(6) == 0 {
			f.results = nil
		}
		g.p.funcs = append(g.p.funcs, f)
	}
	if k := pick(g, kinds("DDFFdfvil42")); favor != none || g.percent(80) {
		if favor != none {
			k = favor
		} // one of a value, as often in programs
		g.helper = k
		g.p.funcs = append(g.p.funcs, &function{params: []kind{k}, results: []kind{k}})
	}
	for range 8 {
		g.p.table = append(g.p.table, g.IntN(len(g.p.funcs)+1)-1)
	}
	for range 4 {
		g.p.passive = append(g.p.passive, g.IntN(len(g.p.funcs)+1)-1)
	}
	// The first function is called by nobody.
	for _, list := range [][]int{g.p.table, g.p.passive} {
		for i, f := range list {
			if f == 0 {
				list[i] = -1
			}
		}
	}
	for i, f := range g.p.funcs {
		g.n = i
		g.function(f)
	}
	return g.p
}

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

func (g *generator) percent(n int) bool { return g.IntN(100) < n }

// dataOf is n special values of 8 bytes.
func (g *generator) dataOf(n int) []byte {
	b := make([]byte, 0, 8*n)
	for range n {
		v := g.constant(pick(g, kinds("dddlllv")))
		if g.IntN(3) == 0 {
			low, high := g.constant(f32), g.constant(pick(g, kinds("fi")))
			copy(v[:4], low[:4])
			copy(v[4:8], high[:4])
		}
		b = append(b, v[:8]...)
	}
	return b
}

var (
	ints = []uint64{
		0, 1, 2, 3, 7, 8, 10, 15, 16, 24, 31, 32, 33, 48, 60, 63, 64, 100, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536,
		1<<31 - 1, 1 << 31, 1<<31 + 1, 1<<32 - 1, 1 << 32, 1 << 53, 1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<63 + 1, 1<<63 + 1024, 1<<64 - 1, 1<<64 - 2,
		1<<64 - 3, 1<<64 - 10, 1<<64 - 128, 1<<64 - 1<<31, 1<<64 - 1<<31 - 1, 0x5555555555555555, 0x8080808080808080, 0x0102040810204080,
	}
	floats = []float64{
		0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 0.25, 1.5, 2.5, 3.5, 1e-19, 100, -100, 1e3, 1e10, 1e300, -1e300, math.Inf(1), math.Inf(-1),
		math.MaxFloat64, math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p31, 0x1p31 - 1, 0x1p31 - 0.5, -0x1p31, -0x1p31 - 1, -0x1p31 - 0.5, 0x1p32, 0x1p32 - 1,
		0x1p32 - 0.5, -0.9999, 0x1p52 + 0.5, 0x1p53, 0x1p63, 0x1p63 - 1024, -0x1p63, -0x1p63 - 2048, 0x1p64, 0x1p64 - 2048, 127.5, -128.5, 255.5, 65535.5,
	}
	nans32 = []uint32{nan32, nan32 | 1<<31, nan32 | 1, 0x7f800001, 0xff800001, 0x7fa00000, 0xffffffff}
	nans64 = []uint64{nan64, nan64 | 1<<63, nan64 | 1, 0x7ff0000000000001, 0xfff0000000000001, 0x7ff4000000000000, 1<<64 - 1}
)

// constant is bits that make trouble, or any.
func (g *generator) constant(k kind) (b [16]byte) {
	switch k.exact() {
	case i32, i64:
		switch g.IntN(5) {
		case 0:
			return le(g.Uint64())
		case 1:
			return le(uint64(int64(g.IntN(200)) - 100))
		}
		return le(pick(g, ints))
	case f32:
		switch g.IntN(10) {
		case 0:
			return le(uint64(g.Uint32()))
		case 1:
			return le(uint64(pick(g, nans32)))
		case 2, 3, 4:
			return le(uint64(math.Float32bits(float32(pick(g, floats)))))
		}
		return le(uint64(math.Float32bits(float32(g.NormFloat64() * 10))))
	case f64:
		switch g.IntN(10) {
		case 0:
			return le(g.Uint64())
		case 1:
			return le(pick(g, nans64))
		case 2, 3, 4:
			return floatBits(pick(g, floats))
		}
		return floatBits(g.NormFloat64() * 10)
	case v128:
		size, of := 8, pick(g, kinds("lifd"))
		switch of {
		case i32, f32:
			size = 4
		case i64:
			if g.IntN(3) == 0 {
				size = 1
			}
		}
		same := g.IntN(3) == 0
		for i := 0; i < 16; i += size {
			c := g.constant(of)
			if same && i > 0 {
				copy(b[i:i+size], b[:])
			} else {
				copy(b[i:i+size], c[:])
			}
		}
		return b
	}
	return b
}

// profiles are how many variables of which kinds a function has, about: so many are alive at
// once that the registers do not suffice, of one class or of both.
var profiles = []string{
	"DDDDDDDDDDDDDDDDDDdddddddddll ii",
	"DDDDDDDDDDDDdddddddddddddddddFFFff lllliiii",
	"FFFFFFFFFFFFFFFFFFFffffffffffiillDD",
	"444444442222222222vvvvvvvvvvvvvviill",
	"vvvvvvvvvvvvvvvvvvvvvvvviiiiill",
	"lllllllllllllllllllllliiiiiddddff",
	"iiiiiiiiiiiiiiiiiiiiiiiiilllllldd",
	"iiiiiiiillllllllDDDDDDddddFFFFff442vvvv",
	"iiiiiiiiiiillllllllllllDDDDDDDDDDDDDDDDddddddddFFffvvvv",
	"iillDDdFFfv42ne",
	"ilFDv",
}

// profilesOf are those of mostly one type.
var profilesOf = map[kind][]string{
	f64: profiles[0:2], f32: profiles[2:3], v128: profiles[3:5], i64: profiles[5:6], i32: profiles[6:7],
}

func (g *generator) function(f *function) {
	g.f, g.labels, g.last, g.nested = f, []label{{takes: f.results}}, 0, 0
	g.recent = [4]int{}
	g.room = pick(g, []int{40, 100, 200, 350, 700})
	g.habits = habits{
		straight: g.percent(45), selects: pick(g, []int{2, 8, 30}), calls: pick(g, []int{0, 3, 10}),
		leaves: pick(g, []int{5, 15, 40}), locals: pick(g, []int{40, 75, 98}),
		clamps: pick(g, []int{0, 5, 40}), careful: g.percent(85), same: pick(g, []int{0, 30, 60}),
	}
	profile, scale := pick(g, profiles), 40+g.IntN(80)
	if g.helper != none && g.percent(g.often) { // numbers of one kind, chosen from, and a call now and then
		g.habits = habits{
			straight: true, selects: pick(g, []int{5, 20}), calls: pick(g, []int{0, 1, 8}), leaves: 15, locals: pick(g, []int{80, 95}),
			clamps: pick(g, []int{2, 20}), careful: true, same: pick(g, []int{0, 30}),
		}
		g.pure, g.still = g.calls < 8, g.IntN(2) == 0
		scale = 120
		g.room = pick(g, []int{200, 350, 700})
		profile = pick(g, profilesOf[g.helper.exact()])
	}
	g.favorite = nil
	if g.percent(40) {
		for range 1 + g.IntN(3) {
			o := pick(g, pick(g, g.ops.lists))
			// One that takes what there is most of, if that is not rare, and as often as not from one
			// class of registers to the other: that is more than one instruction of the machine's.
			across := g.IntN(2) == 0
			for range 100 {
				most := kind(profile[0]).exact()
				if slices.ContainsFunc(o.in, func(k kind) bool { return k.exact() == most }) && (!across || o.out.whole() != most.whole()) {
					break
				}
				o = pick(g, pick(g, g.ops.lists))
			}
			g.favorite = append(g.favorite, o)
		}
	}
	f.locals = slices.Clone(f.params)
	own := len(f.params)
	for _, c := range profile {
		if c != ' ' && g.percent(scale) {
			f.locals = append(f.locals, kind(c))
		}
	}
	if g.n > 0 && g.IntN(3) == 0 { // a leaf, small
		g.room = 15
		f.locals = f.locals[:min(len(f.locals), own+4)]
	}
	for i := own; i < len(f.locals); i++ {
		k := f.locals[i]
		if k.exact() == funcref || k.exact() == extern || g.percent(8) {
			continue
		}
		at := &node{code: constNode, kind: i32}
		value := g.access(k.exact(), at, uint32(8*g.IntN(250)))
		f.body = append(f.body, set(i, value))
	}
	n := len(f.locals)
	for g.room > 0 {
		f.body = append(f.body, g.statement(3))
	}
	// Whatever is still there is written, so that it has been alive.
	for i := range n {
		if g.percent(75) {
			if s := g.keep(i); s != nil {
				f.body = append(f.body, s)
			}
		}
	}
	for _, k := range f.results {
		f.body = append(f.body, g.args([]kind{k}, 2)...)
	}
}

func set(i int, value *node) *node { return &node{code: localSet, index: i, kids: []*node{value}} }

// access is a load of all of a value.
func (g *generator) access(k kind, at *node, offset uint32) *node {
	name := map[kind]string{i32: "i32.load i", i64: "i64.load i", f32: "f32.load i", f64: "f64.load i", v128: "v128.load i"}[k]
	return &node{code: opNode, op: g.ops.byName[name], kind: k, kids: []*node{at}, offset: offset}
}

// keep stores a variable where nobody else does.
func (g *generator) keep(i int) *node {
	k := g.f.locals[i]
	name := map[kind]string{i32: "i32.store ii", i64: "i64.store il", f32: "f32.store if", f64: "f64.store id", v128: "v128.store iv"}[k.exact()]
	if name == "" {
		return nil
	}
	at := &node{code: constNode, kind: i32}
	value := g.exactly(&node{code: localGet, kind: k, index: i})
	return &node{code: opNode, op: g.ops.byName[name], kids: []*node{at, value}, offset: uint32(0x4000 + 0x800*g.n + 16*i)}
}

// exactly makes a value exact, if it is not.
func (g *generator) exactly(n *node) *node {
	if n.kind == n.kind.exact() {
		return n
	}
	way := g.IntN(ways)
	if g.straight {
		way = g.IntN(byIf)
	}
	return &node{code: canonNode, kind: n.kind.exact(), params: []kind{n.kind}, index: way, kids: []*node{n}}
}

// localOf returns a variable that has, or takes, a value of a kind; -1 without.
func (g *generator) localOf(k kind, taking bool) int {
	var list []int
	for i, l := range g.f.locals {
		if taking && l.takes(k) && !g.fixed(i) || !taking && k.takes(l) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return -1
	}
	return pick(g, list)
}

func (g *generator) leaf(k kind) *node {
	g.room--
	if g.percent(g.locals) {
		if i := g.localOf(k, false); i >= 0 {
			if g.percent(g.same) {
				for _, r := range g.recent {
					if r < len(g.f.locals) && k.takes(g.f.locals[r]) && g.IntN(2) == 0 {
						i = r
						break
					}
				}
			}
			g.recent[g.IntN(len(g.recent))] = i
			return &node{code: localGet, kind: g.f.locals[i], index: i}
		}
	}
	switch k {
	case funcref:
		switch g.IntN(3) {
		case 0:
			return &node{code: refNull, kind: k}
		case 1:
			return &node{code: tableGet, kind: k, kids: []*node{g.tableIndex()}}
		}
		if f := g.IntN(len(g.p.funcs)); f > 0 && slices.Contains(g.p.table, f) {
			return &node{code: refFunc, kind: k, index: f}
		}
		return &node{code: refNull, kind: k}
	case extern:
		if g.IntN(2) == 0 {
			return &node{code: refNull, kind: k}
		}
		return &node{code: tableGet, kind: k, index: 1, kids: []*node{{code: constNode, kind: i32, bits: le(uint64(g.IntN(2)))}}}
	}
	k = k.exact()
	if g.percent(30) {
		for i, gl := range g.p.globals {
			if k.takes(gl.kind) && g.IntN(2) == 0 {
				return &node{code: globalGet, kind: gl.kind, index: i}
			}
		}
	}
	return &node{code: constNode, kind: k, bits: g.constant(k)}
}

func number(k kind, v uint64) *node { return &node{code: constNode, kind: k, bits: le(v)} }

func (g *generator) tableIndex() *node {
	if g.careful || g.percent(85) {
		return number(i32, uint64(g.IntN(6)))
	}
	return g.masked(g.value(i32, 1), 7)
}

func (g *generator) masked(n *node, mask uint64) *node {
	return &node{code: opNode, op: g.ops.byName["i32.and ii"], kind: i32, kids: []*node{n, number(i32, mask)}}
}

// address is one, and an offset, of some bytes, mostly within the memory.
func (g *generator) address(depth int) (*node, uint32) {
	n := g.IntN(100)
	if g.careful && n >= 90 {
		n = g.IntN(90)
	}
	switch {
	case n < 35:
		return number(i32, uint64(g.IntN(0x1000))), uint32(g.IntN(64))
	case n < 90:
		return g.masked(g.value(i32, depth), pick(g, []uint64{0x7fff, 0x7f8, 0xfff0, 0x3fff})), uint32(pick(g, []int{0, 0, 8, g.IntN(0x300), g.IntN(64)}))
	case n < 93: // at the end of a page
		return number(i32, uint64(0x10000*(1+g.IntN(maxPages))-g.IntN(18))), uint32(g.IntN(3))
	case n < 95:
		return number(i32, pick(g, []uint64{1<<32 - 1, 1<<32 - 8, 1<<32 - 16, 1 << 31, 1<<31 - 1})), pick(g, []uint32{0, 1, 8, 1 << 31, 1<<32 - 1, 1<<32 - 16})
	case n < 97:
		return g.value(i32, depth), pick(g, []uint32{0, 4, 0x10000, 1<<32 - 4})
	}
	return g.masked(g.value(i32, depth), 0xff), uint32(g.IntN(0x10000))
}

// condition is an i32 that is as often 0 as not.
func (g *generator) condition(depth int) *node {
	if depth <= 0 || g.percent(15) {
		return g.value(i32, depth)
	}
	switch g.IntN(8) {
	case 0: // a comparison of a mask with a constant, from either side
		k, name := i32, "i32."
		if g.IntN(2) == 0 {
			k, name = i64, "i64."
		}
		and := &node{code: opNode, op: g.ops.byName[name+"and "+letters([]kind{k, k})], kind: k, kids: []*node{g.value(k, depth-1), g.value(k, depth-2)}}
		zero := number(k, uint64(pick(g, []int{0, 0, 0, 1, -1})))
		two := []*node{and, zero}
		if g.IntN(2) == 0 {
			two = []*node{zero, and}
		}
		cmp := pick(g, []string{"eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"})
		return &node{code: opNode, op: g.ops.byName[name+cmp+" "+letters([]kind{k, k})], kind: i32, kids: two}
	case 1:
		return g.of(pick(g, []*op{g.ops.byName["i32.eqz i"], g.ops.byName["i64.eqz l"]}), depth)
	case 2, 3:
		cmp := pick(g, []string{"eq", "ne", "lt", "gt", "le", "ge"})
		return g.of(pick(g, []*op{g.ops.byName["f32."+cmp+" FF"], g.ops.byName["f64."+cmp+" DD"]}), depth)
	}
	cmp := pick(g, []string{"eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"})
	return g.of(pick(g, []*op{g.ops.byName["i32."+cmp+" ii"], g.ops.byName["i64."+cmp+" ll"]}), depth)
}

// of is an instruction of the table with random operands.
func (g *generator) of(o *op, depth int) *node {
	g.room--
	n := &node{code: opNode, op: o, kind: o.out}
	for i, k := range o.in {
		switch {
		case i == 0 && (o.form == memory || o.form == memoryLane):
			at, offset := g.address(depth - 1)
			n.kids, n.offset = append(n.kids, at), offset
			for 1<<(n.align+1) <= o.bytes && g.IntN(3) > 0 {
				n.align++
			}
		default:
			n.kids = append(n.kids, g.value(k, depth-1))
		}
	}
	if o.lanes > 0 {
		n.index = g.IntN(o.lanes)
	}
	return n
}

// trapping is an instruction that may trap, mostly with operands for which it does not.
func (g *generator) trapping(o *op, depth int) *node {
	n := g.of(o, depth)
	if !g.careful && g.percent(4) {
		return n
	}
	switch last := len(n.kids) - 1; o.in[last] {
	case i32, i64:
		k := o.in[last]
		if g.IntN(2) == 0 { // by a constant
			c := pick(g, []int64{1, 2, 3, 7, 10, 16, 60, 1000, -3, 1 << 31, -7})
			n.kids[last] = number(k, uint64(c))
			break
		}
		name := map[kind]string{i32: "i32.or ii", i64: "i64.or ll"}[k]
		n.kids[last] = &node{code: opNode, op: g.ops.byName[name], kind: k, kids: []*node{n.kids[last], number(k, 1)}}
	case looseF32:
		n.kids[last] = g.of(g.ops.byName["f32.convert_i32_u i"], depth-1)
		if n.op.name[:3] == "i32" { // half of the numbers would not fit
			n.kids[last] = &node{code: opNode, op: g.ops.byName["f32.mul FF"], kind: looseF32, kids: []*node{n.kids[last], {code: constNode, kind: f32, bits: le(uint64(math.Float32bits(0.49)))}}}
		}
	case looseF64:
		n.kids[last] = g.of(g.ops.byName["f64.convert_i32_u i"], depth-1)
		scale := 0.49
		if n.op.name[:3] == "i64" {
			scale = pick(g, []float64{1, 1e9, 0.1})
		}
		n.kids[last] = &node{code: opNode, op: g.ops.byName["f64.mul DD"], kind: looseF64, kids: []*node{n.kids[last], {code: constNode, kind: f64, bits: floatBits(scale)}}}
	}
	return n
}

// value is an expression of a kind.
func (g *generator) value(k kind, depth int) *node {
	if depth <= 0 || g.room < 0 {
		return g.leaf(k)
	}
	if k == funcref || k == extern {
		if k == extern && !g.pure && g.IntN(3) == 0 {
			return &node{code: hostCall, index: 2, kind: extern, kids: []*node{g.value(i32, depth-1)}}
		}
		return g.leaf(k)
	}
	if k != k.exact() && g.percent(12) {
		k = k.exact()
	}
	switch {
	case g.percent(g.leaves):
		return g.leaf(k)
	case g.percent(g.selects):
		return g.choice(k, depth)
	case g.percent(g.calls):
		if c := g.callValue(k, depth); c != nil {
			return c
		}
	case !g.straight && g.percent(8):
		if g.IntN(2) == 0 {
			return g.ifValue(k, depth)
		}
		return g.blockValue(k, depth)
	case len(g.favorite) > 0 && g.percent(40):
		for _, o := range g.favorite {
			if k.takes(o.out) && o.traps {
				return g.trapping(o, depth)
			} else if k.takes(o.out) {
				return g.of(o, depth)
			}
		}
	}
	if g.percent(g.clamps) {
		if c := g.clamp(k, depth); c != nil {
			return c
		}
	}
	switch n := 38 + g.IntN(62); {
	case n < 42:
		if i := g.localOf(k, false); i >= 0 && !g.fixed(i) {
			return &node{code: localTee, kind: g.f.locals[i], index: i, kids: []*node{g.value(g.f.locals[i], depth-1)}}
		}
	case n < 52:
		if list := g.ops.trapping[k]; len(list) > 0 {
			return g.trapping(pick(g, list), depth)
		}
	case n < 56 && k == i32 && !g.pure:
		switch g.IntN(6) {
		case 0:
			return &node{code: memSize, kind: i32}
		case 1:
			return &node{code: refIsNull, kind: i32, kids: []*node{g.value(pick(g, kinds("ne")), depth-1)}}
		case 2:
			return &node{code: hostCall, index: 1, kind: i32, kids: []*node{g.masked(g.value(i32, depth-1), 0xffff)}}
		case 3:
			return &node{code: tableSize, kind: i32, index: g.IntN(2)}
		default:
			return g.condition(depth)
		}
	case n < 54 && k == i64 && !g.pure:
		if g.IntN(2) == 0 {
			return &node{code: hostCall, index: 3, kind: i64, kids: []*node{g.value(extern, depth-1)}}
		}
		return &node{code: hostCall, index: 0, kind: i64, kids: []*node{g.value(i32, depth-1), g.value(i64, depth-1), g.value(f64, depth-1), g.value(f32, depth-1)}}
	case n < 56 && k == v128:
		s := &node{code: shuffle, kind: v128, kids: []*node{g.value(v128, depth-1), g.value(v128, depth-1)}}
		for i := range s.bits {
			s.bits[i] = byte(g.IntN(32))
		}
		if g.IntN(4) == 0 {
			s.bits = pick(g, [][16]byte{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}, {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}})
		}
		return s
	case n < 75 && (k == f32 || k == f64 || k == v128):
		loose := map[kind][]kind{f32: kinds("F"), f64: kinds("D"), v128: kinds("42")}[k]
		return g.exactly(g.value(pick(g, loose), depth-1))
	}
	return g.of(pick(g, g.ops.byOut[k]), depth)
}

// clamp is a float between two constants, as C's compilers write it: what is pushed first waits for
// all that comes behind.
func (g *generator) clamp(k kind, depth int) *node {
	name := map[kind]string{looseF32: "f32.", looseF64: "f64."}[k]
	i := g.localOf(k.exact(), true)
	if name == "" || i < 0 || g.fixed(i) || g.f.locals[i] != k {
		return nil
	}
	pair := " " + letters([]kind{k, k})
	operation := func(name string, kind kind, kids ...*node) *node {
		return &node{code: opNode, op: g.ops.byName[name+pair], kind: kind, kids: kids}
	}
	g.room -= 4
	low := &node{code: constNode, kind: k.exact(), bits: g.constant(k)}
	high := &node{code: constNode, kind: k.exact(), bits: g.constant(k)}
	x := &node{code: localTee, kind: k, index: i, kids: []*node{g.value(k, depth-1)}}
	again := &node{code: localGet, kind: k, index: i}
	low2 := low.clone()
	switch g.IntN(4) {
	case 0: // x != x ? low : x
		return &node{code: selectNode, kind: k, kids: []*node{low, x, operation(name+"ne", i32, again, again.clone())}}
	case 1:
		low2 = g.value(k, depth-1)
	case 2:
		return &node{code: selectNode, kind: k, kids: []*node{x, high, operation(name+"gt", i32, again, low2)}}
	}
	return &node{code: selectNode, kind: k, kids: []*node{low, operation(name+"min", k, x, high), operation(name+"lt", i32, again, low2)}}
}

// choice is a select. It takes loose values if it may be loose.
func (g *generator) choice(k kind, depth int) *node {
	g.room--
	n := &node{code: selectNode, kind: k, kids: append(g.args([]kind{k, k}, depth-1), g.condition(depth-1))}
	if g.IntN(4) == 0 {
		n.code = selectT
	}
	return n
}

func (g *generator) label(l label) int {
	g.last++
	l.id = g.last
	g.labels = append(g.labels, l)
	return l.id
}

func (g *generator) close() { g.labels = g.labels[:len(g.labels)-1] }

func (g *generator) ifValue(k kind, depth int) *node {
	g.room--
	n := &node{code: ifNode, kind: k, results: []kind{k}, kids: []*node{g.condition(depth - 1)}}
	n.label = g.label(label{takes: n.results})
	n.body = append(g.statements(1, g.IntN(3)), g.value(k, depth-1))
	n.alt = append(g.statements(1, g.IntN(2)), g.value(k, depth-1))
	g.close()
	return n
}

func (g *generator) blockValue(k kind, depth int) *node {
	g.room--
	n := &node{code: blockNode, kind: k, results: []kind{k}}
	n.label = g.label(label{takes: n.results})
	n.body = g.statements(1, g.IntN(3))
	if g.IntN(2) == 0 { // a value that is taken along, or left
		exit := &node{code: brIfNode, label: n.label, kind: k, kids: []*node{g.value(k, depth-1), g.condition(depth - 1)}}
		n.body = append(n.body, &node{code: dropNode, kids: []*node{exit}})
	}
	n.body = append(n.body, g.value(k, depth-1))
	g.close()
	return n
}

// args are operands of some kinds.
func (g *generator) args(list []kind, depth int) []*node {
	var args []*node
	for _, k := range list {
		if depth <= 0 || g.percent(50) { // a variable: the allocator wants it in the register of the argument, now already
			args = append(args, g.leaf(k))
		} else {
			args = append(args, g.value(k, depth))
		}
	}
	return args
}

// callValue calls a function behind the current one that has one result, of the kind, or
// returns nil.
func (g *generator) callValue(k kind, depth int) *node {
	var list []int
	for i := g.n + 1; i < len(g.p.funcs); i++ {
		if r := g.p.funcs[i].results; len(r) == 1 && k.takes(r[0]) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return g.call(pick(g, list), depth)
}

// call calls a function, at times through the table.
func (g *generator) call(f, depth int) *node {
	g.room -= 2
	callee := g.p.funcs[f]
	n := &node{code: callNode, index: f, kids: g.args(callee.params, depth-1)}
	if len(callee.results) == 1 {
		n.kind = callee.results[0]
	}
	if at := slices.Index(g.p.table, f); at >= 0 && g.percent(35) {
		n.code, n.params, n.results = callIndir, callee.params, callee.results
		index := number(i32, uint64(at))
		if !g.careful && g.percent(5) {
			index = g.tableIndex()
		}
		n.kids = append(n.kids, index)
	}
	return n
}

// fixed reports whether a variable is to be left alone: it counts a loop's turns, or is one of those that
// stay what they are.
func (g *generator) fixed(i int) bool {
	if g.still && i%3 > 0 {
		return true
	}
	for _, l := range g.labels {
		if l.loop && l.counter == i {
			return true
		}
	}
	return false
}

// pops are statements that take values from the stack, in variables, or let them be.
func (g *generator) pops(list []kind) []*node {
	var pops []*node
	for _, k := range slices.Backward(list) {
		if i := g.localOf(k, true); i >= 0 && !g.fixed(i) {
			pops = append(pops, &node{code: localSet, index: i})
		} else {
			pops = append(pops, &node{code: dropNode})
		}
	}
	return pops
}

func (g *generator) statements(depth, n int) []*node {
	var list []*node
	for range n {
		if g.room < 0 {
			break
		}
		list = append(list, g.statement(depth))
	}
	return list
}

func (g *generator) statement(depth int) *node {
	g.room--
	if depth > 0 && !g.straight {
		switch n := g.IntN(100); {
		case n < 6:
			b := &node{code: blockNode}
			b.label = g.label(label{})
			b.body = g.statements(depth-1, 1+g.IntN(5))
			g.close()
			return b
		case n < 14:
			b := &node{code: ifNode, kids: []*node{g.condition(2)}}
			b.label = g.label(label{})
			b.body = g.statements(depth-1, 1+g.IntN(5))
			if g.IntN(2) == 0 {
				b.alt = g.statements(depth-1, 1+g.IntN(5))
			}
			g.close()
			return b
		case n < 22 && g.nested < 2:
			return g.loop(depth)
		case n < 26:
			return g.parameters(depth)
		case n < 30:
			return g.table(depth)
		}
	}
	if len(g.favorite) > 0 && g.percent(35) {
		o := pick(g, g.favorite)
		if i := g.localOf(o.out, true); i >= 0 && !g.fixed(i) && o.traps {
			return set(i, g.trapping(o, pick(g, []int{1, 1, 2})))
		} else if i >= 0 && !g.fixed(i) {
			return set(i, g.of(o, pick(g, []int{1, 1, 2})))
		}
	}
	n := g.IntN(100)
	switch {
	case g.pure:
		n = g.IntN(74)
	case g.straight && g.percent(70):
		n = 0
	}
	switch {
	case n < 62:
		i := g.IntN(len(g.f.locals) + 1)
		for n := 0; n < 9 && i < len(g.f.locals) && g.fixed(i); n++ {
			i = g.IntN(len(g.f.locals))
		}
		if i == len(g.f.locals) || g.fixed(i) {
			break
		}
		if k := g.f.locals[i]; k == funcref || k == extern {
			return set(i, g.value(k, 2))
		}
		return set(i, g.value(g.f.locals[i], pick(g, []int{1, 1, 1, 2, 2, 3, 4})))
	case n < 70:
		return g.of(pick(g, g.ops.stores), 3)
	case n < 74:
		if len(g.p.globals) > 0 {
			i := g.IntN(len(g.p.globals))
			return &node{code: globalSet, index: i, kids: []*node{g.value(g.p.globals[i].kind, 3)}}
		}
	case n < 82 && (!g.straight || g.percent(g.calls)):
		if f := g.n + 1 + g.IntN(len(g.p.funcs)); f < len(g.p.funcs) {
			return &node{code: seqNode, kids: append([]*node{g.call(f, 3)}, g.pops(g.p.funcs[f].results)...)}
		}
		twice := &node{code: hostCall, index: 4, kids: []*node{g.value(f32, 2), g.value(f64, 2)}}
		return &node{code: seqNode, kids: append([]*node{twice}, g.pops(kinds("df"))...)}
	case n < 87 && !g.straight:
		return g.jump()
	case n < 90:
		return g.bulk()
	case n < 93:
		return g.tables()
	case n < 94:
		grow := &node{code: memGrow, kind: i32, kids: []*node{g.masked(g.value(i32, 1), 1)}}
		return &node{code: seqNode, kids: append([]*node{grow}, g.pops(kinds("i"))...)}
	case n < 95 && !g.straight:
		trap := &node{code: ifNode, kids: []*node{g.masked(g.condition(2), 0)}, body: []*node{{code: trapNode}}}
		if !g.careful && g.percent(10) {
			trap.kids[0] = g.condition(2)
		}
		trap.label = g.label(label{})
		g.close()
		return trap
	}
	if g.pure && len(g.f.locals) > 0 {
		return g.of(pick(g, g.ops.stores), 2)
	}
	return &node{code: dropNode, kids: []*node{g.value(pick(g, kinds("ilFDvFD42ildf")), 3)}}
}

// loop is one that goes round a few times. It has parameters at times.
func (g *generator) loop(depth int) *node {
	g.nested++
	defer func() { g.nested-- }()
	g.f.locals = append(g.f.locals, i32)
	counter := len(g.f.locals) - 1
	n := &node{code: loopNode, index: counter, count: 1 + g.IntN(5)}
	if g.IntN(4) == 0 {
		n.params = g.someKinds(3)
		n.kids = g.args(n.params, 2)
	}
	n.label = g.label(label{loop: true, takes: n.params, counter: counter})
	n.body = append(g.pops(n.params), g.statements(depth-1, 1+g.IntN(6))...)
	if g.percent(85) {
		n.body = append(n.body, g.again(g.labels[len(g.labels)-1]))
	}
	g.close()
	return n
}

// again goes round a loop, under a condition at times.
func (g *generator) again(l label) *node {
	n := &node{code: againNode, label: l.id, index: l.counter, kids: g.args(l.takes, 1)}
	if g.IntN(2) == 0 {
		n.count = 1
		n.kids = append(n.kids, g.condition(2))
	}
	if len(l.takes) == 0 {
		return n
	}
	return &node{code: seqNode, kids: append([]*node{n}, g.pops(l.takes)...)}
}

func (g *generator) someKinds(n int) []kind {
	var list []kind
	for range 1 + g.IntN(n) {
		list = append(list, pick(g, kinds("ilfdvFD42")))
	}
	return list
}

// parameters is a block or an if with parameters and results.
func (g *generator) parameters(depth int) *node {
	n := &node{code: blockNode, params: g.someKinds(3), results: g.someKinds(3)}
	n.kids = g.args(n.params, 2)
	if g.IntN(2) == 0 {
		n.code = ifNode
		n.kids = append(n.kids, g.condition(2))
	}
	n.label = g.label(label{takes: n.results})
	part := func() []*node {
		list := append(g.pops(n.params), g.statements(depth-1, g.IntN(4))...)
		return append(list, g.args(n.results, 2)...)
	}
	n.body = part()
	if n.code == ifNode {
		n.alt = part()
	}
	g.close()
	return &node{code: seqNode, kids: append([]*node{n}, g.pops(n.results)...)}
}

// table is a br_table out of blocks, behind each of which there are statements.
func (g *generator) table(depth int) *node {
	n := 2 + g.IntN(3)
	blocks := make([]*node, n)
	for i := range blocks { // from the outermost
		blocks[i] = &node{code: blockNode}
		blocks[i].label = g.label(label{})
	}
	index := g.value(i32, 2)
	if g.percent(70) {
		index = g.masked(index, 7)
	}
	t := &node{code: brTable, kids: []*node{index}}
	for range 1 + g.IntN(8) {
		t.labels = append(t.labels, pick(g, blocks).label)
	}
	blocks[n-1].body = []*node{t}
	for i := n - 2; i >= 0; i-- {
		g.close()
		blocks[i].body = append([]*node{blocks[i+1]}, g.statements(depth-1, 1+g.IntN(3))...)
		if g.percent(60) {
			blocks[i].body = append(blocks[i].body, &node{code: brNode, label: blocks[g.IntN(i+1)].label})
		}
	}
	g.close()
	return blocks[0]
}

// jump leaves blocks, or goes round a loop.
func (g *generator) jump() *node {
	l := pick(g, g.labels)
	if l.loop {
		return g.again(l)
	}
	n := &node{code: brIfNode, label: l.id, kids: append(g.args(l.takes, 2), g.condition(2))}
	if g.percent(12) {
		n.code = brNode
		n.kids = n.kids[:len(n.kids)-1]
		if l.id == 0 && g.IntN(2) == 0 {
			n.code = returnNode
		}
		return n
	}
	if len(l.takes) == 0 {
		return n
	}
	return &node{code: seqNode, kids: append([]*node{n}, g.pops(l.takes)...)}
}

// bulk is an operation on a range of memory, outside it at times.
func (g *generator) bulk() *node {
	to, _ := g.address(1)
	size := number(i32, uint64(pick(g, []int{0, 1, 7, 8, 16, 33, 64, 255, 256, 257, 1000, 4096, 0x4000})))
	if g.IntN(4) == 0 {
		size = g.masked(g.value(i32, 1), 0x1ff)
	}
	switch g.IntN(6) {
	case 0, 1:
		return &node{code: memFill, kids: []*node{to, g.value(i32, 1), size}}
	case 2, 3:
		from, _ := g.address(1)
		return &node{code: memCopy, kids: []*node{to, from, size}}
	case 4:
		if !g.careful && g.percent(20) {
			return &node{code: dataDrop}
		}
	}
	from := number(i32, uint64(g.IntN(64)))
	if g.careful {
		return &node{code: memInit, kids: []*node{to, from, number(i32, uint64(pick(g, []int{0, 1, 8, 33, 64})))}}
	}
	return &node{code: memInit, kids: []*node{to, from, number(i32, uint64(pick(g, []int{0, 1, 8, 33, 64, 129})))}}
}

// tables is an operation on a table.
func (g *generator) tables() *node {
	t := g.IntN(2)
	k := []kind{funcref, extern}[t]
	at := func() *node {
		if t == 1 {
			return number(i32, uint64(g.IntN(2)))
		}
		return g.tableIndex()
	}
	small := number(i32, uint64(g.IntN(3)))
	if g.careful && t == 1 {
		small = number(i32, 0)
	}
	switch g.IntN(7) {
	case 0, 1:
		return &node{code: tableSet, index: t, kids: []*node{at(), g.value(k, 1)}}
	case 2:
		grow := &node{code: tableGrow, index: t, kind: i32, kids: []*node{g.value(k, 1), small}}
		return &node{code: seqNode, kids: append([]*node{grow}, g.pops(kinds("i"))...)}
	case 3:
		return &node{code: tableFill, index: t, kids: []*node{at(), g.value(k, 1), small}}
	case 4:
		return &node{code: tableCopy, index: t, kids: []*node{at(), at(), small}}
	case 5:
		return &node{code: tableInit, kids: []*node{g.tableIndex(), number(i32, uint64(g.IntN(2))), small}}
	}
	if !g.careful && g.percent(20) {
		return &node{code: elemDrop}
	}
	return &node{code: dropNode, kids: []*node{{code: tableGet, kind: k, index: t, kids: []*node{at()}}}}
}

// inputs are arguments of the first function, and what its memory begins with.
func (g *generator) inputs() (args []uint64, data []byte) {
	for _, k := range g.p.funcs[0].params {
		c := g.constant(k)
		v := binary.LittleEndian.Uint64(c[:])
		if k == i32 || k == f32 {
			v = uint64(uint32(v))
		}
		args = append(args, v)
	}
	return args, g.dataOf(256)
}
