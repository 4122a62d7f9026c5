package meter_test

import (
	"bytes"
	"math"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/cpu"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

func vectorOp(sub int, lane ...byte) []byte {
	return cat(0xfd, u32(sub), lane)
}

var vv, v1 = []byte{v128, v128}, []byte{v128}

func guardedOps() []operation {
	return []operation{
		{"f32.select", []byte{f32, f32, i32}, f32, []byte{0x1b}},
		{"f64.select", []byte{f64, f64, i32}, f64, []byte{0x1b}},
		{"v128.select", []byte{v128, v128, i32}, v128, []byte{0x1b}},
		{"f32.convert_i64_u", []byte{i64}, f32, []byte{0xb5}},
		{"f64.convert_i64_u", []byte{i64}, f64, []byte{0xba}},
		{"f32.copysign", []byte{f32, f32}, f32, []byte{0x98}},
		{"f64.copysign", []byte{f64, f64}, f64, []byte{0xa6}},
		{"i32.clz", []byte{i32}, i32, []byte{0x67}},
		{"i32.ctz", []byte{i32}, i32, []byte{0x68}},
		{"i64.clz", []byte{i64}, i64, []byte{0x79}},
		{"i64.ctz", []byte{i64}, i64, []byte{0x7a}},
		{"f64x2.replace_lane 0", []byte{v128, f64}, v128, vectorOp(34, 0)},
		{"f64x2.replace_lane 1", []byte{v128, f64}, v128, vectorOp(34, 1)},
		{"f32x4.replace_lane 0", []byte{v128, f32}, v128, vectorOp(32, 0)},
		{"f32x4.replace_lane 3", []byte{v128, f32}, v128, vectorOp(32, 3)},
		{"v128.bitselect", []byte{v128, v128, v128}, v128, vectorOp(82)},
		{"i8x16.popcnt", v1, v128, vectorOp(98)},
		{"i64x2.mul", vv, v128, vectorOp(213)},
		{"f32x4.min", vv, v128, vectorOp(232)},
		{"f32x4.max", vv, v128, vectorOp(233)},
		{"f64x2.min", vv, v128, vectorOp(244)},
		{"f64x2.max", vv, v128, vectorOp(245)},
		{"f32x4.convert_i32x4_u", v1, v128, vectorOp(251)},
		{"f64x2.convert_low_i32x4_u", v1, v128, vectorOp(255)},
		{"i8x16.narrow_i16x8_s", vv, v128, vectorOp(101)},
		{"i8x16.narrow_i16x8_u", vv, v128, vectorOp(102)},
		{"i16x8.narrow_i32x4_s", vv, v128, vectorOp(133)},
		{"i16x8.narrow_i32x4_u", vv, v128, vectorOp(134)},
		{"i32x4.dot_i16x8_s", vv, v128, vectorOp(186)},
		{"i64x2.bitmask", v1, i32, vectorOp(196)},
		{"i32.rem_u", []byte{i32, i32}, i32, cat(konst(1), 0x72, 0x70)},
		{"i32.rem_s", []byte{i32, i32}, i32, cat(konst(1), 0x72, 0x6f)},
		{"i64.rem_u", []byte{i64, i64}, i64, cat(konst64(1), 0x84, 0x82)},
		{"i64.rem_s", []byte{i64, i64}, i64, cat(konst64(1), 0x84, 0x81)},
	}
}

// shapes write functions of an operation, by name.
var shapes = map[string]func(seed uint64, op operation) []byte{"pressed": pressed, "looped": looped}

// TestGuardsKeepMeaning has guarded instructions do what they did.
func TestGuardsKeepMeaning(t *testing.T) {
	all := machines(t)
	for _, op := range guardedOps() {
		for shape, write := range shapes {
			for seed := range uint64(3) {
				wasm := write(seed, op)
				want := all[1].leaves(t, wasm, seed)
				for _, opts := range []meter.Options{metered, {Guards: meter.AllGuards}} {
					again, err := meter.Rewrite(wasm, meter.Limits{}, opts)
					if err != nil {
						t.Fatalf("%s: %v", op.name, err)
					}
					for _, m := range all {
						if !bytes.Equal(m.leaves(t, again.WASM, seed), want) {
							t.Errorf("%s, %s, seed %d, %s: another result", op.name, shape, seed, m.name)
						}
					}
				}
			}
		}
	}
}

// TestGuardsAreNeeded has the compiler get programs wrong without their guard, and right with it.
// Those of conversions are guests of package module's tests.
func TestGuardsAreNeeded(t *testing.T) {
	all := machines(t)
	for _, c := range []struct {
		arch  string
		guard meter.Guards
		op    string
		shape string
		seed  uint64
	}{
		{"amd64", meter.GuardCopySign, "f64.copysign", "pressed", 25},
		{"amd64", meter.GuardCopySign, "f32.copysign", "looped", 44},
		{"amd64", meter.GuardSelect, "f32.select", "looped", 77},
		{"amd64", meter.GuardSelect, "f64.select", "looped", 77},
		{"amd64", meter.GuardSelect, "v128.select", "looped", 77},
		{"amd64", meter.GuardVector, "f64x2.replace_lane 0", "pressed", 14},
		{"amd64", meter.GuardVector, "v128.bitselect", "pressed", 33},
		{"amd64", meter.GuardVector, "f64x2.convert_low_i32x4_u", "pressed", 467},
		{"amd64", meter.GuardVector, "f32x4.convert_i32x4_u", "looped", 1478},
		{"amd64", meter.GuardVector, "i8x16.popcnt", "looped", 1},
		{"amd64", meter.GuardVector, "i64x2.mul", "looped", 3},
		{"amd64", meter.GuardVector, "f32x4.min", "looped", 0},
		{"amd64", meter.GuardVector, "f32x4.max", "looped", 63},
		{"amd64", meter.GuardVector, "f64x2.min", "looped", 0},
		{"amd64", meter.GuardVector, "f64x2.max", "looped", 63},
		{"amd64", meter.GuardBitCount, "i32.clz", "looped", 106},
		{"amd64", meter.GuardBitCount, "i32.ctz", "looped", 106},
		{"amd64", meter.GuardBitCount, "i64.clz", "looped", 106},
		{"amd64", meter.GuardBitCount, "i64.ctz", "looped", 106},
		{"arm64", meter.GuardLanes, "f64x2.replace_lane 0", "pressed", 22},
		{"arm64", meter.GuardLanes, "f32x4.replace_lane 3", "pressed", 77},
		{"arm64", meter.GuardLanes, "i8x16.narrow_i16x8_s", "pressed", 46},
		{"arm64", meter.GuardLanes, "i16x8.narrow_i32x4_u", "pressed", 46},
		{"arm64", meter.GuardLanes, "i32x4.dot_i16x8_s", "looped", 106},
		{"arm64", meter.GuardLanes, "i64x2.bitmask", "looped", 24},
		{"arm64", meter.GuardRemainder, "i32.rem_u", "pressed", 25},
	} {
		if c.arch != runtime.GOARCH {
			continue
		}
		ops := guardedOps()
		at := slices.IndexFunc(ops, func(op operation) bool { return op.name == c.op })
		wasm := shapes[c.shape](c.seed, ops[at])
		want := all[1].leaves(t, wasm, c.seed)
		// Processors with BMI1 have instructions for both. An emulator can be one without, see docs/rationale/engine.md.
		needed := c.guard != meter.GuardBitCount || !cpu.X86.HasBMI1
		if needed && bytes.Equal(all[0].leaves(t, wasm, c.seed), want) {
			t.Errorf("guard %v is no longer needed with this wazero for %s: remove it", c.guard, c.op)
		}
		for _, opts := range []meter.Options{
			{Guards: c.guard}, {Guards: meter.GuardsFor(c.arch)}, {Guards: meter.GuardsFor(c.arch), Meter: true, Depth: 1000, Reloop: true, Reset: true},
		} {
			again, err := meter.Rewrite(wasm, meter.Limits{}, opts)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(all[0].leaves(t, again.WASM, c.seed), want) {
				t.Errorf("%s, with %+v: another result than the interpreter's", c.op, opts)
			}
		}
	}
}

// TestGuardsFor has each architecture have guards, and each guard a name.
func TestGuardsFor(t *testing.T) {
	if amd64, arm64 := meter.GuardsFor("amd64"), meter.GuardsFor("arm64"); amd64|arm64 != meter.AllGuards || amd64&arm64 != meter.GuardCompare {
		t.Errorf("amd64 %v, arm64 %v, all %v", amd64, arm64, meter.AllGuards)
	}
	if g := meter.GuardsFor("riscv64"); g != 0 {
		t.Errorf("riscv64, where guests are interpreted: %v", g)
	}
	if text := (meter.AllGuards + meter.AllGuards + 1).String(); text != "select,convert,copysign,vector,bit-count,compare,remainder,lanes,0x100" {
		t.Error(text)
	}
}

// TestCopySign has the masks of a guarded copysign be of the sign alone.
func TestCopySign(t *testing.T) {
	all := machines(t)
	numbers := []float64{0.5, 3, 0, 1e-300, math.Inf(1), math.NaN()}
	for _, x := range numbers {
		for _, y := range numbers {
			m := new(binary)
			demoted := func(v float64) []byte { return cat(float(v), 0xb6) }
			m.main(nil, []byte{f64, f32}, nil, float(x), float(-y), 0xa6, demoted(x), demoted(-y), 0x98)
			compare(t, all, m.encode())
		}
	}
}
