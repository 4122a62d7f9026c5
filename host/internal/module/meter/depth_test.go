package meter_test

import (
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// TestDepth has calls nest in several ways, each turn of which counts at least once. The guest
// comes to the host at once when they nest too deep, and goes on if it may.
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
				was := vm.run(t, wasm.WASM, plenty, uint64(most-1))
				if was.err != nil || was.depth != limit || was.deep != 0 {
					t.Errorf("%s, %d turns: %v, %d visits too deep, and then %d calls are left", vm.name, most-1, was.err, was.deep, was.depth)
				}
				deeper := grants{slice: 1 << 30, most: plenty.most, deeper: 100}
				got := vm.run(t, wasm.WASM, deeper, uint64(most+40))
				if got.err != nil || got.deep != 1 || got.lowest != -1 || got.depth != limit+deeper.deeper {
					t.Errorf("%s, %d turns: %v, %d visits too deep, the first with %d calls left, and then %d",
						vm.name, most+40, got.err, got.deep, got.lowest, got.depth)
				}
				if each := was.fuel / int64(most); got.fuel < was.fuel || got.fuel > was.fuel+50*each {
					t.Errorf("%s: fuel %d for %d turns, %d for %d", vm.name, was.fuel, most-1, got.fuel, most+40)
				}
			}
		})
	}
}
