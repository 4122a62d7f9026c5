package meter_test

import (
	"math/rand/v2"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// program writes random functions. Whatever it writes is valid and ends: each jump
// backwards takes from a global, and is left out when that is used up; calls are of
// functions before.
type program struct {
	*rand.Rand

	m      *binary
	counts bool // count the instructions that are executed in global 2
	code   []byte
	labels []label
	funcs  int // that may be called: those before
	room   int // instructions that are yet to be written, about
}

// label is a block that is open: whether a jump leads backwards, and whether it
// takes an i32 along.
type label struct{ back, value bool }

const (
	globalBudget = iota
	globalState
	globalCount
)

// The signatures of blocks besides those of one result.
const (
	typeFunc = iota // (i32, i32) → i32
	typeOne         // i32 → i32
	typeTake        // i32 →
)

// generate is the program of a seed. With counts or without, it is the same but for
// the counting.
func generate(seed uint64, counts bool) []byte {
	m := new(binary)
	m.typ([]byte{i32, i32}, []byte{i32})
	m.typ([]byte{i32}, []byte{i32})
	m.typ([]byte{i32}, nil)
	double := m.imported("env", "double", []byte{i32}, []byte{i32})
	m.memory(1)
	m.global(i32, konst(300))
	m.global(i32, konst(7))
	m.global(i64, konst64(0))
	p := &program{Rand: rand.New(rand.NewPCG(seed, 0)), m: m, counts: counts, funcs: double}
	n := 1 + p.IntN(4)
	m.tables = append(m.tables, cat(funcref, 0, u32(n)))
	list := make([][]byte, 0, n)
	for range n {
		p.code, p.room = nil, 10+p.IntN(250)
		p.labels = append(p.labels[:0], label{value: true})
		p.statements(3)
		p.value(3)
		p.funcs = m.fnOf(typeFunc, []byte{i32, i64, i32}, p.code)
		list = append(list, u32(p.funcs))
	}
	m.elements = append(m.elements, cat(0, konst(0), 0x0b, vec(list...)))
	m.export("f", 0, p.funcs)
	return m.encode()
}

// op writes an instruction.
func (p *program) op(parts ...any) {
	p.room--
	if p.counts {
		p.raw(0x23, globalCount, 0x42, 1, 0x7c, 0x24, globalCount)
	}
	p.raw(parts...)
}

// raw writes what is not to be counted: what opens, parts and closes blocks, and
// what stands behind a block's end.
func (p *program) raw(parts ...any) { p.code = append(p.code, cat(parts...)...) }

func (p *program) open(l label, parts ...any) {
	p.raw(parts...)
	p.labels = append(p.labels, l)
}

func (p *program) end() {
	p.raw(0x0b)
	p.labels = p.labels[:len(p.labels)-1]
}

// pay puts on the stack whether the budget lasts, after taking from it.
func (p *program) pay() {
	p.op(0x23, globalBudget)
	p.op(konst(1))
	p.op(0x6b)
	p.op(0x24, globalBudget)
	p.op(0x23, globalBudget)
	p.op(konst(0))
	p.op(0x4a)
}

func (p *program) local() int { return []int{0, 1, 2, 4}[p.IntN(4)] }

func (p *program) statements(depth int) {
	for range 1 + p.IntN(4) {
		if p.room < 0 {
			return
		}
		p.statement(depth)
	}
}

func (p *program) statement(depth int) {
	if depth == 0 {
		p.simple()
		return
	}
	switch p.IntN(14) {
	case 0, 1:
		p.open(label{}, 0x02, void)
		p.statements(depth - 1)
		p.end()
	case 2, 3:
		p.open(label{back: true}, 0x03, void)
		p.statements(depth - 1)
		p.end()
	case 4, 5:
		p.value(depth - 1)
		p.open(label{}, 0x04, void)
		p.statements(depth - 1)
		if p.IntN(2) == 0 {
			p.raw(0x05)
			p.statements(depth - 1)
		}
		p.end()
	case 6:
		p.branch(p.IntN(len(p.labels)), false)
	case 7, 8:
		p.branch(p.IntN(len(p.labels)), true)
	case 9, 10:
		p.table(depth)
	case 11:
		p.value(depth - 1)
		p.open(label{back: true, value: true}, 0x03, typeTake)
		p.op(0x21, p.local())
		p.statements(depth - 1)
		p.end()
	default:
		p.simple()
	}
}

// simple writes a statement without blocks.
func (p *program) simple() {
	switch p.IntN(7) {
	case 0:
		p.value(1)
		p.op(0x21, p.local())
	case 1:
		p.value(1)
		p.op(0x24, globalState)
	case 2: // the address stays in the first half of the memory
		p.value(1)
		p.op(konst(0x7fff))
		p.op(0x71)
		p.value(1)
		p.op(0x36, 2, u32(p.IntN(1000)))
	case 3:
		for range p.IntN(150) {
			p.op(nop)
		}
	case 4: // memory.fill and memory.copy, outside the memory at times
		p.op(konst(p.IntN(0xc000)))
		p.op(konst(p.IntN(0xc000)))
		p.op(konst(p.IntN([]int{10, 300, 0x4100}[p.IntN(3)])))
		if p.IntN(2) == 0 {
			p.op(0xfc, 11, 0)
		} else {
			p.op(0xfc, 10, 0, 0)
		}
	default:
		p.value(2)
		p.op(0x1a)
	}
}

// branch writes a br or br_if to a label.
func (p *program) branch(depth int, conditional bool) {
	l := p.labels[len(p.labels)-1-depth]
	if l.value {
		p.value(1)
	}
	switch {
	case conditional && l.back:
		p.value(1)
		p.pay()
		p.op(0x71)
	case conditional:
		p.value(1)
	case l.back: // an unconditional jump, unless the budget is used up
		p.pay()
		if l.value { // the value is dropped if it is
			p.open(label{value: true}, 0x04, typeOne)
		} else {
			p.open(label{}, 0x04, void)
		}
		p.op(0x0c, u32(depth+1))
		p.end()
		if l.value {
			p.op(0x1a)
		}
		return
	}
	if conditional {
		p.op(0x0d, u32(depth))
		if l.value {
			p.op(0x1a)
		}
		return
	}
	if depth == len(p.labels)-1 && p.IntN(2) == 0 {
		p.op(0x0f)
	} else {
		p.op(0x0c, u32(depth))
	}
	p.dead()
}

// dead writes code that is never reached.
func (p *program) dead() {
	if p.IntN(3) == 0 {
		p.statement(1)
	}
}

// table writes a br_table in as many blocks of its own as it likes, and to those
// around it.
func (p *program) table(depth int) {
	own := p.IntN(3)
	for range own {
		p.open(label{}, 0x02, void)
	}
	value := p.labels[len(p.labels)-1-p.IntN(len(p.labels))].value
	var targets []byte
	n, back := 0, false
	for d := range p.labels {
		l := p.labels[len(p.labels)-1-d]
		if l.value == value && p.IntN(4) > 0 {
			targets = append(targets, u32(d)...)
			n++
			back = back || l.back
		}
	}
	forward := -1
	for d := range p.labels {
		if l := p.labels[len(p.labels)-1-d]; l.value == value && !l.back {
			forward = d
			break
		}
	}
	if forward >= 0 {
		if value {
			p.value(1)
		}
		p.value(1)
		p.op(konst(7))
		p.op(0x71)
		if back { // the last target, which is forward, if the budget is used up
			p.op(konst(100))
			p.pay()
			p.op(0x1b)
		}
		p.op(0x0e, u32(n), targets, u32(forward))
		p.dead()
	}
	for range own {
		p.end()
		if depth > 0 {
			p.statements(depth - 1)
		}
	}
}

// value writes code that puts an i32 on the stack.
func (p *program) value(depth int) {
	if depth <= 0 || p.room < 0 {
		switch p.IntN(3) {
		case 0:
			p.op(konst(p.IntN(10) - 3))
		case 1:
			p.op(0x23, globalState)
		default:
			p.op(0x20, p.local())
		}
		return
	}
	switch p.IntN(12) {
	case 0, 1, 2:
		p.value(depth - 1)
		p.value(depth - 1)
		ops := []byte{0x6a, 0x6b, 0x6c, 0x73, 0x77, 0x4a, 0x46}
		p.op(ops[p.IntN(len(ops))])
	case 3: // a division, by 0 at times
		p.value(depth - 1)
		p.value(depth - 1)
		p.op(konst(1))
		p.op([]byte{0x72, 0x6a}[min(p.IntN(8), 1)^1])
		p.op(0x70)
	case 4:
		p.value(depth - 1)
		p.op(konst(0x7fff))
		p.op(0x71)
		p.op(0x28, 2, u32(p.IntN(1000)))
	case 5:
		p.open(label{value: true}, 0x02, i32)
		p.statements(depth - 1)
		p.value(depth - 1)
		p.end()
	case 6:
		p.open(label{back: true}, 0x03, i32)
		p.statements(depth - 1)
		p.value(depth - 1)
		p.end()
	case 7:
		p.value(depth - 1)
		p.open(label{back: true, value: true}, 0x03, typeOne)
		p.op(0x22, p.local())
		p.statements(depth - 1)
		p.end()
	case 8:
		p.value(depth - 1)
		p.open(label{value: true}, 0x04, i32)
		p.statements(depth - 1)
		p.value(depth - 1)
		p.raw(0x05)
		p.value(depth - 1)
		p.end()
	case 9:
		p.value(depth - 1)
		p.op(0x10, 0)
	default:
		p.call(depth)
	}
}

// call writes a call of one of the functions before, directly or not.
func (p *program) call(depth int) {
	if p.funcs == 0 {
		p.op(0x3f, 0)
		return
	}
	p.value(depth - 1)
	p.value(depth - 1)
	if p.IntN(3) > 0 {
		p.op(0x10, u32(1+p.IntN(p.funcs)))
		return
	}
	p.op(konst(p.IntN(p.funcs)))
	p.op(0x11, typeFunc, 0)
}

// TestPrograms compares random programs with what they do unmetered, and what they
// pay with the instructions that they execute.
func TestPrograms(t *testing.T) {
	n := uint64(600)
	if testing.Short() {
		n = 100
	}
	all := machines(t)
	var executed, fuel int64
	traps := 0
	for seed := range n {
		counting := generate(seed, true)
		again, err := meter.Rewrite(generate(seed, false), meter.Limits{}, metered)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		args := []uint64{seed % 5, seed % 3}
		want := all[seed%2].run(t, counting, grants{}, args...)
		count := int64(want.globals["g2"])
		want.globals["g2"] = 0
		used := int64(-1)
		for i, vm := range all {
			got := vm.run(t, again.WASM, grants{slice: []int64{1 << 40, 300}[(seed+uint64(i))%2], most: 1 << 20}, args...)
			same(t, vm.name, got, want)
			if used >= 0 && used != got.fuel {
				t.Fatalf("seed %d: %d and %d units", seed, used, got.fuel)
			}
			used = got.fuel
		}
		// The first function may be small and without a charge.
		if (used+64)*2 < count {
			t.Errorf("seed %d: %d units for %d instructions", seed, used, count)
		}
		executed += count
		fuel += used
		if want.err != nil {
			traps++
		}
	}
	t.Logf("%d instructions, %d units, %d of %d programs trap", executed, fuel, traps, n)
}
