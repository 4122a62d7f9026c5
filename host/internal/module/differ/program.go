package differ

import "slices"

// program is a module as trees, so that it can be made smaller without becoming invalid.
type program struct {
	funcs   []*function // the first one is exported as f, and called by nobody else
	globals []global
	// table is what the table of functions begins with, by number, passive what table.init takes.
	table, passive []int
	data, init     []byte // of the memory, and for memory.init
	pages          int
}

// function is one with its variables, parameters first.
type function struct {
	params, results []kind
	locals          []kind // parameters included
	body            []*node
	// removed is set where the shrinker has done without.
	removed bool
}

type global struct {
	kind kind
	init [16]byte
}

// code says what a node is, if it is no instruction of the table.
type code byte

const (
	opNode     code = iota // op, of the table
	constNode              // bits
	localGet               // index
	localSet               // without an operand it takes what is on the stack
	localTee               //
	globalGet              //
	globalSet              //
	blockNode              // params, results, label, body
	loopNode               // likewise; it goes round at most count times, by the variable index
	ifNode                 // likewise, and alt; the last operand is the condition
	brNode                 // label; the operands are what it takes along
	brIfNode               // the last operand is the condition
	brTable                // labels
	againNode              // a br_if to the loop of the label, by its variable index
	returnNode             //
	callNode               // index
	callIndir              // params, results; the last operand is the index
	selectNode             //
	selectT                //
	canonNode              // makes a loose value, of the kind params[0], exact; index is in which of the ways
	dropNode               //
	trapNode               // unreachable
	seqNode                // what its operands are, one after the other
	shuffle                // bits are the lanes
	memSize                //
	memGrow                //
	memFill                //
	memCopy                //
	memInit                //
	dataDrop               //
	tableGet               // index is the table: 0 of functions, 1 of others
	tableSet               //
	tableSize              //
	tableGrow              //
	tableFill              //
	tableCopy              //
	tableInit              //
	elemDrop               //
	refNull                //
	refIsNull              //
	refFunc                // index
	hostCall               // index of the import
)

var codeNames = [...]string{
	"", "const", "local.get", "local.set", "local.tee", "global.get", "global.set", "block", "loop", "if", "br", "br_if", "br_table",
	"loop", "return", "call", "call_indirect", "select", "select", "canonicalise", "drop", "unreachable", "", "i8x16.shuffle", "memory.size", "memory.grow",
	"memory.fill", "memory.copy", "memory.init", "data.drop", "table.get", "table.set", "table.size", "table.grow", "table.fill",
	"table.copy", "table.init", "elem.drop", "ref.null", "ref.is_null", "ref.func", "call of the host",
}

// node is an instruction with what its operands are made by.
type node struct {
	code code
	op   *op
	kind kind // of its value; none if it leaves none, or several
	kids []*node

	index  int      // of a variable, function, table; the number of a lane
	offset uint32   // of loads and stores
	align  int      // likewise, as the exponent
	bits   [16]byte // of constants
	count  int      // turns of a loop

	label           int // of blocks, and of jumps to them; 0 is the function's
	labels          []int
	params, results []kind
	body, alt       []*node
}

func (n *node) clone() *node {
	c := *n
	c.kids, c.body, c.alt = cloneAll(n.kids), cloneAll(n.body), cloneAll(n.alt)
	return &c
}

func cloneAll(list []*node) []*node {
	if list == nil {
		return nil
	}
	c := make([]*node, len(list))
	for i, n := range list {
		c[i] = n.clone()
	}
	return c
}

func (p *program) clone() *program {
	c := *p
	c.funcs = make([]*function, len(p.funcs))
	for i, f := range p.funcs {
		g := *f
		g.body, g.locals = cloneAll(f.body), slices.Clone(f.locals)
		c.funcs[i] = &g
	}
	c.globals, c.table, c.passive = slices.Clone(p.globals), slices.Clone(p.table), slices.Clone(p.passive)
	return &c
}

// walk calls visit for each node, those in front of others first.
func walk(list []*node, visit func(*node)) {
	for _, n := range list {
		walk(n.kids, visit)
		visit(n)
		walk(n.body, visit)
		walk(n.alt, visit)
	}
}

// nodes is how many there are.
func (p *program) nodes() int {
	n := 0
	for _, f := range p.funcs {
		if !f.removed {
			walk(f.body, func(*node) { n++ })
		}
	}
	return n
}

// calls reports whether a function calls others, be it through the table: then it takes part
// in what bounds how many there are.
func (f *function) calls() bool {
	found := false
	walk(f.body, func(n *node) { found = found || n.code == callNode || n.code == callIndir })
	return found
}

// module is the program as a binary, without calls.
func (p *program) module(wasm []byte) *module {
	m := &module{wasm: wasm, results: p.funcs[0].results}
	for _, g := range p.globals {
		m.globals = append(m.globals, g.kind)
	}
	return m
}
