package meter_test

import (
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// TestHiddenCode has encodings which a parser that is not exactly wazero's reads as
// other instructions than wazero does. What it took for an immediate would run
// without being paid for: an endless loop here.
func TestHiddenCode(t *testing.T) {
	spin := cat(0x03, void, 0x0c, 0, 0x0b)
	for name, body := range map[string][]byte{
		// wazero: block; unreachable, v128.shr_s, unreachable, end, loop, br 0, end, 8 nops
		"a vector constant with an opcode too long": cat(
			0x02, void, 0x41, 1, 0x0d, 0, 0x00, 0xfd, 0x8c, 0x00, 0x1a, 0x0b, spin, 0x02, void, repeat(7, 0x01), 0x0b,
		),
		// wazero: select (ref null 40), loop, br 0, end
		"a select of a typed reference": cat(
			0x02, void, 0x41, 1, 0x0d, 0, 0x00, 0x1c, 1, 0x63, 40, spin, 0x0b, 0x0b,
		),
		"a block of a typed reference": cat(
			0x02, void, 0x41, 1, 0x0d, 0, 0x00, 0x02, 0x63, 40, spin, 0x00, 0x0b, 0x1a, 0x0b,
		),
		"a block of a typed reference that is not null": cat(
			0x02, void, 0x41, 1, 0x0d, 0, 0x00, 0x02, 0x64, 40, spin, 0x00, 0x0b, 0x1a, 0x0b,
		),
		"a null of a type by its number":      cat(0xd0, 40, 0x1a),
		"a vector instruction of three bytes": cat(0xfd, 0x8c, 0x80, 0x00),
		"a vector instruction too long":       cat(0xfd, 0x80, 0x00),
		"a select of no type":                 cat(0x00, 0x1c, 0),
		"a select of two types":               cat(0x00, 0x1c, 2, i32, i32),
		"a select with a long count":          cat(0x00, 0x1c, 0x81, 0, i32),
	} {
		m := new(binary)
		for range 41 {
			m.typ(nil, nil)
		}
		m.memory(1)
		m.main(nil, nil, nil, body)
		if again, err := meter.Rewrite(m.encode(), meter.Limits{}, metered); err == nil {
			for _, vm := range machines(t) {
				if vm.compiles(t, again.WASM) == nil {
					t.Errorf("%s: %s compiles it", name, vm.name)
				}
			}
			t.Errorf("%s is accepted", name)
		}
	}
	for name, change := range map[string]func(*binary){
		"a parameter": func(m *binary) { m.typ([]byte{0x63, 0x70}, nil) },
		"a variable": func(m *binary) {
			m.funcs = append(m.funcs, u32(0))
			m.codes = append(m.codes, sized(cat(1, 1, 0x63, 40, 0x0b)))
		},
		"a global": func(m *binary) { m.globals = append(m.globals, cat(0x63, 0x70, 0xd0, 0x70, 0x0b)) },
		"elements": func(m *binary) { m.elements = append(m.elements, cat(5, 0x63, 0x70, 0)) },
		"a table":  func(m *binary) { m.tables = append(m.tables, cat(0x63, 0x70, 0, 0)) },
	} {
		m := new(binary)
		for range 41 {
			m.typ(nil, nil)
		}
		m.main(nil, nil, nil)
		change(m)
		if _, err := meter.Rewrite(m.encode(), meter.Limits{}, metered); err == nil {
			t.Errorf("%s of a typed reference: accepted", name)
		}
	}
}
