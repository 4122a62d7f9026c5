package meter_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// TestGrowth has code of little else than what becomes much longer: it is refused before it is
// much longer, and what cannot be reached does not become longer.
func TestGrowth(t *testing.T) {
	const n = 120_000
	guarded := meter.Options{Meter: true, Depth: 1000, Guards: meter.AllGuards}
	for name, code := range map[string][]byte{
		"f64.copysign":     cat(float(0), repeat(n, 0x20, 0, 0xa6), 0x1a),
		"i64.rem_s":        cat(konst64(0), repeat(n, konst64(1), 0x81), 0x1a),
		"v128.bitselect":   cat(repeat(n, 0x20, 1, 0x20, 1, 0x20, 1, 0xfd, 82, 0x1a)),
		"memory.grow":      cat(konst(0), repeat(n, 0x40, 0), 0x1a),
		"f64x2.replace":    cat(0x20, 1, repeat(n, 0x20, 0, 0xfd, 34, 0), 0x1a),
		"i32.narrow":       cat(0x20, 1, repeat(n, 0x20, 1, 0xfd, 101), 0x1a),
		"i32.lt_s":         cat(konst(0), konst(0), 0x71, repeat(n, konst(0), 0x48), 0x1a),
		"select of floats": cat(float(0), repeat(n, 0x20, 0, konst(0), 0x1b), 0x1a),
	} {
		m := new(binary)
		m.memory(1)
		for range 3 {
			m.fn(nil, nil, []byte{f64, v128}, code)
		}
		wasm := m.encode()
		most := 5*len(wasm) + 1<<20
		again, err := meter.Rewrite(wasm, meter.Limits{}, guarded)
		if limit := (*meter.LimitError)(nil); errors.As(err, &limit) {
			if got := int(limit.Got); got > most+1 || !limit.Least || !strings.Contains(err.Error(), " bytes of code when it is metered and guarded, the limit is ") || !strings.HasSuffix(err.Error(), ": no compiler is known to make such code, so report the plugin if one did") {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil || len(again.WASM) > most+1<<10 {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Logf("%s: %d bytes become %d", name, len(wasm), len(again.WASM))
		}
		if (name == "f64.copysign" || name == "i64.rem_s" || name == "memory.grow") && err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
	dead := new(binary)
	dead.memory(1)
	dead.fn(nil, nil, []byte{f64, v128}, 0x00, repeat(n,
		0xa6, 0x1a, 0x81, 0x1a, 0xfd, 82, 0x1a, 0xfd, 34, 0, 0x1a, 0xfd, 101, 0x1a, float(0), konst(0), 0x1b, 0x1a))
	wasm := dead.encode()
	if again, err := meter.Rewrite(wasm, meter.Limits{}, meter.Options{Guards: meter.AllGuards}); err != nil {
		t.Error(err)
	} else if added := len(again.WASM) - len(wasm); added > 100 {
		t.Errorf("%d bytes of what cannot be reached become %d more", len(wasm), added)
	}
	// Another limit is told of, if both are exceeded.
	m := new(binary)
	m.memory(1)
	m.fn(nil, nil, []byte{f64}, repeat(30_001, 0x02, void, 0x0b), float(0), repeat(n, 0x20, 0, 0xa6), 0x1a)
	_, err := meter.Rewrite(m.encode(), meter.Limits{}, guarded)
	if limit := (*meter.LimitError)(nil); !errors.As(err, &limit) || limit.Setting != "MaxJumps" || !limit.Least {
		t.Error(err)
	}
}

// TestLabels has br_tables that together have more labels than a function may have jumps: their
// types are not all looked at.
func TestLabels(t *testing.T) {
	table := cat(konst(0), 0x0e, u32(29_990), repeat(29_991, 0))
	raw := cat(0, repeat(7, 0x02, void, table, 0x0b), 0x0b)
	if n := meter.Labels(raw); n != 30_001 {
		t.Errorf("%d labels", n)
	}
	m := new(binary)
	m.fn(nil, nil, nil, raw[1:len(raw)-1])
	want := "function 0 has 209951 jumps, the limit is 30000"
	if _, err := meter.Rewrite(m.encode(), meter.Limits{}, metered); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestUnknownOperands has code that cannot be reached take what is partly there: the compiler and
// the pass are of one mind.
func TestUnknownOperands(t *testing.T) {
	all := machines(t)
	for name, c := range map[string]struct {
		code []byte
		want string // "" if it is valid
	}{
		"nothing":                 {cat(0x00, 0x10, 0), ""},
		"the last":                {cat(0x00, konst64(0), 0x10, 0), ""},
		"the last two":            {cat(0x00, float(0), konst64(0), 0x10, 0), ""},
		"all":                     {cat(0x00, konst(0), float(0), konst64(0), 0x10, 0), ""},
		"an unknown one and more": {cat(0x00, 0x1b, float(0), konst64(0), 0x10, 0), ""},
		"an unknown one":          {cat(0x00, 0x1b, 0x10, 0), ""},
		"too many":                {cat(0x00, konst(0), konst(0), float(0), konst64(0), 0x10, 0), "values left over at the end of a block: 1"},
		"a wrong one":             {cat(0x00, float(0), 0x10, 0), "a value of type f64, where i64 is wanted"},
		"a wrong one before it":   {cat(0x00, konst(0), konst64(0), 0x10, 0), "a value of type i32, where f64 is wanted"},
		"unknown and a wrong one": {cat(0x00, 0x1b, konst(0), konst64(0), 0x10, 0), "a value of type i32, where f64 is wanted"},
		"missing":                 {cat(float(0), konst64(0), 0x10, 0), "a value is missing, of type i32"},
		"missing and wrong":       {cat(konst(0), konst64(0), 0x10, 0), "a value of type i32, where f64 is wanted"},
		"of the block around it":  {cat(konst(0), 0x02, void, float(0), konst64(0), 0x10, 0, 0x0b, 0x1a), "a value is missing, of type i32"},
		"a table's":               {cat(0x02, 2, 0x00, 0x1b, konst64(0), konst(0), 0x0e, 1, 0, 0, 0x0b, 0x10, 0), ""},
		"a table's wrong one":     {cat(0x02, 2, 0x00, konst(0), konst(0), 0x0e, 1, 0, 0, 0x0b, 0x10, 0), "a value of type i32, where i64 is wanted"},
	} {
		m := new(binary)
		typ := m.typ([]byte{i32, f64, i64}, nil)
		m.fnOf(typ, nil)
		main := m.typ(nil, nil)
		m.typ(nil, []byte{i32, f64, i64})
		m.fnOf(main, nil, c.code)
		_, err := meter.Rewrite(m.encode(), meter.Limits{}, metered)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		for _, vm := range all {
			if err := vm.compiles(t, m.encode()); (err == nil) != (c.want == "") {
				t.Errorf("%s: %s: %v", name, vm.name, err)
			}
		}
	}
}

// TestBrokenNames has a name section that breaks at its first name, and says that there are many:
// what is in error is told of without looking for all.
func TestBrokenNames(t *testing.T) {
	const n = 1 << 20
	m := new(binary)
	m.fn(nil, nil, nil, 0x1a) // a drop of nothing
	m.names = section(1, cat(u32(n), 0, u32(1<<32-1), repeat(n, 0)))
	wasm := m.encode()
	before, after := new(runtime.MemStats), new(runtime.MemStats)
	runtime.ReadMemStats(before)
	_, err := meter.Rewrite(wasm, meter.Limits{}, metered)
	runtime.ReadMemStats(after)
	if err == nil || !strings.Contains(err.Error(), "function 0, byte") {
		t.Error(err)
	}
	if made := after.Mallocs - before.Mallocs; made > 1000 {
		t.Errorf("%d allocations", made)
	}
}
