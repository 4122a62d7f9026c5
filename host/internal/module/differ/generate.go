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
	profile, scale := g.manner()
	g.favorite = nil
	if g.percent(40) {
		g.favor(kind(profile[0]).exact())
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

// manner chooses the habits of a function, and which variables it has with what chance.
func (g *generator) manner() (profile string, scale int) {
	g.habits = habits{
		straight: g.percent(45), selects: pick(g, []int{2, 8, 30}), calls: pick(g, []int{0, 3, 10}),
		leaves: pick(g, []int{5, 15, 40}), locals: pick(g, []int{40, 75, 98}),
		clamps: pick(g, []int{0, 5, 40}), careful: g.percent(85), same: pick(g, []int{0, 30, 60}),
	}
	profile, scale = pick(g, profiles), 40+g.IntN(80)
	if g.helper == none || !g.percent(g.often) {
		return profile, scale
	}
	// Numbers of one kind, chosen from, and a call now and then.
	g.habits = habits{
		straight: true, selects: pick(g, []int{5, 20}), calls: pick(g, []int{0, 1, 8}), leaves: 15, locals: pick(g, []int{80, 95}),
		clamps: pick(g, []int{2, 20}), careful: true, same: pick(g, []int{0, 30}),
	}
	g.pure, g.still = g.calls < 8, g.IntN(2) == 0
	g.room = pick(g, []int{200, 350, 700})
	return pick(g, profilesOf[g.helper.exact()]), 120
}

// favor chooses instructions that a function has often, in which most variables are of a kind: such as
// take them, if that is not rare, and as often as not from one class of registers to the other. That is
// more than one instruction of the machine's.
func (g *generator) favor(most kind) {
	for range 1 + g.IntN(3) {
		o := pick(g, pick(g, g.ops.lists))
		across := g.IntN(2) == 0
		for range 100 {
			if slices.ContainsFunc(o.in, func(k kind) bool { return k.exact() == most }) && (!across || o.out.whole() != most.whole()) {
				break
			}
			o = pick(g, pick(g, g.ops.lists))
		}
		g.favorite = append(g.favorite, o)
	}
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
