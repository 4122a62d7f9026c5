package meter_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

var leave = cat(konst(0), 0x0f)

// add adds a constant to a variable.
func add(local, v int) []byte { return cat(0x20, local, konst(v), 0x6a, 0x21, local) }

// TestReloop has functions of every shape do what they did, entered at each of their parts.
func TestReloop(t *testing.T) {
	// record makes local 1 a list of what was executed, and ends the program after some.
	record := func(v int) []byte {
		return cat(0x23, 0, konst(10), 0x6c, konst(v), 0x6a, 0x24, 0, 0x23, 1, konst(1), 0x6b, 0x24, 1, 0x23, 1, konst(0), 0x48, 0x04, void, leave, 0x0b)
	}
	when := func(mask int, parts ...any) []any { // if the list has the bits
		return append(append([]any{cat(0x23, 0, konst(mask), 0x71, 0x04, void)}, parts...), cat(0x0b))
	}
	join := func(parts ...any) []any {
		var all []any
		for _, p := range parts {
			if list, ok := p.([]any); ok {
				all = append(all, list...)
			} else {
				all = append(all, p)
			}
		}
		return all
	}
	for _, c := range []struct {
		name  string
		f     parted
		loops bool // can do without the table
	}{
		{"one part", parted{parts: [][]any{{record(1), leave, cat(0x00)}}}, true},
		{"in a row", parted{parts: [][]any{{record(1)}, {record(2)}, {record(3), leave, cat(0x00)}}}, true},
		{"a loop", parted{looped: true, parts: [][]any{{record(1)}, join(record(2), to{1, 0}), {leave}}}, true},
		{"a loop that is entered in its middle", parted{looped: true, parts: [][]any{
			join(record(1), to{2, 0}), {record(2)}, join(record(3), when(4, to{1, 1})), {record(4), leave},
		}}, true},
		{"loops in a loop", parted{looped: true, parts: [][]any{
			{record(1)}, {record(2)}, join(record(3), when(1, to{1, 1})), join(record(4), when(2, to{2, 1}), when(4, to{0, 1})), {record(5), leave},
		}}, true},
		{"a part that jumps to itself", parted{looped: true, parts: [][]any{join(record(1), when(2, to{0, 1})), {leave}}}, true},
		{"ways that join", parted{looped: true, parts: [][]any{
			join(record(1), when(1, to{2, 1}), when(4, to{3, 1})), join(record(2), to{4, 0}), join(record(3), when(2, to{4, 1})), {record(4)}, {record(5), leave},
		}}, true},
		{"jumps in blocks of the function's own", parted{looped: true, parts: [][]any{
			join(record(1), cat(0x02, void, 0x23, 0, 0x0d, 0), to{2, 1}, cat(0x0b)), {record(2)},
			join(cat(0x03, void, 0x02, void), record(3), to{0, 2}, cat(0x0b, 0x0b)), {leave},
		}}, true},
		{"two ways into a loop", parted{looped: true, parts: [][]any{
			join(record(1), when(4, to{2, 1})), join(record(2)), join(record(3), when(2, to{1, 1})), {record(4), leave},
		}}, false},
		{"a last part that ends", parted{looped: true, parts: [][]any{join(record(1), to{1, 0}), {record(2)}}}, true},
		{"something left on the stack", parted{looped: true, parts: [][]any{
			join(konst(5), record(1), to{1, 0}), join(cat(0x23, 0), record(2), when(1, to{1, 1}), cat(0x1a)), join(konst(1), to{3, 0}), join(record(4), to{1, 0}), {leave},
		}}, true},
		{"numbers that are too large, and negative", parted{looped: true, parts: [][]any{
			join(record(1), when(1, to{-1, 1}), to{1 << 20, 0}), {record(2)}, {record(3), leave},
		}}, true},
		{"several numbers of a part", parted{looped: true, table: []int{0, 0, 0, 1, 1, 2}, parts: [][]any{
			join(record(1), when(1, to{3, 1})), join(record(2), when(2, to{2, 1})), {record(3), leave},
		}}, true},
		{"a table that begins elsewhere", parted{looped: true, table: []int{1, 0}, parts: [][]any{{record(1)}, {record(2), leave}}}, false},
		{"code that is not reached", parted{looped: true, parts: [][]any{
			join(record(1), to{1, 0}, cat(0x00, 0x01)), join(record(2), leave, cat(0x01, 0x00)), {cat(0x00, 0x00)},
		}}, true},
		{"its argument is used", parted{looped: true, parts: [][]any{join(record(1), cat(0x20, 0), cat(0x24, 0), to{1, 0}), {leave}}}, false},
		{"its argument is set", parted{looped: true, parts: [][]any{join(record(1), konst(1), cat(0x21, 0)), join(to{2, 0}), {record(2), leave}}}, false},
		{"its argument is used, written long", parted{looped: true, parts: [][]any{join(record(1), to{1, 0}), {cat(0x20, 0x80, 0, 0x24, 0), record(2), leave}}}, false},
		{"its argument is set in front", parted{before: cat(0x23, 1, 0x21, 0), looped: true, parts: [][]any{join(record(1), to{1, 0}), {record(2), leave}}}, false},
		{"a number of five bytes", parted{looped: true, parts: [][]any{
			{record(1), cat(0x41, 0x81, 0x80, 0x80, 0x80, 0x40, 0x21, 0, 0x0c, 2)}, {record(2), leave}, {record(3), leave},
		}}, false},
		{"an indirect call of an argument", parted{unwinds: true, parts: [][]any{
			{record(1), konst(0), cat(0x21, 0), konst(0), cat(0x20, 0, 0x11, 0, 0), unwind{0}}, {record(2), leave, cat(0x00)},
		}}, true},
		{"calls that unwind", parted{looped: true, unwinds: true, parts: [][]any{
			join(record(1), cat(0x23, 0, konst(3), 0x70), unwind{0}), join(record(2), cat(0x02, void, 0x23, 0), unwind{1}, cat(0x0b)), join(record(3), to{0, 0}), {leave},
		}}, true},
		{"blocks with a result", parted{looped: true, parts: [][]any{join(record(1), cat(0x02, i32), konst(1), cat(0x0b, 0x1a), to{1, 0}), {leave}}}, false},
		{"a jump to the block of a part", parted{looped: true, parts: [][]any{{record(1), cat(0x0c, 0)}, {record(2), leave}}}, false},
		{"a jump in a condition, set elsewhere", parted{looped: true, parts: [][]any{{record(1), konst(1), cat(0x21, 0), konst(1), cat(0x0d, 1)}, {record(2), leave}}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.f.body()
			if _, ok := meter.Reloop(cat(0, f, 0x0b)); ok != c.loops {
				t.Errorf("reloops: %t, want %t", ok, c.loops)
			}
			for entry := range len(c.f.parts) + 2 {
				m := new(binary)
				m.typ([]byte{i32}, []byte{i32})
				m.tables = append(m.tables, cat(funcref, 0, 1))
				m.elements = append(m.elements, cat(0, konst(0), 0x0b, vec(u32(0))))
				m.global(i32, konst(0))
				m.global(i32, konst(9))
				m.fnOf(0, nil, leave)
				m.main(nil, []byte{i32}, nil, konst(entry), 0x10, 1+1)
				m.fnOf(0, []byte{i64, i32}, f)
				m.memory(1)
				compare(t, machines(t), m.encode())
			}
		})
	}
}

// TestReloopBlocks has memory.copy and memory.fill of constant lengths do what they did: where
// blocks overlap, and at the memory's end.
func TestReloopBlocks(t *testing.T) {
	all := machines(t)
	pattern := make([]byte, 1000)
	for i := range pattern {
		pattern[i] = byte(i%251 + 1)
	}
	const end = 1 << 16
	run := func(code ...any) {
		t.Helper()
		f := (&parted{looped: true, parts: [][]any{{cat(code...), to{1, 0}}, {leave}}}).body()
		if _, ok := meter.Reloop(cat(0, f, 0x0b)); !ok {
			t.Fatal("does not reloop")
		}
		m := new(binary)
		m.typ([]byte{i32}, []byte{i32})
		m.memory(1)
		m.datas = append(m.datas, cat(0, konst(0), 0x0b, sized(pattern)), cat(0, konst(end-len(pattern)), 0x0b, sized(pattern)))
		m.fnOf(0, nil, f)
		m.main(nil, []byte{i32}, nil, konst(0), 0x10, 0)
		compare(t, all, m.encode())
	}
	for _, n := range []int{0, 1, 15, 16, 17, 32, 40, 88, 127, 128, 129, 255, 256, 257} {
		for _, at := range [][2]int{ // to and from
			{0, 500}, {500, 0}, {100, 100}, {100, 101}, {101, 100}, {100, 108}, {108, 100}, {100, 116}, {116, 100}, {100, 90},
			{end - n, 0}, {end - n + 1, 0}, {0, end - n}, {0, end - n + 1}, {end - 1, 5}, {-1, 0}, {0, -8},
		} {
			run(konst(at[0]), konst(at[1]), konst(n), 0xfc, 10, 0, 0)
			run(konst(at[0]), konst(0), konst(n), 0xfc, 11, 0)
		}
		run(konst(3), konst(7), konst(n), 0xfc, 11, 0)                   // with what is not 0
		run(konst(3), konst(0), konst(n), 0x01, 0xfc, 11, 0)             // not directly behind it
		run(konst(3), konst(0), 0x01, konst(n), 0xfc, 11, 0)             // likewise
		run(konst(3), 0x41, 0x80, 0, konst(n), 0xfc, 11, 0)              // written long
		run(konst(3), 0x41, 0x80, 0x80, 0, konst(n), 0xfc, 11, 0)        // longer
		run(konst(3), konst(0), konst(n), 0x02, void, 0x0b, 0xfc, 11, 0) // behind a block
		run(konst(3), konst(0), konst(n), konst(1), 0x6b, 0xfc, 11, 0)   // computed
		run(konst(3), konst(-1), konst(n), 0xfc, 11, 0)                  // negative
		run(konst(3), konst(0), konst(-n), 0xfc, 11, 0)                  // likewise
		run(konst(3), konst(5), konst(0), konst(n), 0x6a, 0xfc, 11, 0)   // computed
		run(konst(3), konst(0), 0x1a, 0x3f, 0, konst(n), 0xfc, 11, 0)    // of something else
	}
	for before := 118; before < 130; before++ { // a charge somewhere between
		run(repeat(before, 0x01), konst(3), konst(0), konst(40), 0xfc, 11, 0)
	}
}

// relooped is a binary whose function 0 is code that can do without its table, with variables 1 to 5
// of types i32, two of i64, f64 and i32. The main function calls it and returns global 0.
func relooped(tb testing.TB, code ...any) []byte {
	tb.Helper()
	f := (&parted{looped: true, parts: [][]any{{cat(code...), to{1, 0}}, {leave}}}).body()
	if _, ok := meter.Reloop(cat(0, f, 0x0b)); !ok {
		tb.Fatal("does not reloop")
	}
	data := make([]byte, 300)
	for i := range data {
		data[i] = byte(i%251 + 1)
	}
	m := new(binary)
	m.typ([]byte{i32}, []byte{i32})
	m.memory(1)
	m.global(i64, konst64(0))
	m.datas = append(m.datas, cat(0, konst(0), 0x0b, sized(data)), cat(0, konst(1<<16-len(data)), 0x0b, sized(data)))
	m.fnOf(0, []byte{i32, i64, i64, f64, i32}, f)
	m.main(nil, []byte{i64}, nil, konst(0), 0x10, 0, 0x1a, 0x23, 0)
	return m.encode()
}

// plain is a binary with the code as it is, in the main function, and the same variables.
func plain(code []byte) []byte {
	m := new(binary)
	m.memory(1)
	m.global(i64, konst64(0))
	m.main([]byte{i32}, []byte{i64}, []byte{i32, i64, i64, f64, i32}, code, 0x23, 0)
	return m.encode()
}

// TestReloopAddresses has loads and stores at sums do what they did, within memory and at its end.
func TestReloopAddresses(t *testing.T) {
	all := machines(t)
	const end = 1 << 16
	loads := map[byte]any{ // and what makes an i64 of what they load
		0x28: 0xad, 0x29: nil, 0x2a: cat(0xbc, 0xad), 0x2b: 0xbd, 0x2c: 0xad, 0x2f: 0xad, 0x30: nil, 0x35: nil,
	}
	values := map[byte][]byte{ // to store, one of them by a load at a sum
		0x36: konst(77), 0x37: cat(0x20, 3, konst64(9), 0x7c), 0x38: cat(float(1.5), 0xb6), 0x39: cat(0x20, 3, konst64(8), 0x7c, 0xa7, 0x2b, 3, 0, float(2), 0xa2),
		0x3a: cat(0x20, 3, 0xa7, 0x28, 2, 4), 0x3c: cat(0x20, 3, 0x50, 0xad), 0x3e: cat(0x20, 3, 0xa7, konst(1), 0x6a, 0xad),
	}
	for _, base := range []int{100, end - 20} {
		for _, n := range []int64{-8, 1, 19, 1 << 16, 1<<16 + 1, 1 << 40} {
			set := cat(konst(base), 0x21, 1, konst64(int64(base)), 0x21, 2, konst64(40), 0x21, 3)
			for _, address := range [][]byte{ // of one value, which is a word, a variable and neither
				cat(0x20, 1, 0xad, konst64(n), 0x7c, 0xa7), cat(0x20, 2, konst64(n), 0x7c, 0xa7), cat(0x20, 2, konst64(0), 0x84, konst64(n), 0x7c, 0xa7),
			} {
				for op, widen := range loads {
					load := cat(address, op, 0, 3)
					if widen != nil {
						load = cat(load, widen)
					}
					compare(t, all, relooped(t, set, load, 0x24, 0))
				}
				for op, value := range values {
					compare(t, all, relooped(t, set, address, value, op, 0, 3, address, 0x30, 0, 3, 0x24, 0))
				}
				compare(t, all, relooped(t, set, address, 0xad, 0x24, 0))                                       // no access
				compare(t, all, relooped(t, set, address, konst(1), konst(5), 0x04, void, 0x0b, 0x36, 0, 0))    // a block in between
				compare(t, all, relooped(t, set, address, 0x28, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x1a))         // a large offset
				compare(t, all, relooped(t, set, address, address, 0x31, 0, 1, 0x37, 0, 2))                     // one in the other
				compare(t, all, relooped(t, set, address, konst(3), konst(4), konst(0), 0x1b, 0x36, 0, 0))      // by select
				compare(t, all, relooped(t, set, address, 0x20, 1, konst(5), 0x36, 0, 0, konst(1), 0x3a, 0, 0)) // behind another store
			}
		}
	}
}

// TestReloopAddressesEnd has a sum beyond 4 GiB be no address near 0, which is the one thing that
// is not as it was.
func TestReloopAddressesEnd(t *testing.T) {
	wasm := relooped(t, konst64(-8), 0x21, 2, 0x20, 2, konst64(16), 0x7c, 0xa7, 0x29, 0, 0, 0x24, 0)
	for _, m := range machines(t) {
		if o := m.run(t, wasm, grants{}); o.err != nil {
			t.Fatal(o.err)
		}
		if o := m.run(t, rewrite(t, wasm), grants{slice: 1000, most: 100}); o.err == nil || !strings.Contains(o.err.Error(), "out of bounds") {
			t.Errorf("%s: %v", m.name, o.err)
		}
	}
}

// mix makes global 0 another number, and count adds one.
var (
	mix   = cat(0x23, 0, konst64(-7046029254386353131), 0x7e, 0x24, 0)
	count = cat(0x23, 0, konst64(1), 0x7c, 0x24, 0)
)

// TestComparisonsOfMasked has what wazero takes for something else, in functions with a table, without
// it and of another form.
func TestComparisonsOfMasked(t *testing.T) {
	all := machines(t)
	interpreter := all[1]
	uses := [][]byte{cat(0x04, void, count, 0x0b), cat(0x0d, 0, count), cat(0x21, 1, 0x20, 1, 0x0d, 0, count)}
	negations := [][]byte{nil, {0x45}, {0x45, 0x45}, {0xad, 0x50, 0x45}, {0xad, 0x50}, {0x45, 0x45, 0x45}, {0x45, 0xad, 0x50}, {0x01}}
	for op := byte(0x46); op <= 0x5a; op++ {
		if op == 0x50 {
			continue
		}
		var code []byte
		for _, x := range []int{8, 4, 0, -8, -1} {
			zero, masked, local, other := konst(0), cat(konst(x), 0x22, 1, konst(-8), 0x71), 1, 5
			if op > 0x50 {
				zero, masked, local, other = konst64(0), cat(konst64(int64(x)), 0x22, 2, konst64(-8), 0x83), 2, 3
			}
			set := cat(zero, 0x21, other, masked, 0x21, local)
			for _, c := range []struct{ front, operands []byte }{
				{nil, cat(zero, masked)}, {nil, cat(masked, zero)}, {nil, cat(set, 0x20, other, 0x20, local)}, {nil, cat(set, 0x20, local, 0x20, other)},
				{set, cat(zero, 0x20, local)}, {cat(set, konst(1), 0x04, void, 0x0b), cat(zero, 0x20, local)},
			} {
				for _, negation := range negations {
					for _, use := range uses {
						code = cat(code, mix, c.front, 0x02, void, c.operands, op, negation, use, 0x0b)
					}
				}
			}
		}
		for _, wasm := range [][]byte{relooped(t, code), plain(code)} {
			want := interpreter.run(t, wasm, grants{})
			for _, m := range all {
				same(t, fmt.Sprintf("%s, instruction 0x%x", m.name, op), m.run(t, rewrite(t, wasm), grants{slice: 1000, most: 1000}), want)
			}
		}
	}
}

// TestReloopConditions has comparisons be the conditions that they were, however often negated.
func TestReloopConditions(t *testing.T) {
	all := machines(t)
	negations := [][]byte{nil, {0x45}, {0x45, 0x45}, {0xad, 0x50}, {0xad, 0x50, 0x45}, {0x45, 0xad, 0x50, 0x45}, {0xad, 0x50, 0xad, 0x50, 0x45}, {0xac, 0x50}, {0x45, 0x01, 0x45}}
	// Each outcome is a bit.
	uses := func(condition []byte) []byte {
		return cat(
			mix, condition, 0x04, void, count, 0x0b,
			mix, 0x02, void, condition, 0x0d, 0, count, 0x0b,
			mix, konst64(1), konst64(0), condition, 0x1b, 0x23, 0, 0x7c, 0x24, 0,
			mix, condition, 0xad, 0x23, 0, 0x7c, 0x24, 0,
		)
	}
	whole := []int64{0, 1, -1, 5, math.MinInt32, math.MinInt64}
	reals := []float64{0, math.Copysign(0, -1), 1.5, -1.5, math.Inf(1), math.NaN()}
	for op := byte(0x45); op <= 0x66; op++ {
		var code []byte
		for i := range whole {
			for j := range whole {
				if j > 0 && (op == 0x45 || op == 0x50) {
					break // of one operand
				}
				var operands []byte
				switch {
				case op == 0x45:
					operands = konst(int(int32(whole[i])))
				case op == 0x50:
					operands = konst64(whole[i])
				case op < 0x50:
					operands = cat(konst(int(int32(whole[i]))), konst(int(int32(whole[j]))))
				case op < 0x5b:
					operands = cat(konst64(whole[i]), konst64(whole[j]))
				case op < 0x61:
					operands = cat(float(reals[i]), 0xb6, float(reals[j]), 0xb6)
				default:
					operands = cat(float(reals[i]), float(reals[j]))
				}
				for _, n := range negations {
					code = append(code, uses(cat(operands, op, n))...)
				}
			}
		}
		compare(t, all, relooped(t, code))
	}
}

// TestReloopFuel has what is rewritten cost what it did: one unit less than with a nop in it,
// behind which it is left as it is.
func TestReloopFuel(t *testing.T) {
	all := machines(t)
	const nop = 0x01
	fuel := func(code ...any) int64 {
		return compare(t, all, relooped(t, repeat(70, nop), cat(code...))).fuel // not too small to count
	}
	for _, c := range []struct {
		name         string
		front, after []byte
	}{
		{"a low half", cat(0x20, 2), cat(0xa7, 0x1a)},
		{"a load", cat(0x20, 2, konst64(8)), cat(0x7c, 0xa7, 0x2b, 0, 0, 0x1a)},
		{"a load at a word", cat(0x20, 1, 0xad, konst64(8)), cat(0x7c, 0xa7, 0x28, 0, 0, 0x1a)},
		{"a load at a value", cat(0x20, 2, 0x20, 2, 0x84, konst64(8)), cat(0x7c, 0xa7, 0x28, 0, 0, 0x1a)},
		{"a store", cat(0x20, 2, konst64(8)), cat(0x7c, 0xa7, konst(3), 0x36, 0, 0)},
		{"a sum of words", cat(0x20, 1, 0xad, konst64(8)), cat(0x7c, 0xa7, 0x1a)},
		{"negations", cat(0x20, 1, 0x20, 1, 0x46, 0x45), cat(0xad, 0x50, 0x04, void, 0x0b)},
		{"a negation of floats", cat(0x20, 4, 0x20, 4, 0x63), cat(0x45, 0x04, void, 0x0b)},
	} {
		if short, long := fuel(c.front, c.after), fuel(c.front, nop, c.after); long-short != 1 {
			t.Errorf("%s: %d, and %d with a nop", c.name, short, long)
		}
	}
}

// TestReloopIsLinear has what could be looked at again and again.
func TestReloopIsLinear(t *testing.T) {
	const n = 500_000
	for _, c := range []struct {
		name string
		code []byte
	}{
		{"negations", cat(konst(1), repeat(n, 0x45), 0x1a)},
		{"sums", cat(repeat(n/8, 0x20, 1, 0xad, konst64(8), 0x7c, 0xa7), repeat(n/8, 0x1a))},
		{"stores", cat(repeat(n/8, 0x20, 1, 0xad, konst64(8), 0x7c, 0xa7), 0x3f, 0, repeat(n/8-1, 0x28, 0, 0, 0x6a), 0x36, 0, 0)},
	} {
		if again := rewrite(t, relooped(t, c.code)); len(again) > 8*len(c.code) {
			t.Errorf("%s: %d bytes become %d", c.name, len(c.code), len(again))
		}
	}
}

// TestReloopRewrites has what is written anew for the compiler be so: of each of the
// bytes it counts there are as many less as the original has in a function.
func TestReloopRewrites(t *testing.T) {
	counted := func(what []byte, code ...any) int {
		t.Helper()
		f := (&parted{looped: true, parts: [][]any{{cat(code...), to{1, 0}}, {leave}}}).body()
		m := new(binary)
		m.typ([]byte{i32}, []byte{i32})
		m.memory(1)
		m.fnOf(0, []byte{i64, f64, i32}, f)
		m.main(nil, []byte{i32}, nil, konst(0), 0x10, 0)
		return bytes.Count(rewrite(t, m.encode()), what)
	}
	wrapped := cat(0x20, 1, 0xa7)
	load := cat(wrapped, 0x28, 2, 0, 0x1a)            // from where variable 1 says
	set := cat(0x42, 8, 0x21, 1)                      // which becomes another
	pi := cat(float(math.Pi), 0x20, 2, 0xa2, 0x21, 2) // once
	same := cat(0x20, 1, 0x20, 1, 0x84, 0x21, 1)
	compared := cat(0x20, 1, 0x20, 1, 0x53)
	sum := cat(konst64(40), 0x7c, 0xa7)
	copies := func(n int) []byte { return cat(konst(0), konst(n), konst(n), 0xfc, 10, 0, 0) }
	fills := func(n int) []byte { return cat(konst(0), konst(0), konst(n), 0xfc, 11, 0) }
	for _, c := range []struct {
		name      string
		what      []byte
		less      int
		few, many []byte
	}{
		{"a copy", cat(0xfc, 10), 1, copies(128), copies(129)},
		{"a short copy", cat(0xfc, 10), 1, copies(16), copies(15)},
		{"a fill", cat(0xfc, 11), 1, fills(256), fills(257)},
		{"a low half, again", wrapped, 1, cat(load, load), cat(load, set, load)},
		{"and behind a block", wrapped, 1, cat(load, 0x02, void, 0x0b, load), cat(load, 0x02, void, set, 0x0b, load)},
		{"and behind a condition", wrapped, 1, cat(load, konst(1), 0x04, void, 0x0b, load), cat(load, konst(1), 0x04, void, set, 0x0b, load)},
		{"and no jump to its end", wrapped, 1,
			cat(load, 0x02, void, konst(1), 0x0d, 0, 0x0b, load), cat(0x02, void, konst(1), 0x0d, 0, load, 0x0b, load)},
		{"a variable that a turn leaves to the next", same, 1, cat(0x03, void, set, 0x20, 1, 0x1a, 0x0b), cat(0x03, void, 0x20, 1, 0x1a, set, 0x0b)},
		{"and that the next does in a block", same, 1, cat(0x03, void, set, 0x20, 1, 0x1a, 0x0b), cat(0x03, void, 0x02, void, 0x20, 1, 0x1a, 0x0b, set, 0x0b)},
		{"and that is only read", same, 1, cat(0x03, void, 0x20, 1, 0x1a, 0x0b), cat(0x03, void, 0x20, 1, 0x1a, set, 0x0b)},
		{"and that is set outside", same, 1, cat(set, 0x03, void, 0x20, 1, 0x1a, 0x0b), cat(0x03, void, 0x20, 1, 0x1a, set, 0x0b)},
		{"a negation", cat(0x53, 0x45), 1, cat(compared, 0x45, 0x04, void, 0x0b), cat(compared, 0x45, 0x01, 0x04, void, 0x0b)},
		{"three negations", cat(0xad, 0x50), 1, cat(compared, 0xad, 0x50, 0x45, 0x04, void, 0x0b), cat(compared, 0xad, 0x50, 0x45, 0x01, 0x04, void, 0x0b)},
		{"an address of a variable", cat(0x7c), 1, cat(0x20, 1, sum, 0x28, 2, 0, 0x1a), cat(0x20, 1, sum, 0x1a)},
		{"an address to store at", cat(0x7c), 1, cat(0x20, 1, sum, konst(1), 0x36, 2, 0), cat(0x20, 1, sum, 0x3f, 0, 0x36, 2, 0)},
		{"an address of a word", cat(0x7c), 1, cat(0x20, 3, 0xad, sum, 0x1a), cat(0x20, 1, sum, 0x1a)},
	} {
		if few, many := counted(c.what, c.few), counted(c.what, c.many); many-few != c.less {
			t.Errorf("%s: %d and %d", c.name, few, many)
		}
	}
	// The copy with the table has them all, and there is one global for all of them.
	if few, many := counted(cat(float(math.Pi)), repeat(7, pi)), counted(cat(float(math.Pi)), repeat(8, pi)); few != 2*7 || many != 8+1 {
		t.Errorf("constants: %d of 7 and %d of 8", few, many)
	}
}

// TestReloopGrowth has a binary of nothing but what is written longer become no more than
// several times as long.
func TestReloopGrowth(t *testing.T) {
	m := new(binary)
	m.typ([]byte{i32}, []byte{i32})
	m.memory(1)
	fill := (&parted{looped: true, parts: [][]any{{repeat(3000, konst(0), konst(0), konst(256), 0xfc, 11, 0), to{1, 0}}, {leave}}}).body()
	for range 50 {
		m.fnOf(0, nil, fill)
	}
	wasm := m.encode()
	if again := rewrite(t, wasm); len(again) > 8*len(wasm) {
		t.Errorf("%d bytes become %d", len(wasm), len(again))
	}
}

// TestReloopIsBounded has functions that are not worth the memory.
func TestReloopIsBounded(t *testing.T) {
	for name, body := range map[string][]byte{
		"jumps":   cat(0x02, void, 0x02, void, 0x20, 0, 0x0e, 0, 0, 0x0b, repeat(1_000_000, 0x0c, 0), 0x00, 0x0b, konst(1), 0x0b),
		"entries": cat(0x02, void, 0x20, 0, 0x0e, u32(1_000_000), repeat(1_000_001, 0), 0x0b, 0x00, 0x0b),
		"parts":   cat((&parted{looped: true, parts: make([][]any, 5000)}).body(), 0x0b),
	} {
		n := testing.AllocsPerRun(1, func() {
			if _, ok := meter.Reloop(cat(0, body)); ok {
				t.Errorf("%s: reloops", name)
			}
		})
		if n > 100 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
