package meter

import "fmt"

// UnsupportedError is a binary that uses a part of WebAssembly that the host does not run. The
// host runs WebAssembly 2.0.
type UnsupportedError struct {
	// Feature is the part, Means that by which the binary uses it, such as an instruction.
	Feature, Means string
	// Reason is why the host does not run it, and Cure how to build without it.
	Reason, Cure string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("uses %s (%s), which %s: %s", e.Feature, e.Means, e.Reason, e.Cure)
}

// Why parts of WebAssembly are not run. An experiment of wazero's may change or go with any
// version, and has had less of testing than what guests are to be trusted to.
const (
	experiment = "wazero 1.12 runs only as an experiment"
	missing    = "wazero 1.12 does not have"
)

// feature is a part of WebAssembly beyond 2.0.
type feature struct{ name, reason, cure string }

var (
	tailCalls = feature{
		"tail calls", experiment,
		"compile with clang's -mno-tail-call or rustc's -C target-feature=-tail-call",
	}
	exceptions = feature{
		"exceptions", experiment,
		"compile with clang's -fno-exceptions and without setjmp, with Emscripten's -fno-wasm-exceptions, or with rustc's -C panic=abort",
	}
	oldExceptions = feature{
		"exceptions in their old form", missing,
		exceptions.cure,
	}
	threads = feature{
		"threads", experiment,
		"compile without -pthread and -matomics, for Rust's target wasm32-wasip1 and not wasm32-wasip1-threads, or with AssemblyScript's --disable threads",
	}
	memory64 = feature{
		"64-bit memory", missing,
		"compile for wasm32 and not wasm64, with Emscripten without -sMEMORY64",
	}
	extendedConstants = feature{
		"extended constants", experiment,
		"compile with clang's -mno-extended-const or rustc's -C target-feature=-extended-const, and link statically, without -shared and -pie",
	}
	relaxedSIMD = feature{
		"relaxed SIMD", missing,
		"compile with clang's -mno-relaxed-simd, rustc's -C target-feature=-relaxed-simd or AssemblyScript's --disable relaxed-simd; other SIMD is fine",
	}
	garbageCollection = feature{
		"garbage-collected types", missing,
		"Kotlin, Dart, Java and other languages of that kind always compile to them, so write the plugin in another language",
	}
	typedReferences = feature{
		"typed references", experiment,
		"compile with clang's -mno-gc, and run wasm-opt without --enable-gc and --all-features",
	}
	multiMemory = feature{
		"several memories", missing,
		"build with one memory, which wasm-opt's --multi-memory-lowering makes of several",
	}
	pageSizes = feature{
		"custom page sizes", missing,
		"link without --page-size",
	}
	wideArithmetic = feature{
		"wide arithmetic", missing,
		"compile with clang's -mno-wide-arithmetic or rustc's -C target-feature=-wide-arithmetic",
	}
	halfPrecision = feature{
		"half-precision floats", missing,
		"compile with clang's -mno-fp16 or rustc's -C target-feature=-fp16",
	}
	stackSwitching = feature{
		"stack switching", missing,
		"compile without it; Emscripten's -sASYNCIFY does the same in plain WebAssembly",
	}
	stringReferences = feature{
		"string references", missing,
		"compile with AssemblyScript's --disable stringref",
	}
	memoryControl = feature{
		"memory control", missing,
		"compile without memory.discard",
	}
)

// unsupported fails with an [UnsupportedError].
func (r *reader) unsupported(f feature, means string) {
	r.fail(&UnsupportedError{Feature: f.name, Means: means, Reason: f.reason, Cure: f.cure})
}

// unknownSection fails for a section of another number than those of WebAssembly 2.0.
func (r *reader) unknownSection(id byte) {
	switch id {
	case 13:
		r.unsupported(exceptions, "a tag section")
	case 14:
		r.unsupported(stringReferences, "a strings section")
	default:
		r.failf("there is no section %d", id)
	}
}

// unknownForm fails for what begins a type and is no function's form.
func (r *reader) unknownForm(form byte) {
	switch form {
	case 0x5f:
		r.unsupported(garbageCollection, "a struct type")
	case 0x5e:
		r.unsupported(garbageCollection, "an array type")
	case 0x50, 0x4f:
		r.unsupported(garbageCollection, "a sub type")
	case 0x4e:
		r.unsupported(garbageCollection, "a group of recursive types")
	case 0x4d, 0x4c:
		r.unsupported(garbageCollection, "a type with a descriptor")
	case 0x5d:
		r.unsupported(stackSwitching, "a continuation type")
	case 0x65:
		r.unsupported(threads, "a shared type")
	default:
		r.failf("a type of the unknown form 0x%x", form)
	}
}

// unknownType fails for what is no type of a value.
func (r *reader) unknownType(t byte) {
	switch t {
	case 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73:
		r.unsupported(garbageCollection, "the type "+map[byte]string{
			0x6a: "arrayref", 0x6b: "structref", 0x6c: "i31ref", 0x6d: "eqref", 0x6e: "anyref",
			0x71: "nullref", 0x72: "nullexternref", 0x73: "nullfuncref",
		}[t])
	case 0x63:
		r.unsupported(typedReferences, "a type (ref null …)")
	case 0x64:
		r.unsupported(typedReferences, "a type (ref …)")
	case 0x69:
		r.unsupported(exceptions, "the type exnref")
	case 0x74:
		r.unsupported(exceptions, "the type nullexnref")
	case 0x68:
		r.unsupported(stackSwitching, "the type contref")
	case 0x75:
		r.unsupported(stackSwitching, "the type nullcontref")
	case 0x67:
		r.unsupported(stringReferences, "the type stringref")
	case 0x65:
		r.unsupported(threads, "a shared type")
	default:
		r.failf("the unknown type 0x%x", t)
	}
}

// unknownHeapType fails for what a reference can be to, where the instruction names that.
func (r *reader) unknownHeapType(t byte) {
	if t < 0x40 || t >= 0x80 {
		r.unsupported(typedReferences, "a null of a type by its index")
		return
	}
	r.unknownType(t)
}

// limitFlags fails if the flags of a memory's or table's limits are others than 0 and 1, which
// say whether there is a maximum.
func (r *reader) limitFlags(what string, flags byte) {
	switch {
	case flags <= 1:
	case flags < 16 && flags&8 != 0:
		r.unsupported(pageSizes, what+" with a page size of its own")
	case flags < 8 && flags&4 != 0:
		r.unsupported(memory64, what+" of 64-bit addresses")
	case flags < 4:
		r.unsupported(threads, what+" that is shared")
	default:
		r.failf("%s with the unknown limits 0x%x", what, flags)
	}
}

// unknownConstant fails for an instruction that stands in no constant expression.
func (r *reader) unknownConstant(op byte) {
	switch op {
	case opI32Add:
		r.unsupported(extendedConstants, "i32.add")
	case opI32Sub:
		r.unsupported(extendedConstants, "i32.sub")
	case opI32Sub + 1:
		r.unsupported(extendedConstants, "i32.mul")
	case opI64Add:
		r.unsupported(extendedConstants, "i64.add")
	case opI64Sub:
		r.unsupported(extendedConstants, "i64.sub")
	case opI64Sub + 1:
		r.unsupported(extendedConstants, "i64.mul")
	case opGC:
		r.unknownGC()
	default:
		r.failf("a constant expression with the instruction 0x%x", op)
	}
}

// Prefixes of instructions beyond WebAssembly 2.0.
const (
	opGC     = 0xfb
	opAtomic = 0xfe
)

// unknownOp fails for an instruction of one byte, or behind a prefix, that is not known.
func (r *reader) unknownOp(op byte) {
	switch op {
	case 0x06:
		r.unsupported(oldExceptions, "try")
	case 0x07:
		r.unsupported(oldExceptions, "catch")
	case 0x08:
		r.unsupported(exceptions, "throw")
	case 0x09:
		r.unsupported(oldExceptions, "rethrow")
	case 0x0a:
		r.unsupported(exceptions, "throw_ref")
	case 0x18:
		r.unsupported(oldExceptions, "delegate")
	case 0x19:
		r.unsupported(oldExceptions, "catch_all")
	case 0x1f:
		r.unsupported(exceptions, "try_table")
	case 0x12:
		r.unsupported(tailCalls, "return_call")
	case 0x13:
		r.unsupported(tailCalls, "return_call_indirect")
	case 0x14:
		r.unsupported(typedReferences, "call_ref")
	case 0x15:
		r.unsupported(tailCalls, "return_call_ref")
	case 0xd3:
		r.unsupported(garbageCollection, "ref.eq")
	case 0xd4:
		r.unsupported(typedReferences, "ref.as_non_null")
	case 0xd5:
		r.unsupported(typedReferences, "br_on_null")
	case 0xd6:
		r.unsupported(typedReferences, "br_on_non_null")
	case 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6:
		r.unsupported(stackSwitching, [...]string{
			"cont.new", "cont.bind", "suspend", "resume", "resume_throw", "resume_throw_ref", "switch",
		}[op-0xe0])
	case opGC:
		r.pos++
		r.unknownGC()
	case opAtomic:
		r.unsupported(threads, "an atomic instruction")
	default:
		r.failf("there is no instruction 0x%x", op)
	}
}

// gcOps are the instructions behind the prefix 0xfb.
var gcOps = [...]string{
	"struct.new", "struct.new_default", "struct.get", "struct.get_s", "struct.get_u", "struct.set",
	"array.new", "array.new_default", "array.new_fixed", "array.new_data", "array.new_elem",
	"array.get", "array.get_s", "array.get_u", "array.set", "array.len", "array.fill", "array.copy", "array.init_data", "array.init_elem",
	"ref.test", "ref.test null", "ref.cast", "ref.cast null", "br_on_cast", "br_on_cast_fail",
	"any.convert_extern", "extern.convert_any", "ref.i31", "i31.get_s", "i31.get_u",
}

// unknownGC fails for what is behind the prefix 0xfb.
func (r *reader) unknownGC() {
	switch sub := r.peek(0); {
	case int(sub) < len(gcOps):
		r.unsupported(garbageCollection, gcOps[sub])
	case sub >= 0x80:
		r.unsupported(stringReferences, "an instruction on strings")
	default:
		r.unsupported(garbageCollection, fmt.Sprintf("the instruction 0xfb %d", sub))
	}
}

// unknownBulk fails for what is behind the prefix 0xfc.
func (r *reader) unknownBulk(sub uint32) {
	switch sub {
	case 18:
		r.unsupported(memoryControl, "memory.discard")
	case 19, 20, 21, 22:
		r.unsupported(wideArithmetic, [...]string{"i64.add128", "i64.sub128", "i64.mul_wide_s", "i64.mul_wide_u"}[sub-19])
	case 0x30:
		r.unsupported(halfPrecision, "f32.load_f16")
	case 0x31:
		r.unsupported(halfPrecision, "f32.store_f16")
	default:
		r.failf("there is no instruction 0xfc %d", sub)
	}
}

// relaxedOps are vector instructions from 0x100 on.
var relaxedOps = [...]string{
	"i8x16.relaxed_swizzle", "i32x4.relaxed_trunc_f32x4_s", "i32x4.relaxed_trunc_f32x4_u",
	"i32x4.relaxed_trunc_f64x2_s_zero", "i32x4.relaxed_trunc_f64x2_u_zero",
	"f32x4.relaxed_madd", "f32x4.relaxed_nmadd", "f64x2.relaxed_madd", "f64x2.relaxed_nmadd",
	"i8x16.relaxed_laneselect", "i16x8.relaxed_laneselect", "i32x4.relaxed_laneselect", "i64x2.relaxed_laneselect",
	"f32x4.relaxed_min", "f32x4.relaxed_max", "f64x2.relaxed_min", "f64x2.relaxed_max",
	"i16x8.relaxed_q15mulr_s", "i16x8.relaxed_dot_i8x16_i7x16_s", "i32x4.relaxed_dot_i8x16_i7x16_add_s",
}

// unknownVector fails for a vector instruction of the two bytes low and high.
func (r *reader) unknownVector(low, high byte) {
	switch n := int(low & 0x7f); {
	case high == 2 && n < len(relaxedOps):
		r.unsupported(relaxedSIMD, relaxedOps[n])
	case high == 2 && n >= 0x20:
		r.unsupported(halfPrecision, fmt.Sprintf("the instruction 0xfd 0x%x", 0x100+n))
	default:
		r.failf("there is no such vector instruction")
	}
}
