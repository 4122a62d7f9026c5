package meter_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// parted writes functions as Go's compiler does: of parts, which a table leads to.
type parted struct {
	before          []byte // all blocks
	looped, unwinds bool
	parts           [][]any // code, in which a [to] is a jump to a part, or out to unwind
	table           []int   // nil: each part has its own number
}

// to is a jump to a part, from within so many blocks; an unwind goes there if there is an
// i32 that is not 0, with code 1 as the function's result.
type (
	to     struct{ part, open int }
	unwind struct{ open int }
)

// body is the function's code, without the end.
func (p *parted) body() []byte {
	n := len(p.parts)
	b := slices.Clone(p.before)
	if p.unwinds {
		b = cat(b, 0x02, void)
	}
	if p.looped {
		b = cat(b, 0x03, void)
	}
	table := p.table
	if table == nil {
		for i := range n {
			table = append(table, i)
		}
	}
	b = cat(b, repeat(n, 0x02, void), 0x20, 0, 0x0e, u32(len(table)-1))
	for _, i := range table {
		b = cat(b, u32(i))
	}
	b = cat(b, 0x0b)
	for i, part := range p.parts {
		around := n - 1 - i
		outermost := around
		if p.looped {
			outermost++
		}
		for _, code := range part {
			switch code := code.(type) {
			case to:
				b = cat(b, konst(code.part), 0x21, 0, 0x0c, u32(code.open+around))
			case unwind:
				b = cat(b, 0x0d, u32(code.open+outermost))
			default:
				b = cat(b, code)
			}
		}
		if i < n-1 || p.looped {
			b = cat(b, 0x0b)
		}
	}
	if p.looped {
		b = cat(b, 0x00)
	}
	if p.unwinds {
		b = cat(b, 0x0b, konst(1))
	}
	return b
}

// generateParts is a random program of functions of parts. They call one another, unwind
// and are entered again where they were left. All are functions of a counter, and end when
// it does.
func generateParts(seed uint64) (wasm []byte, bodies [][]byte) {
	const counter, state, resume, long = 0, 1, 2, 3
	random := rand.New(rand.NewPCG(seed, 1))
	m := new(binary)
	m.typ([]byte{i32}, []byte{i32})
	m.memory(1)
	m.global(i32, konst(400))
	m.global(i32, konst(int(seed)))
	m.global(i32, konst(0))
	m.global(i64, konst64(0x123456789abcdef))
	n := 1 + random.IntN(3)
	m.tables = append(m.tables, cat(funcref, 0, u32(n)))
	var list [][]byte
	for f := range n {
		p := parted{looped: random.IntN(8) > 0, unwinds: random.IntN(3) > 0, parts: make([][]any, 1+random.IntN(2+random.IntN(20)))}
		parts := len(p.parts)
		tick := cat(0x23, counter, konst(1), 0x6b, 0x24, counter, 0x23, counter, konst(0), 0x48, 0x04, void, leave, 0x0b)
		mix := func() []byte {
			return cat(0x23, state, konst(1103515245), 0x6c, konst(random.IntN(100)), 0x6a, 0x20, 1+random.IntN(2), 0x73, 0x24, state, add(1+random.IntN(2), random.IntN(9)))
		}
		p.before = cat(0x23, long, 0x21, 3, 0x23, long, 0x21, 4)
		wide := func() int { return 3 + random.IntN(2) }
		// Low halves of variables, and constants, as an address has them.
		plain := func() []byte {
			switch random.IntN(4) {
			case 0:
				return cat(0x23, state, 0xac, 0x21, wide())
			case 1:
				return cat(0x20, wide(), 0xa7, konst(0x7ff8), 0x71, 0x20, wide(), 0x37, 3, 0)
			case 2:
				return cat(0x20, 5, float(0.5), 0xa2, float(float64(random.IntN(20))/7), 0xa0, 0x22, 5, 0xbd, 0xa7, 0x23, state, 0x73, 0x24, state)
			}
			return cat(0x20, wide(), 0xa7, konst(0x7ff8), 0x71, 0x28, 2, 0, 0x20, wide(), 0xa7, 0x6a, 0x23, state, 0x73, 0x24, state)
		}
		random01 := func() []byte { return cat(0x23, state, konst(16), 0x76, konst(1+random.IntN(3)), 0x70) }
		for i := range p.parts {
			code := []any{tick}
			for range random.IntN(3) {
				code = append(code, mix(), plain())
				open := 0
				for range random.IntN(3) {
					code = append(code, random01(), cat(0x04, void), plain())
					open++
				}
				for range random.IntN(3) {
					code = append(code, plain())
				}
				switch {
				case random.IntN(3) > 0 && p.looped && (open > 0 || random.IntN(4) == 0):
					code = append(code, to{random.IntN(parts+1) - random.IntN(2), open})
				case random.IntN(4) == 0:
					code = append(code, random01(), leave[:2], cat(0x1a, 0x1a))
				case random.IntN(4) == 0 && open > 0:
					code = append(code, leave)
				}
				ended := open == 0 && len(code) > 0 && fmt.Sprintf("%T", code[len(code)-1]) == "meter_test.to"
				for range open {
					code = append(code, cat(0x0b))
				}
				if ended {
					goto next
				}
			}
			if f > 0 && p.unwinds && random.IntN(2) == 0 {
				// A call: what it unwinds to goes on behind it.
				code = append(code, konst(i+1), cat(0x24, resume))
				if random.IntN(2) == 0 {
					code = append(code, konst(0), cat(0x10, u32(random.IntN(f))))
				} else {
					code = append(code, konst(random.IntN(f)), cat(0x21, 0), konst(0), cat(0x20, 0, 0x11, 0, 0))
				}
				code = append(code, unwind{0})
			} else if p.unwinds && random.IntN(3) == 0 {
				code = append(code, konst(i+random.IntN(2)), cat(0x24, resume), random01(), unwind{0})
			}
			switch random.IntN(4) {
			case 0:
				code = append(code, leave)
			case 1, 2:
				if p.looped {
					code = append(code, to{random.IntN(parts), 0})
				}
			}
		next:
			if i == parts-1 && !p.looped {
				code = append(code, leave, cat(0x00))
			}
			p.parts[i] = code
		}
		body := p.body()
		bodies = append(bodies, cat(3, 2, i32, 2, i64, 1, f64, body, 0x0b))
		list = append(list, u32(m.fnOf(0, []byte{i32, i32, i64, i64, f64}, body)))
	}
	m.elements = append(m.elements, cat(0, konst(0), 0x0b, vec(list...)))
	// Call the last one, and again while it unwinds and the counter runs.
	m.main(nil, []byte{i32}, nil, 0x03, void, 0x23, resume, 0x10, u32(n-1), 0x23, counter, konst(0), 0x4a, 0x71, 0x0d, 0, 0x0b, 0x23, state)
	return m.encode(), bodies
}

// TestReloopPrograms compares random programs of parts with themselves.
func TestReloopPrograms(t *testing.T) {
	n := uint64(800)
	if testing.Short() {
		n = 100
	}
	all := machines(t)
	functions, relooped, traps := 0, 0, 0
	for seed := range n {
		wasm, bodies := generateParts(seed)
		for _, b := range bodies {
			functions++
			if _, ok := meter.Reloop(b); ok {
				relooped++
			}
		}
		if o := compare(t, all, wasm); o.err != nil {
			traps++
			if !strings.Contains(o.err.Error(), "unreachable") {
				t.Fatal(o.err)
			}
		}
	}
	t.Logf("%d of %d functions do without their table; %d programs trap", relooped, functions, traps)
	if relooped < functions/4 || traps > int(n)/2 {
		t.Error("the programs are no test")
	}
}
