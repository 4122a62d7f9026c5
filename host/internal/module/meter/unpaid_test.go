package meter_test

import "testing"

const nop = 0x01

// nested is n blocks around code, each of which is followed by tail(i), the
// innermost by tail(0).
func nested(n int, inner []byte, tail func(i int) []byte) []byte {
	b := cat(repeat(n, 0x02, void), inner)
	for i := range n {
		b = cat(b, 0x0b, tail(i))
	}
	return b
}

// TestUnpaid has ways through code on which little might be paid for. Each executes
// at least a number of instructions.
func TestUnpaid(t *testing.T) {
	const n = 200
	for _, c := range []struct {
		name     string
		build    func(*binary)
		executed int64
	}{
		{"br_tables that lead from one to the next", func(m *binary) {
			// Each block ends in a br_table out of the block around it.
			m.main(nil, nil, nil, nested(n, cat(konst(0), 0x0e, 0, 0), func(i int) []byte {
				if i == n-1 {
					return nil
				}
				return cat(repeat(100, nop), konst(0), 0x0e, 0, 0)
			}))
		}, (n - 1) * 100},
		{"br_tables out of blocks that are fallen out of, too", func(m *binary) {
			m.main(nil, nil, []byte{i32}, nested(n, cat(0x20, 0, 0x0e, 0, 0), func(i int) []byte {
				if i == n-1 {
					return nil
				}
				return cat(repeat(50, nop), 0x02, void, 0x20, 0, 0x0d, 0, 0x20, 0, 0x0e, 1, 0, 1, 0x0b, repeat(50, nop), 0x20, 0, 0x0e, 0, 0)
			}))
		}, (n - 1) * 100},
		{"a br_table behind a loop that is left by another", func(m *binary) {
			m.main(nil, nil, nil, nested(n, cat(konst(0), 0x0e, 0, 0), func(i int) []byte {
				if i == n-1 {
					return nil
				}
				return cat(repeat(50, nop), 0x02, void, 0x03, void, konst(0), 0x0e, 0, 1, 0x0b, 0x0b,
					repeat(50, nop), konst(0), 0x0e, 0, 0)
			}))
		}, (n - 1) * 100},
		{"br_tables in the branches of ifs", func(m *binary) {
			m.main(nil, nil, []byte{i32}, nested(n, cat(0x20, 0, 0x0e, 0, 0), func(i int) []byte {
				if i == n-1 {
					return nil
				}
				return cat(repeat(100, nop), 0x20, 0, 0x04, void, 0x20, 0, 0x0e, 0, 0, 0x05, 0x20, 0, 0x0e, 0, 1, 0x0b)
			}))
		}, (n - 1) * 100},
		{"functions that begin with a call and a loop", func(m *binary) {
			// A function that begins with a loop leaves it to the loop to pay.
			f := m.fn(nil, nil, nil, repeat(30, nop))
			for range n {
				f = m.fn(nil, nil, nil, repeat(30, nop), 0x10, u32(f), 0x03, void, 0x0b)
			}
			m.export("f", 0, f)
		}, n * 30},
		{"functions that begin with an indirect call and a loop", func(m *binary) {
			// f(n) calls f(n-1).
			m.tables = append(m.tables, cat(funcref, 0, 1))
			m.elements = append(m.elements, cat(0, konst(0), 0x0b, vec(u32(1))))
			f := m.fn([]byte{i32}, nil, nil, repeat(20, nop), 0x20, 0, konst(1), 0x6b, konst(0), 0x11, 2, 0, 0x03, void, 0x0b)
			m.fn([]byte{i32}, nil, nil, 0x20, 0, 0x04, void, 0x20, 0, 0x10, u32(f), 0x0b)
			m.typ([]byte{i32}, nil)
			m.main(nil, nil, nil, konst(n), 0x10, u32(f))
		}, n * 20},
		{"small functions called often", func(m *binary) {
			leaf := m.fn(nil, nil, nil, repeat(60, nop))
			m.main(nil, nil, nil, repeat(n, 0x10, u32(leaf)))
		}, n * 60},
		{"small functions with a loop at their end", func(m *binary) {
			leaf := m.fn(nil, nil, nil, repeat(60, nop), 0x03, void, 0x0b)
			m.main(nil, nil, nil, repeat(n, 0x10, u32(leaf)))
		}, n * 60},
		{"functions that are longer than a window before their loop", func(m *binary) {
			f := m.fn(nil, nil, nil, repeat(180, nop), 0x03, void, 0x0b)
			m.main(nil, nil, nil, repeat(n, 0x10, u32(f)))
		}, n * 180},
		{"small functions that are left early", func(m *binary) {
			leaf := m.fn([]byte{i32}, nil, nil, repeat(60, nop), 0x20, 0, 0x0d, 0)
			m.main(nil, nil, []byte{i32}, repeat(n, 0x20, 0, 0x10, u32(leaf)))
		}, n * 60},
		{"a turn of a loop that goes on at once", func(m *binary) {
			// loop: 10 nops, n-- and again if it is not 0
			m.main(nil, nil, []byte{i32}, konst(n), 0x21, 0, 0x03, void, repeat(10, nop),
				0x20, 0, konst(1), 0x6b, 0x22, 0, 0x0d, 0, 0x0b)
		}, n * 15},
		{"a loop with a parameter", func(m *binary) {
			typ := m.typ([]byte{i32}, []byte{i32})
			m.main(nil, []byte{i32}, []byte{i32}, konst(n), 0x03, u32(typ), repeat(10, nop), konst(1), 0x6b, 0x22, 0, 0x20, 0, 0x0d, 0, 0x0b)
		}, n * 15},
		{"an endless way through the inner of two loops", func(m *binary) {
			m.main(nil, nil, []byte{i32}, konst(n), 0x21, 0, 0x03, void, 0x03, void, repeat(10, nop),
				0x20, 0, konst(1), 0x6b, 0x22, 0, 0x0d, 1, 0x0b, 0x0b)
		}, n * 15},
		{"a br_table that goes round", func(m *binary) {
			// loop: block block: br_table: end: 10 nops: n--, continue while it is not 0
			m.main(nil, nil, []byte{i32}, konst(n), 0x21, 0, 0x03, void, 0x02, void, 0x02, void, konst(0), 0x0e, 1, 0, 1, 0x0b,
				repeat(110, nop), 0x20, 0, konst(1), 0x6b, 0x22, 0, 0x0e, 1, 0, 1, 0x0b, 0x0b)
		}, n * 110},
		{"much code in one line", func(m *binary) { m.main(nil, nil, nil, repeat(100*n, nop)) }, 100 * n},
		{"a block jumped over, and the code behind it", func(m *binary) {
			m.main(nil, nil, nil, repeat(n, 0x02, void, konst(1), 0x0d, 0, repeat(300, nop), 0x0b, repeat(100, nop)))
		}, n * 100},
		{"the branches of ifs", func(m *binary) {
			m.main(nil, nil, nil, repeat(n, konst(0), 0x04, void, repeat(200, nop), 0x05, repeat(100, nop), 0x0b, repeat(20, nop)))
		}, n * 120},
		{"code behind loops that are left in many ways", func(m *binary) {
			m.main(nil, nil, nil, repeat(n, 0x02, void, 0x03, void, konst(1), 0x0d, 1, repeat(200, nop), konst(0), 0x0d, 0, 0x0b,
				repeat(200, nop), 0x0b, repeat(100, nop)))
		}, n * 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := new(binary)
			c.build(m)
			o := compare(t, machines(t), m.encode())
			if o.fuel*2 < c.executed || o.err != nil {
				t.Errorf("%d units for %d instructions, %v", o.fuel, c.executed, o.err)
			}
			t.Logf("%.2f units an instruction", float64(o.fuel)/float64(c.executed))
		})
	}
}
