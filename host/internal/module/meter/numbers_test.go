package meter_test

import "testing"

// TestBlockTypes has a block's type, which is a signed number, lie behind many.
func TestBlockTypes(t *testing.T) {
	all := machines(t)
	for _, n := range []int{61, 62, 63, 64, 126, 127, 128, 8191, 8192} {
		m := new(binary)
		m.memory(1)
		for range n {
			m.typ(nil, nil)
		}
		m.main(nil, []byte{i32}, nil, konst(8), konst(0x5a), konst(1000), 0xfc, 11, 0, konst(2000), konst(0), konst(900), 0xfc, 10, 0, 0,
			konst(2004), 0x28, 2, 0)
		compare(t, all, m.encode())
	}
}
