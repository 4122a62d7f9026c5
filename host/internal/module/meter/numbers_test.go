package meter_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// TestNumbers has every number that the pass writes be one that ends a byte, or needs one more, if
// it is signed or if it is not.
func TestNumbers(t *testing.T) {
	all := machines(t)
	roomy := meter.Limits{
		Globals: math.MaxInt32, Locals: math.MaxInt32, Jumps: math.MaxInt32, Flow: math.MaxInt64, Imports: math.MaxInt32, Exports: math.MaxInt32,
	}
	out := []byte{i32}
	copies := cat(konst(8), konst(0x5a), konst(1000), 0xfc, 11, 0, konst(2000), konst(0), konst(900), 0xfc, 10, 0, 0, konst(2004), 0x28, 2, 0)
	body := func(parts ...any) []byte { // of a function that goes in parts, as Go's are
		return (&parted{looped: true, parts: [][]any{append(parts, to{1, 0}), {cat(0x20, 3, 0x0f)}}}).body()
	}
	for name, build := range map[string]func(m *binary, n int){
		"types": func(m *binary, n int) {
			m.memory(1)
			for range n {
				m.typ(nil, nil)
			}
			m.main(nil, out, nil, copies)
		},
		"the type of a loop": func(m *binary, n int) {
			for range n {
				m.typ(nil, nil)
			}
			pair := m.typ(nil, []byte{i32, i32})
			m.main(nil, out, nil, 0x03, sleb(int64(pair)), konst(5), konst(7), 0x0b, 0x6b)
		},
		"imports": func(m *binary, n int) {
			typ := m.imported("env", "double", out, out)
			for range n {
				m.imports = append(m.imports, cat(str("env"), str("double"), 0, u32(typ)))
			}
			m.main(nil, out, nil, 0x03, void, 0x0b, konst(21), 0x10, u32(n))
		},
		"functions": func(m *binary, n int) {
			m.imported("env", "double", out, out)
			typ := m.typ(nil, out)
			for i := range n {
				m.fnOf(typ, nil, konst(i))
			}
			m.tables = append(m.tables, cat(funcref, 0, 2))
			m.elements = append(m.elements, cat(0, konst(0), 0x0b, vec(u32(n))), cat(4, konst(1), 0x0b, vec(cat(0xd2, u32(n-1), 0x0b))))
			m.main(nil, out, nil, 0x03, void, 0x0b, 0x10, u32(n), konst(0), 0x11, u32(typ), 0, 0x6a, konst(1), 0x11, u32(typ), 0, 0x6a)
		},
		"globals": func(m *binary, n int) {
			for i := range n {
				m.globals = append(m.globals, cat(i32, 1, konst(i), 0x0b))
			}
			m.tables = append(m.tables, cat(funcref, 0, 1))
			m.main(nil, out, nil, 0x03, void, 0x0b, konst(0), 0xd0, funcref, 0x26, 0, 0x23, u32(n-1))
		},
		"variables": func(m *binary, n int) {
			m.memory(1)
			locals := cat(3, u32(n), i32, 1, f64, 1, v128)
			code := cat(locals, 0x03, void, 0x0b, copies, 0x21, u32(n-1), float(2), float(-1), 0xa6, 0x44, repeat(8, 0), konst(1), 0x1b, 0x21, u32(n),
				0x20, u32(n+1), 0x20, u32(n+1), konst(0), 0x1b, 0xfd, 27, 0, 0x20, u32(n), 0xfc, 2, 0x6a, 0x20, u32(n-1), 0x6a, 0x0b)
			m.export("f", 0, 0)
			m.funcs = append(m.funcs, u32(m.typ(nil, out)))
			m.codes = append(m.codes, sized(code))
		},
		"labels": func(m *binary, n int) {
			m.main(nil, out, nil, 0x02, i32, 0x03, void, repeat(n, 0x02, void), konst(7), konst(1), 0x0d, u32(n+1), 0x1a, repeat(n, 0x0b), 0x0b, konst(9), 0x0b)
		},
		"targets of a br_table": func(m *binary, n int) {
			m.main(nil, out, nil, 0x02, void, 0x02, void, konst(n-1), 0x0e, u32(n), repeat(n, 0), 1, 0x0b, konst(3), 0x0f, 0x0b, konst(4))
		},
		"the length of code": func(m *binary, n int) { m.main(nil, out, nil, repeat(n, nop), konst(1)) },
		"numbers and offsets": func(m *binary, n int) {
			m.memory(1)
			m.main(nil, out, nil, konst(8), konst(n), 0x36, 2, u32(n), konst(0), 0x28, 2, u32(n+8))
		},
		"data": func(m *binary, n int) {
			m.memory(1)
			m.datas = append(m.datas, cat(0, konst(n), 0x0b, sized([]byte{1, 2, 3, 4})), cat(0, konst(n+20), 0x0b, sized(repeat(n, 5))))
			m.main(nil, out, nil, konst(n), 0x28, 0, 0, konst(2*n+16), 0x28, 0, 0, 0x6a)
		},
		"sums in functions in parts": func(m *binary, n int) {
			m.typ(out, out)
			m.memory(1)
			m.fnOf(0, []byte{i64, f64, i32},
				body(konst64(16), 0x21, 1, konst64(16), konst64(int64(n)), 0x7c, 0xa7, konst(n), 0x36, 2, u32(n), 0x20, 1, konst64(int64(n)), 0x7c, 0xa7, 0x28, 2, u32(n), 0x21, 3))
			m.main(nil, out, nil, konst(0), 0x10, 0)
		},
		"globals of functions in parts": func(m *binary, n int) {
			m.typ(out, out)
			m.memory(1)
			for i := range n {
				m.globals = append(m.globals, cat(i32, 0, konst(i), 0x0b))
			}
			m.fnOf(0, []byte{i64, f64, i32}, body(repeat(9, float(math.Pi), 0x20, 2, 0xa0, 0x21, 2), 0x20, 2, 0xfc, 2, 0x21, 3))
			m.main(nil, out, nil, konst(0), 0x10, 0)
		},
	} {
		for _, n := range []int{61, 62, 63, 64, 126, 127, 128, 8190, 8191, 8192, 16382, 16383, 16384} {
			m := new(binary)
			build(m, n)
			wasm := m.encode()
			vms := all
			if n > 128 {
				vms = all[1:] // the compiler takes long for them
			}
			for _, vm := range vms {
				want := vm.run(t, wasm, grants{})
				if want.err != nil || len(want.results) != 1 {
					t.Fatalf("%d %s: %v", n, name, want.err)
				}
				for _, opts := range []meter.Options{metered, {Reloop: true, Guards: meter.AllGuards}} {
					again, err := meter.Rewrite(wasm, roomy, opts)
					if err != nil {
						t.Fatalf("%d %s: %v", n, name, err)
					}
					same(t, fmt.Sprintf("%d %s, %s", n, name, vm.name), vm.run(t, again.WASM, plenty), want)
				}
			}
		}
	}
}

// TestInvalid has functions that are not valid stay so: at random places of valid ones there is
// something more, less or else.
func TestInvalid(t *testing.T) {
	vm := machines(t)[1]
	pieces := [][]byte{
		konst(1), konst64(1), float(1), {0x43, 0, 0, 0x80, 0x3f}, {0x1a}, {nop}, {0x00}, {0x0f}, {0x0c, 0}, {0x0c, 1}, {0x0d, 0}, {0x0e, 0, 0}, {0x0b}, {0x05},
		{0x02, void}, {0x02, i32}, {0x03, void}, {0x03, i32}, {0x04, void}, {0x1b}, {0x1c, 1, f64}, {0x20, 0}, {0x21, 0}, {0x22, 2}, {0x23, 2}, {0x24, 0},
		{0x10, 0}, {0x6a}, {0x7c}, {0xa0}, {0xba}, {0xa6}, {0x70}, {0x67}, {0xfd, 15}, {0xfd, 82}, {0xfd, 34, 0}, {0xfc, 11, 0}, {0xfc, 16, 0}, {0xd0, funcref}, {0xd1},
	}
	refusals := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 3))
		valid := generate(seed%100, false)
		m := new(binary)
		m.memory(1)
		m.typ([]byte{i32}, []byte{i32})
		m.global(i32, konst(3))
		m.global(i64, konst64(3))
		m.globals = append(m.globals, cat(f64, 0, float(1), 0x0b))
		m.tables = append(m.tables, cat(funcref, 0, 1))
		m.fnOf(0, []byte{i64, f64}, 0x20, 0)
		// A function that is valid in itself, most of the time.
		var code []byte
		for range r.IntN(12) {
			code = cat(code, pieces[r.IntN(len(pieces))])
		}
		results := [][]byte{nil, {i32}, {i32, i32}}[r.IntN(3)]
		for i := range results {
			code = cat(code, konst(i))
		}
		m.main([]byte{i32}, results, []byte{i64, i32, f64}, code)
		for _, wasm := range [][]byte{m.encode(), mutated(r, valid)} {
			refused := refusal(t, vm, wasm)
			for _, opts := range []meter.Options{metered, {Reloop: true, Reset: true, Guards: meter.AllGuards}, {Meter: true}} {
				again, err := meter.Rewrite(wasm, meter.Limits{}, opts)
				if err == nil {
					err = refusal(t, vm, again.WASM)
				}
				if (err == nil) != (refused == nil) {
					t.Fatalf("seed %d: the original: %v, rewritten: %v\n%x", seed, refused, err, wasm)
				}
			}
			if refused != nil {
				refusals++
			}
		}
	}
	t.Logf("%d of 6000 are refused", refusals)
}

// mutated changes a byte of the last fifth of a binary, which is code.
func mutated(r *rand.Rand, wasm []byte) []byte {
	at := len(wasm) - 1 - r.IntN(len(wasm)/5)
	wasm[at] = []byte{0x0b, 0x1a, 0x0f, nop, 0x6a, 0x20, 0x41, 0x1b, wasm[at] + 1}[r.IntN(9)]
	return wasm
}

// TestLeftOver has values be left where the pass puts blocks, returns and jumps.
func TestLeftOver(t *testing.T) {
	vm := machines(t)[1]
	for name, code := range map[string][]byte{
		"at the end of a function":         cat(0x10, 0, konst(1), konst(2)),
		"of another type":                  cat(0x10, 0, float(7), konst(2)),
		"at the end of a loop":             cat(0x03, void, konst(1), 0x0b, konst(2)),
		"at the end of a loop with result": cat(0x03, i32, konst(1), konst(2), 0x0b),
		"in a loop in a loop":              cat(0x03, void, 0x03, void, konst(1), 0x0b, 0x0b, konst(2)),
		"in a block":                       cat(0x02, void, konst(1), 0x0b, konst(2)),
		"behind a br":                      cat(0x02, void, 0x0c, 0, konst(1), 0x0b, konst(2)),
		"behind a return":                  cat(konst(2), 0x0f, konst(1), konst(2)),
		"in an if":                         cat(konst(1), 0x04, void, konst(1), 0x0b, konst(2)),
		"in an else":                       cat(konst(1), 0x04, i32, konst(1), 0x05, konst(1), konst(2), 0x0b),
		"and none":                         {},
		"and one of another type":          float(1),
		"and none of a loop":               cat(0x03, i32, 0x0b),
	} {
		m := new(binary)
		g := m.fn(nil, nil, nil)
		m.main(nil, []byte{i32}, nil, code)
		wasm := m.encode()
		if refusal(t, vm, wasm) == nil {
			t.Fatalf("%s, after function %d: wazero takes it", name, g)
		}
		for _, opts := range []meter.Options{metered, {}} {
			if again, err := meter.Rewrite(wasm, meter.Limits{}, opts); err == nil {
				t.Errorf("%s: the pass takes it, and wazero says then: %v", name, refusal(t, vm, again.WASM))
			}
		}
	}
}
