package meter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// TestDepth has calls nest in several ways, each turn of which counts at least once.
func TestDepth(t *testing.T) {
	const limit = 300 // the interpreter has 2000 frames
	// turn is: if the parameter is not 0, call with one less.
	turn := func(call ...any) []byte {
		return cat(0x20, 0, 0x04, void, 0x20, 0, konst(1), 0x6b, cat(call...), 0x0b)
	}
	for name, c := range map[string]struct {
		build func(*binary)
		calls int // counted in a turn
	}{
		"a function of itself": {func(m *binary) {
			m.main([]byte{i32}, nil, nil, turn(0x10, 0))
		}, 1},
		"two of each other": {func(m *binary) {
			m.fn([]byte{i32}, nil, nil, 0x20, 0, 0x10, 1)
			m.main([]byte{i32}, nil, nil, turn(0x10, 0))
		}, 1},
		"through a table": {func(m *binary) {
			m.tables = append(m.tables, cat(0x70, 0, 1))
			m.elements = append(m.elements, cat(0, konst(0), 0x0b, 1, 0))
			m.main([]byte{i32}, nil, nil, turn(konst(0), 0x11, 0, 0))
		}, 1},
		"through a table and a function": {func(m *binary) {
			m.tables = append(m.tables, cat(0x70, 0, 1))
			m.elements = append(m.elements, cat(0, konst(0), 0x0b, 1, 0))
			m.fn([]byte{i32}, nil, nil, turn(0x10, 1))
			m.main([]byte{i32}, nil, nil, 0x20, 0, konst(0), 0x11, 0, 0)
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := new(binary)
			c.build(m)
			wasm, err := meter.Rewrite(m.encode(), meter.Limits{}, meter.Options{Meter: true, Depth: limit, Reloop: true})
			if err != nil {
				t.Fatal(err)
			}
			most := limit / c.calls
			for _, vm := range machines(t) {
				if got := vm.run(t, wasm.WASM, plenty, uint64(most-1)); got.err != nil || got.depth != limit {
					t.Errorf("%s, %d turns: %v, and then %d calls are left", vm.name, most-1, got.err, got.depth)
				}
				if got := vm.run(t, wasm.WASM, plenty, uint64(most+1)); !strings.Contains(fmt.Sprint(got.err), "unreachable") || got.depth >= 0 {
					t.Errorf("%s, %d turns: %v", vm.name, most+1, got.err)
				}
			}
		})
	}
}
