package differ

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is what the generator knows of a value. It is finer than WebAssembly's type: a float
// that arithmetic has made may be any NaN, by the specification, and neither its sign nor its
// payload must be seen. Such a value is of a loose kind. What is computed from bits that every
// engine has to keep, by loads, constants and the instructions that only move or change
// signs, is of an exact kind. An exact value may stand where a loose one is wanted; the other
// way round it takes a [canon].
type kind byte

// Kinds. The letters are those of the instructions' signatures.
const (
	none    kind = 0
	i32     kind = 'i'
	i64     kind = 'l'
	f32     kind = 'f' // exact
	f64     kind = 'd' // exact
	v128    kind = 'v' // exact
	funcref kind = 'n'
	extern  kind = 'e'

	looseF32 kind = 'F'
	looseF64 kind = 'D'
	f32x4    kind = '4' // four loose ones
	f64x2    kind = '2' // two loose ones
)

// exact returns the kind of the same type whose bits may be seen.
func (k kind) exact() kind {
	switch k {
	case looseF32:
		return f32
	case looseF64:
		return f64
	case f32x4, f64x2:
		return v128
	}
	return k
}

// takes reports whether a value of the other kind may stand where one of k is wanted.
func (k kind) takes(other kind) bool { return k == other || k.exact() == other }

// whole reports whether values are in registers for whole numbers.
func (k kind) whole() bool { return k == i32 || k == i64 }

// wasm returns the byte that stands for the type.
func (k kind) wasm() byte {
	switch k.exact() {
	case i32:
		return 0x7f
	case i64:
		return 0x7e
	case f32:
		return 0x7d
	case f64:
		return 0x7c
	case v128:
		return 0x7b
	case funcref:
		return 0x70
	case extern:
		return 0x6f
	}
	panic(fmt.Sprintf("kind %q has no type", byte(k)))
}

// form is how an instruction is written, and what it has besides operands.
type form byte

const (
	plain  form = iota
	memory      // alignment and offset
	lane        // the number of a lane
	memoryLane
	special // see encoder.special
)

// op is an instruction.
type op struct {
	name string
	code []byte
	in   []kind
	out  kind
	form form
	// bytes is how many a load or store reads or writes, lanes how many lanes there are.
	bytes, lanes int
	// traps is whether it may, and so is not to be given just anything.
	traps bool
}

// instructions are those that take operands and leave at most one value, a line each group:
// a name with a * for what follows, the first code, what goes in and comes out, and what the
// stars stand for. A - leaves a code out.
const instructions = `
i32.* 45 i:i eqz
i32.* 46 ii:i eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u
i64.* 50 l:i eqz
i64.* 51 ll:i eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u
f32.* 5b FF:i eq ne lt gt le ge
f64.* 61 DD:i eq ne lt gt le ge
i32.* 67 i:i clz ctz popcnt
i32.* 6a ii:i add sub mul div_s! div_u! rem_s! rem_u! and or xor shl shr_s shr_u rotl rotr
i64.* 79 l:l clz ctz popcnt
i64.* 7c ll:l add sub mul div_s! div_u! rem_s! rem_u! and or xor shl shr_s shr_u rotl rotr
f32.* 8b f:f abs neg
f32.* 8b F:F abs neg ceil floor trunc nearest sqrt
f32.* 92 FF:F add sub mul div min max
f32.* 98 Ff:F copysign
f32.* 98 ff:f copysign
f64.* 99 d:d abs neg
f64.* 99 D:D abs neg ceil floor trunc nearest sqrt
f64.* a0 DD:D add sub mul div min max
f64.* a6 Dd:D copysign
f64.* a6 dd:d copysign
i32.* a7 l:i wrap_i64
i32.* a8 F:i trunc_f32_s! trunc_f32_u!
i32.* aa D:i trunc_f64_s! trunc_f64_u!
i64.* ac i:l extend_i32_s extend_i32_u
i64.* ae F:l trunc_f32_s! trunc_f32_u!
i64.* b0 D:l trunc_f64_s! trunc_f64_u!
f32.* b2 i:f convert_i32_s convert_i32_u
f32.* b4 l:f convert_i64_s convert_i64_u
f32.* b6 D:F demote_f64
f64.* b7 i:d convert_i32_s convert_i32_u
f64.* b9 l:d convert_i64_s convert_i64_u
f64.* bb F:D promote_f32
i32.* bc f:i reinterpret_f32
i64.* bd d:l reinterpret_f64
f32.* be i:f reinterpret_i32
f64.* bf l:d reinterpret_i64
i32.* c0 i:i extend8_s extend16_s
i64.* c2 l:l extend8_s extend16_s extend32_s
i32.* fc0 F:i trunc_sat_f32_s trunc_sat_f32_u
i32.* fc2 D:i trunc_sat_f64_s trunc_sat_f64_u
i64.* fc4 F:l trunc_sat_f32_s trunc_sat_f32_u
i64.* fc6 D:l trunc_sat_f64_s trunc_sat_f64_u
i32.* 28 i:i load/4
i64.* 29 i:l load/8
f32.* 2a i:f load/4
f64.* 2b i:d load/8
i32.* 2c i:i load8_s/1 load8_u/1 load16_s/2 load16_u/2
i64.* 30 i:l load8_s/1 load8_u/1 load16_s/2 load16_u/2 load32_s/4 load32_u/4
i32.* 36 ii: store/4
i64.* 37 il: store/8
f32.* 38 if: store/4
f64.* 39 id: store/8
i32.* 3a ii: store8/1 store16/2
i64.* 3c il: store8/1 store16/2 store32/4
v128.* fd0 i:v load/16 load8x8_s/8 load8x8_u/8 load16x4_s/8 load16x4_u/8 load32x2_s/8 load32x2_u/8 load8_splat/1 load16_splat/2 load32_splat/4 load64_splat/8
v128.* fd11 iv: store/16
i8x16.* fd14 vv:v swizzle
i8x16.* fd15 i:v splat
i16x8.* fd16 i:v splat
i32x4.* fd17 i:v splat
i64x2.* fd18 l:v splat
f32x4.* fd19 f:v splat
f32x4.* fd19 F:4 splat
f64x2.* fd20 d:v splat
f64x2.* fd20 D:2 splat
i8x16.* fd21 v:i extract_lane_s#16 extract_lane_u#16
i8x16.* fd23 vi:v replace_lane#16
i16x8.* fd24 v:i extract_lane_s#8 extract_lane_u#8
i16x8.* fd26 vi:v replace_lane#8
i32x4.* fd27 v:i extract_lane#4
i32x4.* fd28 vi:v replace_lane#4
i64x2.* fd29 v:l extract_lane#2
i64x2.* fd30 vl:v replace_lane#2
f32x4.* fd31 v:f extract_lane#4
f32x4.* fd31 4:F extract_lane#4
f32x4.* fd32 vf:v replace_lane#4
f32x4.* fd32 4F:4 replace_lane#4
f64x2.* fd33 v:d extract_lane#2
f64x2.* fd33 2:D extract_lane#2
f64x2.* fd34 vd:v replace_lane#2
f64x2.* fd34 2D:2 replace_lane#2
i8x16.* fd35 vv:v eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u
i16x8.* fd45 vv:v eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u
i32x4.* fd55 vv:v eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u
f32x4.* fd65 44:v eq ne lt gt le ge
f64x2.* fd71 22:v eq ne lt gt le ge
v128.* fd77 v:v not
v128.* fd78 vv:v and andnot or xor
v128.* fd82 vvv:v bitselect
v128.* fd83 v:i any_true
v128.* fd84 iv:v load8_lane/1#16 load16_lane/2#8 load32_lane/4#4 load64_lane/8#2
v128.* fd88 iv: store8_lane/1#16 store16_lane/2#8 store32_lane/4#4 store64_lane/8#2
v128.* fd92 i:v load32_zero/4 load64_zero/8
f32x4.* fd94 2:4 demote_f64x2_zero
f64x2.* fd95 4:2 promote_low_f32x4
i8x16.* fd96 v:v abs neg popcnt
i8x16.* fd99 v:i all_true bitmask
i8x16.* fd101 vv:v narrow_i16x8_s narrow_i16x8_u
f32x4.* fd103 4:4 ceil floor trunc nearest
i8x16.* fd107 vi:v shl shr_s shr_u
i8x16.* fd110 vv:v add add_sat_s add_sat_u sub sub_sat_s sub_sat_u
f64x2.* fd116 2:2 ceil floor
i8x16.* fd118 vv:v min_s min_u max_s max_u
f64x2.* fd122 2:2 trunc
i8x16.* fd123 vv:v avgr_u
i16x8.* fd124 v:v extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u
i32x4.* fd126 v:v extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u
i16x8.* fd128 v:v abs neg
i16x8.* fd130 vv:v q15mulr_sat_s
i16x8.* fd131 v:i all_true bitmask
i16x8.* fd133 vv:v narrow_i32x4_s narrow_i32x4_u
i16x8.* fd135 v:v extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u
i16x8.* fd139 vi:v shl shr_s shr_u
i16x8.* fd142 vv:v add add_sat_s add_sat_u sub sub_sat_s sub_sat_u
f64x2.* fd148 2:2 nearest
i16x8.* fd149 vv:v mul min_s min_u max_s max_u - avgr_u extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u
i32x4.* fd160 v:v abs neg
i32x4.* fd163 v:i all_true bitmask
i32x4.* fd167 v:v extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u
i32x4.* fd171 vi:v shl shr_s shr_u
i32x4.* fd174 vv:v add - - sub - - - mul min_s min_u max_s max_u dot_i16x8_s - extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u
i64x2.* fd192 v:v abs neg
i64x2.* fd195 v:i all_true bitmask
i64x2.* fd199 v:v extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u
i64x2.* fd203 vi:v shl shr_s shr_u
i64x2.* fd206 vv:v add - - sub - - - mul eq ne lt_s gt_s le_s ge_s extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u
f32x4.* fd224 4:4 abs neg - sqrt
f32x4.* fd228 44:4 add sub mul div min max pmin pmax
f64x2.* fd236 2:2 abs neg - sqrt
f64x2.* fd240 22:2 add sub mul div min max pmin pmax
i32x4.* fd248 4:v trunc_sat_f32x4_s trunc_sat_f32x4_u
f32x4.* fd250 v:v convert_i32x4_s convert_i32x4_u
i32x4.* fd252 2:v trunc_sat_f64x2_s_zero trunc_sat_f64x2_u_zero
f64x2.* fd254 v:v convert_low_i32x4_s convert_low_i32x4_u
`

// parseInstructions reads the table above. A fault in it is one of the program.
func parseInstructions() []*op {
	var list []*op
	for line := range strings.Lines(instructions) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		prefix := fields[1]
		var code uint64
		var err error
		switch {
		case strings.HasPrefix(prefix, "fc"), strings.HasPrefix(prefix, "fd"):
			code, err = strconv.ParseUint(prefix[2:], 10, 8)
			prefix = prefix[:2]
		default:
			code, err = strconv.ParseUint(prefix, 16, 8)
			prefix = ""
		}
		if err != nil {
			panic(err)
		}
		in, out, _ := strings.Cut(fields[2], ":")
		for i, name := range fields[3:] {
			if name == "-" {
				continue
			}
			o := &op{in: kinds(in)}
			if out != "" {
				o.out = kind(out[0])
			}
			name, o.traps = strings.CutSuffix(name, "!")
			name, lanes, laned := strings.Cut(name, "#")
			name, bytes, accesses := strings.Cut(name, "/")
			if laned {
				o.form, o.lanes = lane, atoi(lanes)
			}
			if accesses {
				o.form, o.bytes = memory, atoi(bytes)
			}
			if laned && accesses {
				o.form = memoryLane
			}
			o.name = strings.Replace(fields[0], "*", name, 1)
			n := int(code) + i
			switch prefix {
			case "fc":
				o.code = []byte{0xfc, byte(n)}
			case "fd":
				o.code = append([]byte{0xfd}, u32(n)...)
			default:
				o.code = []byte{byte(n)}
			}
			list = append(list, o)
		}
	}
	return list
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// byOut are the instructions that leave a value of a kind, and those that trap apart.
type opTable struct {
	byOut, trapping map[kind][]*op
	stores          []*op
	lists           [][]*op // of byOut and trapping, in an order
	byName          map[string]*op
}

func newOpTable() *opTable {
	t := &opTable{byOut: make(map[kind][]*op), trapping: make(map[kind][]*op), byName: make(map[string]*op)}
	for _, o := range parseInstructions() {
		t.byName[o.name+" "+letters(o.in)] = o
		switch {
		case o.out == none:
			t.stores = append(t.stores, o)
		case o.traps:
			t.trapping[o.out] = append(t.trapping[o.out], o)
		default:
			t.byOut[o.out] = append(t.byOut[o.out], o)
		}
	}
	for _, k := range kinds("ilfdvFD42") {
		t.lists = append(t.lists, t.byOut[k])
		if len(t.trapping[k]) > 0 {
			t.lists = append(t.lists, t.trapping[k])
		}
	}
	return t
}

func kinds(letters string) []kind {
	list := make([]kind, len(letters))
	for i := range letters {
		list[i] = kind(letters[i])
	}
	return list
}

func letters(list []kind) string {
	b := make([]byte, len(list))
	for i, k := range list {
		b[i] = byte(k)
	}
	return string(b)
}
