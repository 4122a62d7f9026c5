package meter_test

import (
	endian "encoding/binary"
	"math"
)

// The encoder writes modules byte by byte, since what is tested is what becomes of
// bytes, wrong ones among them.

// Types of values and of blocks.
const (
	i32       = 0x7f
	i64       = 0x7e
	f32       = 0x7d
	f64       = 0x7c
	v128      = 0x7b
	funcref   = 0x70
	externref = 0x6f
	void      = 0x40
)

// Sections.
const (
	secType = iota + 1
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
)

// binary is a module in parts: the items of its sections.
type binary struct {
	types, imports, funcs, tables, memories, globals, exports, elements, codes, datas [][]byte

	start, dataCount, names []byte
	debug                   bool // it has a section of DWARF
}

// u32 is an unsigned LEB128 number.
func u32(v int) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// sleb is a signed LEB128 number.
func sleb(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// cat joins bytes, which are ints, and what is made of them.
func cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case byte:
			b = append(b, p)
		case []byte:
			b = append(b, p...)
		default:
			panic(p)
		}
	}
	return b
}

// repeat is code n times.
func repeat(n int, parts ...any) []byte {
	one := cat(parts...)
	var b []byte
	for range n {
		b = append(b, one...)
	}
	return b
}

func str(s string) []byte        { return append(u32(len(s)), s...) }
func vec(items ...[]byte) []byte { return counted(len(items), items) }
func konst(v int) []byte         { return append([]byte{0x41}, sleb(int64(int32(v)))...) }
func konst64(v int64) []byte     { return append([]byte{0x42}, sleb(v)...) }
func float(v float64) []byte {
	return endian.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(v))
}
func sized(b []byte) []byte { return append(u32(len(b)), b...) }
func signature(params, results []byte) []byte {
	return cat(0x60, sized(params), sized(results))
}

func counted(n int, items [][]byte) []byte {
	b := u32(n)
	for _, item := range items {
		b = append(b, item...)
	}
	return b
}

func section(id int, content []byte) []byte { return cat(id, sized(content)) }

// typ adds a type, and returns its index.
func (m *binary) typ(params, results []byte) int {
	m.types = append(m.types, signature(params, results))
	return len(m.types) - 1
}

// imported adds the import of a function. It has to come before any fn.
func (m *binary) imported(module, name string, params, results []byte) int {
	m.imports = append(m.imports, cat(str(module), str(name), 0, u32(m.typ(params, results))))
	return len(m.imports) - 1
}

// fn adds a function, without the end of its body, and returns its index.
func (m *binary) fn(params, results, locals []byte, body ...any) int {
	return m.fnOf(m.typ(params, results), locals, body...)
}

func (m *binary) fnOf(typ int, locals []byte, body ...any) int {
	m.funcs = append(m.funcs, u32(typ))
	groups := make([][]byte, 0, len(locals))
	for _, t := range locals {
		groups = append(groups, []byte{1, t})
	}
	m.codes = append(m.codes, sized(cat(vec(groups...), cat(body...), 0x0b)))
	return len(m.imports) + len(m.funcs) - 1
}

// main adds a function and exports it as "f".
func (m *binary) main(params, results, locals []byte, body ...any) {
	m.export("f", 0, m.fn(params, results, locals, body...))
}

func (m *binary) export(name string, kind, index int) {
	m.exports = append(m.exports, cat(str(name), kind, u32(index)))
}

// memory adds a memory and exports it.
func (m *binary) memory(pages int) {
	m.memories = append(m.memories, cat(0, u32(pages)))
	m.export("memory", 2, 0)
}

// global adds a variable and exports it.
func (m *binary) global(typ byte, init []byte) int {
	m.globals = append(m.globals, cat(typ, 1, init, 0x0b))
	i := len(m.globals) - 1
	m.export("g"+string(rune('0'+i)), 3, i)
	return i
}

func (m *binary) encode() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []struct {
		id    int
		items [][]byte
	}{
		{secType, m.types},
		{secImport, m.imports},
		{secFunction, m.funcs},
		{secTable, m.tables},
		{secMemory, m.memories},
		{secGlobal, m.globals},
		{secExport, m.exports},
		{secStart, [][]byte{m.start}},
		{secElement, m.elements},
		{secDataCount, [][]byte{m.dataCount}},
		{secCode, m.codes},
		{secData, m.datas},
	} {
		switch {
		case s.id == secStart || s.id == secDataCount:
			if s.items[0] != nil {
				b = append(b, section(s.id, s.items[0])...)
			}
		case len(s.items) > 0:
			b = append(b, section(s.id, vec(s.items...))...)
		}
	}
	if m.names != nil {
		b = append(b, section(0, cat(str("name"), m.names))...)
	}
	if m.debug {
		b = append(b, section(0, str(".debug_info"))...)
	}
	return b
}
