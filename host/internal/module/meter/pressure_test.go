package meter_test

import (
	"context"
	endian "encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
)

// operation is an instruction with the types of its operands and its result.
type operation struct {
	name string
	in   []byte
	out  byte
	code []byte
}

// pressure writes a random function of an operation, with more variables of its types than there
// are registers, calls, branches and at times a loop. It takes their first values from memory and
// leaves the last ones there. Its other instructions are ones that the compiler makes one of the
// machine's of.
type pressure struct {
	*rand.Rand

	op    operation
	code  []byte
	count map[byte]int // variables by type
	first map[byte]int
}

var valueTypes = []byte{i32, i64, f32, f64, v128}

// Where the first values lie in memory, and where the last ones go.
const (
	firstValues = 0
	lastValues  = 0x8000
	valuesSize  = 0x2000
)

func pressed(seed uint64, op operation) []byte {
	p := &pressure{Rand: rand.New(rand.NewPCG(seed, 1)), op: op, count: make(map[byte]int), first: make(map[byte]int)}
	var locals []byte
	for _, t := range valueTypes {
		n := 1 + p.IntN(2)
		if t == op.out || slices.Contains(op.in, t) || p.IntN(8) == 0 {
			n = 8 + p.IntN(14)
		}
		p.count[t], p.first[t] = n, len(locals)
		for range n {
			locals = append(locals, t)
		}
	}
	turn := len(locals)
	locals = append(locals, i32)
	p.variables(func(t byte, v, at int) {
		p.add(konst(0), access(t, 0), 0, u32(firstValues+at), 0x21, u32(v))
	})
	calls, branches := []int{3, 6, 12, 40}[p.IntN(4)], []int{3, 5, 10}[p.IntN(3)]
	loop := p.IntN(4) > 0
	if loop {
		p.add(0x03, void)
	}
	for range 10 + p.IntN(50) {
		if p.IntN(branches) == 0 {
			p.get(i32)
			p.add(konst(1), 0x71, 0x04, void)
			for range 1 + p.IntN(4) {
				p.step(calls)
			}
			if p.IntN(2) == 0 {
				p.add(0x05)
				p.step(calls)
			}
			p.add(0x0b)
		}
		p.step(calls)
	}
	if loop {
		p.add(0x20, u32(turn), konst(1), 0x6a, 0x22, u32(turn), konst(3), 0x48, 0x0d, 0, 0x0b)
	}
	p.variables(func(t byte, v, at int) {
		p.add(konst(0), 0x20, u32(v), access(t, 1), 0, u32(lastValues+at))
	})
	m := new(binary)
	m.memory(1)
	for _, t := range valueTypes {
		m.fn([]byte{t, t, t, t}, []byte{t}, nil, 0x20, 0)
	}
	m.main(nil, nil, locals, p.code)
	return m.encode()
}

// looped writes a function that computes an operation of variables which are alive all through a
// loop, more of them than there are registers, and stores the results. The loop ends by a jump back:
// so each variable is wanted in the register that it begins a turn with, and pushes out what is there.
func looped(seed uint64, op operation) []byte {
	p := &pressure{Rand: rand.New(rand.NewPCG(seed, 3)), op: op, count: make(map[byte]int), first: make(map[byte]int)}
	var locals []byte
	for _, t := range valueTypes {
		n := 0
		if t == op.out || slices.Contains(op.in, t) {
			n = 8 + p.IntN(32)
		}
		p.count[t], p.first[t] = n, len(locals)
		for range n {
			locals = append(locals, t)
		}
	}
	turn := len(locals)
	locals = append(locals, i32)
	p.variables(func(t byte, v, at int) {
		if p.IntN(8) == 0 {
			p.add(konst(0), konst64(0), access(i64, 1), 0, u32(firstValues+at))
		}
		p.add(konst(0), access(t, 0), 0, u32(firstValues+at), 0x21, u32(v))
	})
	p.add(0x02, void, 0x03, void)
	to, waiting := lastValues, 0 // results that wait on the stack
	store := func() {
		p.add(access(p.op.out, 1), 0, u32(to))
		to += 16
		waiting--
	}
	turns := func() { p.add(0x20, u32(turn), konst(1), 0x6a, 0x22, u32(turn), konst(20), 0x4a, 0x0d, 1) }
	turns()
	held := []int{1, 2, 8}[p.IntN(3)]
	for range 1 + p.IntN(12) {
		p.add(konst(0))
		for _, t := range p.op.in {
			p.get(t)
		}
		p.add(p.op.code)
		if waiting++; p.IntN(6) == 0 {
			turns()
		}
		for waiting > 0 && p.IntN(held) > 0 {
			store()
		}
	}
	for waiting > 0 {
		store()
	}
	p.add(0x0c, 0, 0x0b, 0x0b)
	p.variables(func(t byte, v, at int) {
		p.add(konst(0), 0x20, u32(v), access(t, 1), 0, u32(lastValues+0x1000+at))
	})
	m := new(binary)
	m.memory(1)
	m.main(nil, nil, locals, p.code)
	return m.encode()
}

// access is the load or the store of a type.
func access(t byte, store int) []byte {
	if t == v128 {
		return cat(0xfd, 11*store)
	}
	return cat(0x28 + 14*store + int(i32-t))
}

func (p *pressure) add(parts ...any) { p.code = append(p.code, cat(parts...)...) }

func (p *pressure) any(t byte) []byte { return u32(p.first[t] + p.IntN(p.count[t])) }
func (p *pressure) get(t byte)        { p.add(0x20, p.any(t)) }

// variables calls visit for each with its type and where it lies.
func (p *pressure) variables(visit func(t byte, v, at int)) {
	at := 0
	for _, t := range valueTypes {
		for i := range p.count[t] {
			visit(t, p.first[t]+i, at)
			at += 16
		}
	}
}

func (p *pressure) step(calls int) {
	t := valueTypes[p.IntN(len(valueTypes))]
	if p.IntN(2) == 0 {
		t = p.op.in[p.IntN(len(p.op.in))]
	}
	switch {
	case p.IntN(calls) == 0:
		for range 4 {
			p.get(t)
		}
		p.add(0x10, u32(int(i32-t)), 0x21, p.any(t))
	case t == i64 && p.IntN(2) == 0:
		p.get(i64)
		p.get(i64)
		p.add([]byte{0x86, 0x88}[p.IntN(2)], 0x21, p.any(i64))
	case p.IntN(2) == 0:
		p.get(t)
		p.add(0x21, p.any(t))
	default:
		for _, t := range p.op.in {
			p.get(t)
		}
		p.add(p.op.code, 0x21, p.any(p.op.out))
	}
}

// values are what memory begins with: no part of it is a number that is none.
func values(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	var b []byte
	for range valuesSize / 4 {
		b = endian.LittleEndian.AppendUint32(b, math.Float32bits(float32(r.NormFloat64()*1e3)))
	}
	return b
}

// leaves runs a program of pressed, and returns the values that it leaves.
func (m *machine) leaves(tb testing.TB, wasm []byte, seed uint64) []byte {
	tb.Helper()
	ctx := context.WithValue(tb.Context(), grantsKey{}, &grants{slice: 1000, most: 1 << 20})
	c, err := m.runtime.CompileModule(ctx, wasm)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close(ctx)
	mod, err := m.runtime.InstantiateModule(ctx, c, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		tb.Fatal(err)
	}
	defer mod.Close(ctx)
	if !mod.Memory().Write(firstValues, values(seed)) {
		tb.Fatal("no room for the values")
	}
	if _, err := mod.ExportedFunction("f").Call(ctx); err != nil {
		tb.Fatal(err)
	}
	b, _ := mod.Memory().Read(lastValues, valuesSize)
	return append([]byte(nil), b...)
}
