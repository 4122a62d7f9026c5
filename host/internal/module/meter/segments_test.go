package meter_test

import (
	"bytes"
	endian "encoding/binary"
	"slices"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// TestSegments has segments of data become fewer, with the same memory behind.
func TestSegments(t *testing.T) {
	type segment struct {
		at   int
		data string
	}
	active := func(list ...segment) (all [][]byte) {
		for _, s := range list {
			all = append(all, cat(0, konst(s.at), 0x0b, sized([]byte(s.data))))
		}
		return all
	}
	for _, c := range []struct {
		name  string
		datas [][]byte
		count bool // has a data count section
		want  int
	}{
		{"side by side", active(segment{8, "a"}, segment{9, "b"}, segment{10, "c"}), false, 1},
		{"with a gap", active(segment{8, "a"}, segment{9 + 64, "b"}), false, 1},
		{"with too large a gap", active(segment{8, "a"}, segment{9 + 65, "b"}), false, 2},
		{"not in order", active(segment{200, "c"}, segment{208, "d"}, segment{8, "a"}, segment{16, "b"}), false, 2},
		{"not in order, and near", active(segment{20, "b"}, segment{8, "a"}), false, 2},
		{"a gap over what was written", active(segment{30, "b"}, segment{8, "a"}, segment{60, "c"}), false, 3},
		{"over what was written", active(segment{8, "abc"}, segment{9, "x"}), false, 2},
		{"over what was written twice", active(segment{8, "abc"}, segment{9, "x"}, segment{8, "y"}), false, 3},
		{"none", active(), false, 0},
		{"an empty one", active(segment{8, "a"}, segment{9, ""}), false, 2},
		{"up to the end", active(segment{65535 - 64, "a"}, segment{65535, "b"}), false, 1},
		{"by name", active(segment{8, "a"}, segment{9, "b"}), true, 2},
		{"a passive one", append(active(segment{8, "a"}, segment{9, "b"}), cat(1, sized([]byte("p")))), false, 3},
		{"an index of the memory", [][]byte{cat(2, 0, konst(8), 0x0b, sized([]byte("a"))), cat(2, 0, konst(9), 0x0b, sized([]byte("b")))}, false, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := new(binary)
			m.memory(1)
			m.main(nil, nil, nil)
			m.datas = c.datas
			if c.count {
				m.dataCount = u32(len(c.datas))
			}
			wasm := m.encode()
			compare(t, machines(t), wasm)
			if got := segments(rewrite(t, wasm)); got != c.want {
				t.Errorf("%d segments, want %d", got, c.want)
			}
		})
	}
	t.Run("outside", func(t *testing.T) {
		for want, datas := range map[string][][]byte{
			"data section, byte 37: segment 0 ends at byte 65537, and the memory at 65536":      active(segment{65535, "ab"}),
			"data section, byte 45: segment 1 ends at byte 65537, and the memory at 65536":      active(segment{65534, "ab"}, segment{65536, "c"}),
			"data section, byte 34: segment 0 ends at byte 4294967296, and the memory at 65536": active(segment{-1, "a"}),
			"data section, byte 35: segment 0 ends at byte 65537, and the memory at 65536":      active(segment{65537, ""}),
			"data section, byte 36: segment 0 ends at byte 4294967297, and the memory at 65536": active(segment{-2, "abc"}, segment{8, "a"}),
		} {
			m := new(binary)
			m.memory(1)
			m.datas = datas
			refuses(t, m, want)
		}
	})
}

// TestElements has segments of elements at the end of their table, and beyond.
func TestElements(t *testing.T) {
	list := func(n int) []byte { return vec(slices.Repeat([][]byte{u32(0)}, n)...) }
	module := func(elements ...[]byte) *binary {
		m := new(binary)
		m.tables = [][]byte{{funcref, 0, 3}, {funcref, 0, 1}}
		m.main(nil, nil, nil)
		m.elements = elements
		return m
	}
	for want, m := range map[string]*binary{
		"element section, byte 42: segment 0 ends at entry 4, and its table at 3":          module(cat(0, konst(2), 0x0b, list(2)), cat(0, konst(1), 0x0b, list(1))),
		"element section, byte 50: segment 1 ends at entry 2, and its table at 1":          module(cat(0, konst(2), 0x0b, list(1)), cat(2, 1, konst(0), 0x0b, 0, list(2))),
		"element section, byte 42: segment 0 ends at entry 6, and its table at 3":          module(cat(0, konst(6), 0x0b, list(0))),
		"element section, byte 42: segment 0 ends at entry 4294967296, and its table at 3": module(cat(0, konst(-1), 0x0b, list(1))),
		"element section, byte 42: segment 0 ends at entry 7, and its table at 3":          module(cat(4, konst(6), 0x0b, vec(cat(0xd2, 0, 0x0b)))),
	} {
		refuses(t, m, want)
	}
	fit := rewrite(t, module(
		cat(0, konst(1), 0x0b, list(2)), cat(0, konst(3), 0x0b, list(0)), cat(2, 1, konst(0), 0x0b, 0, list(1)),
		cat(1, 0, list(9)), cat(3, 0, list(9)), // passive, and declared
	).encode())
	for _, vm := range machines(t) {
		if o := vm.run(t, fit, plenty); o.err != nil {
			t.Errorf("%s: %v", vm.name, o.err)
		}
	}
}

// refuses checks what is said of a module.
func refuses(t *testing.T, m *binary, want string) {
	t.Helper()
	if _, err := meter.Rewrite(m.encode(), meter.Limits{}, metered); err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
}

// segments returns how many segments of data a binary has.
func segments(wasm []byte) int {
	for rest := wasm[8:]; len(rest) > 0; {
		id := rest[0]
		size, n := endian.Uvarint(rest[1:])
		content := rest[1+n:][:size]
		if id == secData {
			items, _ := endian.ReadUvarint(bytes.NewReader(content))
			return int(items)
		}
		rest = rest[1+n+int(size):]
	}
	return 0
}
