package meter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// example is a module whose "f" does the same metered and not.
type example struct {
	name  string
	build func(*binary)
	args  [][]uint64
	want  []uint64 // of the first call, if it is known; nil for a trap
}

func one(v uint64) [][]uint64 { return [][]uint64{{v}} }

var upTo5 = [][]uint64{{0}, {1}, {2}, {3}, {4}, {9}}

// controls are jumps, whose labels the pass changes, and what else is numbered.
func controls() []example {
	in, out := []byte{i32}, []byte{i32}
	return []example{
		{"a br_table out of and into loops", func(m *binary) {
			// (block (loop (block (loop (block (br_table 0 1 2 3 4 (n++)) … add to the result
			m.main(in, out, []byte{i32, i32},
				0x02, void, 0x03, void, 0x02, void, 0x03, void, 0x02, void,
				0x20, 1, konst(1), 0x6a, 0x22, 1, konst(40), 0x4a, 0x0d, 4,
				0x20, 2, konst(3), 0x6c, 0x20, 1, 0x6a, 0x21, 2,
				0x20, 0, 0x20, 1, 0x6a, konst(7), 0x71, 0x0e, 4, 0, 1, 2, 3, 4,
				0x0b, 0x20, 2, konst(11), 0x6a, 0x22, 2, konst(1), 0x71, 0x0d, 0,
				0x0b, 0x20, 2, konst(13), 0x6a, 0x21, 2,
				0x0b, 0x20, 2, konst(17), 0x6a, 0x22, 2, konst(2), 0x71, 0x0d, 0,
				0x0b, 0x20, 2, konst(19), 0x6a, 0x21, 2,
				0x0b, 0x20, 2)
		}, upTo5, nil},
		{"a loop with a result, left with it", func(m *binary) {
			m.main(in, out, nil, 0x02, i32, 0x03, i32, 0x20, 0, konst(1), 0x6a, 0x22, 0, konst(10), 0x4a,
				0x04, i32, konst(99), 0x0c, 2, 0x05, konst(5), 0x0b, 0x20, 0, konst(8), 0x48, 0x0d, 0, konst(1), 0x6a, 0x0b, 0x0b)
		}, upTo5, []uint64{6}},
		{"a loop with parameters within loops", func(m *binary) {
			two := m.typ([]byte{i32, i32}, out)
			m.main(in, out, []byte{i32}, 0x03, i32, 0x20, 0, konst(1), 0x03, u32(two),
				0x6a, 0x22, 1, 0x20, 1, 0x20, 1, konst(50), 0x48, 0x0d, 0, 0x6a, 0x0b,
				0x20, 0, konst(1), 0x6a, 0x22, 0, konst(3), 0x48, 0x0d, 0, 0x0b)
		}, upTo5, nil},
		{"jumps to the function's own label", func(m *binary) {
			m.main(in, out, nil, 0x03, void, 0x02, void, 0x03, i32, konst(7), 0x20, 0, 0x0d, 3, konst(9),
				0x20, 0, konst(1), 0x6a, 0x22, 0, 0x0e, 1, 3, 3, 0x0b, 0x1a, 0x0b, 0x0b, konst(1))
		}, upTo5, []uint64{9}},
		{"results of several values", func(m *binary) {
			pair := m.typ(nil, []byte{i32, i32})
			m.main(in, out, nil, 0x03, u32(pair), konst(5), 0x20, 0, 0x20, 0, 0x04, void, 0x0b, 0x0b, 0x6b)
		}, upTo5, nil},
		{"code that is never reached", func(m *binary) {
			m.main(in, out, nil, 0x02, i32, konst(3), 0x0c, 0, 0x03, void, 0x0c, 0, 0x0b, 0x04, i32, konst(1), 0x05, konst(2), 0x0b,
				0x0e, 1, 0, 1, 0x03, i32, 0x0c, 0, 0x0b, 0x0b, 0x0f, 0x00, 0x1a, 0x6a)
		}, one(0), []uint64{3}},
		{"a return out of loops", func(m *binary) {
			m.main(in, out, nil, 0x03, void, 0x03, void, 0x20, 0, konst(1), 0x6a, 0x22, 0, 0x20, 0, konst(9), 0x46,
				0x04, i32, 0x20, 0, 0x0f, 0x05, konst(0), 0x0b, 0x1a, 0x0d, 0, 0x0b, 0x0c, 0, 0x0b, 0x00)
		}, one(0), []uint64{9}},
		{"an unreachable", func(m *binary) { m.main(in, out, nil, 0x00) }, one(0), nil},
		{"an indirect call of functions whose numbers change", func(m *binary) {
			double := m.imported("env", "double", in, out)
			unary := m.typ(in, out)
			inc := m.fn(in, out, nil, 0x20, 0, konst(1), 0x6a)
			other := m.fn(nil, nil, nil)
			m.tables = append(m.tables, cat(funcref, 1, 4, 4), cat(externref, 0, 2))
			m.elements = append(m.elements, cat(0, konst(0), 0x0b, vec(u32(double), u32(inc), u32(other))))
			m.main(in, out, nil, konst(21), 0x20, 0, 0x11, u32(unary), 0)
		}, upTo5, []uint64{42}},
		{"all forms of segments of elements", func(m *binary) {
			m.imported("env", "double", in, out)
			m.memory(1)
			var f []int
			for i := range 8 {
				f = append(f, m.fn(nil, out, nil, konst(100+i)))
			}
			m.tables = append(m.tables, cat(funcref, 0, 20), cat(funcref, 0, 20))
			ref := func(i int) []byte { return cat(0xd2, u32(f[i]), 0x0b) }
			m.elements = append(
				m.elements,
				cat(0, konst(0), 0x0b, vec(u32(f[0]))),
				cat(1, 0, vec(u32(f[1]))),
				cat(2, 1, konst(2), 0x0b, 0, vec(u32(f[2]))),
				cat(3, 0, vec(u32(f[3]))),
				cat(4, konst(4), 0x0b, vec(ref(4))),
				cat(5, funcref, vec(ref(5), cat(0xd0, funcref, 0x0b))),
				cat(6, 1, konst(6), 0x0b, funcref, vec(ref(6))),
				cat(7, funcref, vec(ref(7))),
			)
			typ := m.typ(nil, out)
			m.main(in, out, nil,
				konst(1), konst(0), konst(1), 0xfc, 12, 1, 0, // table.init 1 of the first
				konst(5), konst(0), konst(2), 0xfc, 12, 5, 0,
				konst(3), 0xd2, u32(f[3]), 0x26, 0, // table.set
				konst(2), konst(2), konst(1), 0xfc, 14, 0, 1, // table.copy
				konst(6), konst(6), konst(1), 0xfc, 14, 0, 1,
				konst(7), 0xd2, u32(f[7]), konst(2), 0xfc, 17, 0, // table.fill
				0xfc, 13, 5, // elem.drop
				0xd0, funcref, konst(3), 0xfc, 15, 0, 0x1a, // table.grow
				0xfc, 16, 0, konst(23), 0x47, 0x04, void, 0x00, 0x0b, // table.size
				0x20, 0, 0x25, 0, 0xd1, 0x04, void, konst(-1), 0x0f, 0x0b,
				0x20, 0, 0x11, u32(typ), 0)
		}, [][]uint64{{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {22}}, []uint64{100}},
		{"references in globals, and a function of the table from one", func(m *binary) {
			m.imported("env", "double", in, out)
			f := m.fn(nil, out, nil, konst(77))
			m.tables = append(m.tables, cat(funcref, 0, 1))
			m.globals = append(m.globals, cat(funcref, 1, 0xd2, u32(f), 0x0b), cat(i32, 0, konst(3), 0x0b), cat(externref, 1, 0xd0, externref, 0x0b))
			m.main(nil, out, nil, konst(0), 0x23, 0, 0x26, 0, konst(0), 0x11, 1, 0)
		}, [][]uint64{nil}, []uint64{77}},
		{"a start function", func(m *binary) {
			m.imported("env", "double", in, out)
			g := m.global(i32, konst(1))
			m.start = u32(m.fn(nil, nil, nil, konst(42), 0x24, g))
			m.main(nil, out, nil, 0x23, g)
		}, [][]uint64{nil}, []uint64{42}},
		{"vectors", vectors, upTo5, nil},
		{"data that is loaded, dropped and loaded again", func(m *binary) {
			m.memory(1)
			m.dataCount = u32(2)
			m.datas = append(m.datas, cat(1, sized(repeat(300, 5))), cat(0, konst(9), 0x0b, sized([]byte("abc"))))
			m.main(in, out, nil, konst(100), konst(0), konst(300), 0xfc, 8, 0, 0, konst(500), konst(200), konst(100), 0xfc, 8, 0, 0,
				0xfc, 9, 0, konst(0), konst(0), 0x20, 0, 0xfc, 8, 0, 0, konst(1))
		}, upTo5, []uint64{1}},
		{"memory that grows", func(m *binary) {
			m.memories = append(m.memories, cat(1, 1, 5))
			m.export("memory", 2, 0)
			m.main(in, out, nil, 0x20, 0, 0x40, 0, konst(100), 0x6c, 0x3f, 0, 0x6a)
		}, upTo5, []uint64{101}},
		{"plain instructions of all kinds", func(m *binary) {
			m.main(in, out, []byte{i64}, 0x20, 0, 0xac, 0xc4, 0x22, 1, 0x20, 1, 0x7e, konst64(3), 0x7c, 0xa7, 0xc0,
				0x20, 0, 0xb3, 0x43, 0, 0, 0x80, 0x3f, 0x92, 0x91, 0xfc, 0, 0x6a,
				0x20, 0, 0xb7, 0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0xa0, 0x9f, 0xfc, 2, 0x6a,
				0x20, 0, 0x20, 0, 0x1c, 1, i32)
		}, upTo5, nil},
	}
}

// vectors uses each form of a vector instruction's immediates.
func vectors(m *binary) {
	m.memory(1)
	lanes := cat(0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31)
	load := func(sub, align int) []byte { return cat(konst(16), 0xfd, sub, align, 4) }
	body := cat(konst(16), konst(0x01020304), 0x36, 2, 4, 0xfd, 12, repeat(16, 0x0b), 0x21, 1)
	add := func(code ...any) { body = cat(body, 0x20, 1, cat(code...), 0xfd, 0x51, 0x21, 1) } // v128.xor
	for sub, align := range []int{4, 3, 3, 3, 3, 3, 3, 0, 1, 2, 3} {
		add(load(sub, align))
	}
	add(load(92, 2))
	add(load(93, 3))
	add(0x20, 1, 0x20, 1, 0xfd, 13, lanes)
	for i := range 4 {
		add(konst(32), 0x20, 1, 0xfd, 84+i, i, 0, 1) // loads and
		body = cat(body, konst(64), 0x20, 1, 0xfd, 88+i, i, 0, 1)
	}
	add(0x20, 0, 0xfd, 15)                               // i8x16.splat
	add(0x20, 1, 0x20, 0, 0xfd, 23, 15)                  // i8x16.replace_lane
	add(0x20, 1, 0x20, 1, 0xfd, 21, 3, 0xfd, 28, 2)      // i8x16.extract_lane_s, i32x4.replace_lane
	add(0x20, 1, 0xfd, 0x80, 0x01)                       // i16x8.abs, of two bytes
	add(0x20, 1, 0x20, 0, 0xfd, 0x8c, 0x01)              // i16x8.shr_s
	add(0x20, 1, 0x20, 1, 0xfd, 0xae, 0x01)              // i32x4.add
	add(0x20, 1, 0xfd, 0xff, 0x01)                       // f64x2.convert_low_i32x4_u
	body = cat(body, konst(80), 0x20, 1, 0xfd, 11, 4, 0) // v128.store
	m.main([]byte{i32}, []byte{i32}, []byte{v128}, body, 0x20, 1, 0xfd, 27, 1)
}

func TestSemantics(t *testing.T) {
	all := machines(t)
	for _, c := range controls() {
		t.Run(c.name, func(t *testing.T) {
			m := new(binary)
			c.build(m)
			for i, args := range c.args {
				o := compare(t, all, m.encode(), args...)
				if i == 0 && c.want != nil && !slices.Equal(o.results, c.want) {
					t.Errorf("results %v, %v, want %v", o.results, o.err, c.want)
				}
			}
		})
	}
}

// TestRanges has ranges of memory of all lengths that the pass treats differently,
// at the ends of the memory and beyond, and overlapping.
func TestRanges(t *testing.T) {
	const size = 4 << 16
	all := machines(t)
	three := []byte{i32, i32, i32}
	program := func(code ...any) []byte {
		m := new(binary)
		m.memory(4)
		// A pattern first, of the addresses' products.
		m.main(three, nil, []byte{i32}, 0x03, void, 0x20, 3, 0x20, 3, 0x20, 3, 0x6c, konst(7), 0x76, 0x36, 2, 0,
			0x20, 3, konst(52), 0x6a, 0x22, 3, konst(size-4), 0x49, 0x0d, 0, 0x0b,
			0x20, 0, 0x20, 1, 0x20, 2, cat(code...))
		return m.encode()
	}
	fill, move := program(0xfc, 11, 0), program(0xfc, 10, 0, 0)
	for _, a := range [][3]uint64{
		{0, 0, 0}, {size, 1, 0}, {size, size, 0}, {size + 1, 0, 0}, {0, size + 1, 0}, {1<<32 - 1, 0, 1<<32 - 1},
		{10, 20, 256}, {10, 20, 257}, {20, 10, 257}, {1, 2, 65536}, {1, 2, 65537}, {2, 1, 65537}, {2, 1, 131072},
		{0, 3, 200_000}, {3, 0, 200_000}, {0, 65536, 196_608}, {65536, 0, 196_608}, {5, 5, 150_000}, {100_000, 0, 100_000},
		{65536, 0, 196_609}, {0, 65536, 196_609}, {65537, 1, 196_608}, {0, 0, size}, {0, 0, size + 1}, {1, 0, size},
		{size - 256, 0, 256}, {size - 256, 0, 257}, {size - 1, 0, 1<<32 - 1}, {0, size - 10, 65537}, {size - 10, 0, 65537},
		{0, 0, 1<<32 - 65536}, {1 << 31, 0, 1 << 31}, {0, 1 << 31, 1 << 31},
	} {
		for _, wasm := range [][]byte{fill, move} {
			o := compare(t, all, wasm, a[:]...)
			if o.err == nil && uint64(o.fuel) < a[2]/64 {
				t.Errorf("%v: %d units", a, o.fuel)
			}
		}
	}
}

// TestRangesYield says that a long range does not keep the host waiting.
func TestRangesYield(t *testing.T) {
	m := new(binary)
	m.memory(16)
	m.main(nil, nil, nil, konst(0), konst(1), konst(1<<20), 0xfc, 11, 0, konst(1), konst(0), konst(1<<20-1), 0xfc, 10, 0, 0)
	for _, vm := range machines(t) {
		o := vm.run(t, rewrite(t, m.encode()), grants{slice: 1 << 8, most: 1 << 20})
		if o.err != nil || o.visits < 2*15 {
			t.Errorf("%s: %d visits, %v", vm.name, o.visits, o.err)
		}
	}
}

// TestNames says that stack traces show the functions' names.
func TestNames(t *testing.T) {
	m := new(binary)
	m.imported("env", "double", []byte{i32}, []byte{i32})
	inner := m.fn(nil, nil, nil, 0x03, void, 0x0b, 0x00)
	m.main(nil, nil, nil, 0x10, u32(inner))
	m.names = cat(0, sized(str("a module")), 1, sized(vec(cat(u32(0), str("twice")), cat(u32(inner), str("callee")), cat(u32(inner+1), str("caller")))))
	for _, vm := range machines(t) {
		o := vm.run(t, rewrite(t, m.encode()), plenty)
		if o.err == nil || !strings.Contains(o.err.Error(), ".callee()") || !strings.Contains(o.err.Error(), ".caller()") {
			t.Errorf("%s: %v", vm.name, o.err)
		}
	}
	for _, names := range [][]byte{{1}, {1, 200}, {1, 1, 5}, cat(1, sized(vec(cat(u32(9), str("of no function"))))), cat(1, sized(vec(cat(u32(1), str("\xff"))))), {0, 0, 7}} {
		m.names = names
		for _, vm := range machines(t) {
			if err := vm.compiles(t, rewrite(t, m.encode())); err != nil {
				t.Errorf("names %x: %v", names, err)
			}
		}
	}
}

// TestDirty has what leaves a trace that memory and globals do not show.
func TestDirty(t *testing.T) {
	vm := machines(t)[0]
	for _, c := range []struct {
		code  []byte
		dirty bool
	}{
		{cat(konst(0), 0xd0, funcref, 0x26, 0), true},
		{cat(0xd0, funcref, konst(1), 0xfc, 15, 0, 0x1a), true},
		{cat(konst(0), 0xd0, funcref, konst(1), 0xfc, 17, 0), true},
		{cat(konst(0), konst(0), konst(1), 0xfc, 14, 0, 0), true},
		{cat(konst(0), konst(0), konst(1), 0xfc, 12, 0, 0), true},
		{cat(0xfc, 13, 0), true},
		{cat(0xfc, 9, 0), true},
		{cat(konst(0), 0x25, 0, 0x1a, 0xfc, 16, 0, 0x1a), false},
		{cat(konst(0), konst(0), konst(1), 0xfc, 8, 0, 0), false},
	} {
		for _, opts := range []meter.Options{metered, {Reset: true}} {
			m := new(binary)
			m.memory(1)
			m.tables = append(m.tables, cat(funcref, 0, 2))
			m.dataCount = u32(1)
			m.datas = append(m.datas, cat(1, sized([]byte("data"))))
			m.main(nil, nil, nil, c.code)
			m.elements = append(m.elements, cat(1, 0, vec(u32(0))))
			again, err := meter.Rewrite(m.encode(), meter.Limits{}, opts)
			if err != nil {
				t.Fatal(err)
			}
			if o := vm.run(t, again.WASM, plenty); o.err != nil || o.dirty != c.dirty {
				t.Errorf("%x, %+v: dirty %t, %v", c.code, opts, o.dirty, o.err)
			}
		}
	}
}
