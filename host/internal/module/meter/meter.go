// Package meter rewrites a plugin's binary before it is compiled, so that the host
// can stop its guests, count what they do and put them back.
//
// The binary is not to be trusted, and not validated yet. Whatever the pass does not
// know it refuses; what it adds, indices of the original cannot reach; and it leaves
// every fault of the original for the compiler to find. It has to see the
// instructions that the compiler sees: where the compiler reads an encoding in its
// own way, or one of features that are off, the pass refuses it.
//
// # Metering
//
// A global counts fuel down. Code is divided into segments, each of which begins by
// taking from the global what all its instructions cost, and calls the host if that
// leaves less than nothing. A segment begins where a function does, a loop, after a
// loop, and wherever a jump arrives that started in another segment. So no path
// executes an instruction that was not paid for; one that jumps forward within its
// segment pays for what it skips. A br_table pays at once for as much as can follow
// its targets before the next segment begins: what Go's compiler makes of a function
// is one loop around a br_table, of which each turn executes a small part.
//
// Another global counts how deep calls nest, at those calls without which they cannot
// go round: indirect ones, and those of a function that stands no earlier than its
// caller. Others, which are most, as compilers put a program's libraries first, cost
// nothing. Calls that nest too deep take so much fuel that the function called goes to
// the host, unless it calls nothing itself.
//
// Operations on ranges of memory and tables cost by their length as well. Those on
// memory are made in pieces when they are long.
//
// # Control flow
//
// Functions that Go's compiler has made are written anew without their table, see flow, and
// instructions of theirs as wazero's compiler makes better code of them. They do the same in
// less time, but for addresses that are sums beyond 4 GiB, see sum: they are out of bounds.
//
// # Data
//
// Segments of data that lie close together are put together, always: see runs.
package meter

// What the host provides, and finds among the exports.
const (
	// ImportModule and ImportYield are the function, without parameters and
	// results, that the guest calls when its fuel is less than 0.
	ImportModule = "resonhost_meter"
	ImportYield  = "yield"
	// FuelExport is the i64 that counts down; the guest begins with 0.
	FuelExport = "resonhost_meter.fuel"
	// DepthExport is an i32, how much deeper calls may nest. When that is less than 0 the
	// guest owes TooDeep units of fuel at each further call, and so comes to the host before
	// calls nest deeper by more than one.
	DepthExport = "resonhost_meter.depth"
	// TooDeep is more fuel than anything else costs.
	TooDeep = 1 << 40
	// DirtyExport is an i32, which is set to 1 by what restoring memory and
	// globals does not undo: changes of tables, and the dropping of segments.
	DirtyExport = "resonhost_meter.dirty"
	// globalExport and a number name the program's own globals.
	globalExport = "resonhost_meter.global."
)

// Options are what the pass does besides checking limits and putting data together.
type Options struct {
	// Meter has the guest count fuel and the depth of its calls, and yield.
	Meter bool
	// Depth is how deep calls may nest, not negative.
	Depth int32
	// Reloop has functions of Go's compiler jump without a table.
	Reloop bool
	// Guards are the instructions that become others, see [Guards].
	Guards Guards
	// Reset makes all variable globals reachable, and adds DirtyExport.
	Reset bool
}

// Module is a binary that was rewritten.
type Module struct {
	WASM []byte `json:"-"`
	// Globals are the exports of the program's variable globals, and Opaque those
	// whose values the host cannot hold: vectors and references. Only with Reset.
	Globals []string `json:"globals"`
	Opaque  []string `json:"opaque"`
}

// Types of values.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
)

// rewriter holds what is known of the binary.
type rewriter struct {
	limits Limits
	opts   Options
	secs   [sections][]byte // contents
	at     [sections]int    // their offsets
	names  []byte           // the content of the name section, behind its name
	debug  bool             // it has sections of DWARF, as debug builds have

	params    [][]byte   // of each type
	results   [][]byte   // likewise
	funcTypes []uint32   // of each function, imported ones first
	relooped  []relooped // by function
	floats    floats
	unrolled  int      // words that blocks of memory became
	imported  uint32   // functions
	tables    []byte   // the types of their entries
	sizes     []uint32 // of tables, in entries
	memory    uint32   // how many there are
	pages     uint32   // of the memory
	globals   []global
	exported  map[string]bool
	over      map[limit]*excess // by functions
	room      int               // how long the next function may become, in bytes
	grown     bool              // one became longer
	validator validator

	yieldType, rangeType uint32 // () → (), and (i32, i32, i32) → ()
	fuel, depth, dirty   uint32 // globals
	fill, copy           uint32 // functions
}

// Rewrite returns the binary with what the options ask for. It never changes wasm.
// Binaries that exceed a limit are a [*LimitError].
func Rewrite(wasm []byte, limits Limits, opts Options) (*Module, error) {
	w := &rewriter{limits: limits.withDefaults(), opts: opts, exported: make(map[string]bool)}
	if err := w.split(wasm); err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(wasm)+len(wasm)/2), wasm[:8]...)
	m := new(Module)
	for _, step := range []func([]byte) ([]byte, error){
		w.types, w.imports, w.functions, w.tableSection, w.memories, w.globalSection,
		func(b []byte) ([]byte, error) { return w.exports(b, m) },
		w.start, w.elements, w.dataCount, w.code, w.data, w.nameSection,
	} {
		var err error
		if out, err = step(out); err != nil {
			return nil, err
		}
	}
	m.WASM = out
	return m, nil
}
