package meter_test

import (
	"bytes"
	"testing"

	endian "encoding/binary"
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
		for _, datas := range [][][]byte{
			active(segment{65535, "ab"}), active(segment{65534, "ab"}, segment{65536, "c"}), active(segment{-1, "a"}), active(segment{65537, ""}),
			active(segment{-2, "abc"}, segment{8, "a"}),
		} {
			m := new(binary)
			m.memory(1)
			m.datas = datas
			for _, vm := range machines(t) {
				if vm.run(t, m.encode(), plenty).err == nil || vm.run(t, rewrite(t, m.encode()), plenty).err == nil {
					t.Errorf("%s, %x: no error", vm.name, datas)
				}
			}
		}
	})
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
