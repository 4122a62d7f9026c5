package differ

import (
	"math"
	"slices"
)

func set(i int, value *node) *node { return &node{code: localSet, index: i, kids: []*node{value}} }

// access is a load of all of a value.
func (g *generator) access(k kind, at *node, offset uint32) *node {
	name := map[kind]string{i32: "i32.load i", i64: "i64.load i", f32: "f32.load i", f64: "f64.load i", v128: "v128.load i"}[k]
	return &node{code: opNode, op: g.ops.byName[name], kind: k, kids: []*node{at}, offset: offset}
}

// exactly makes a value exact, if it is not.
func (g *generator) exactly(n *node) *node {
	if n.kind == n.kind.exact() {
		return n
	}
	way := g.IntN(ways)
	if g.straight {
		way = g.IntN(byIf)
	}
	return &node{code: canonNode, kind: n.kind.exact(), params: []kind{n.kind}, index: way, kids: []*node{n}}
}

// localOf returns a variable that has, or takes, a value of a kind; -1 without.
func (g *generator) localOf(k kind, taking bool) int {
	var list []int
	for i, l := range g.f.locals {
		if taking && l.takes(k) && !g.fixed(i) || !taking && k.takes(l) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return -1
	}
	return pick(g, list)
}

func (g *generator) leaf(k kind) *node {
	g.room--
	if g.percent(g.locals) {
		if i := g.localOf(k, false); i >= 0 {
			if g.percent(g.same) {
				for _, r := range g.recent {
					if r < len(g.f.locals) && k.takes(g.f.locals[r]) && g.IntN(2) == 0 {
						i = r
						break
					}
				}
			}
			g.recent[g.IntN(len(g.recent))] = i
			return &node{code: localGet, kind: g.f.locals[i], index: i}
		}
	}
	switch k {
	case funcref:
		switch g.IntN(3) {
		case 0:
			return &node{code: refNull, kind: k}
		case 1:
			return &node{code: tableGet, kind: k, kids: []*node{g.tableIndex()}}
		}
		if f := g.IntN(len(g.p.funcs)); f > 0 && slices.Contains(g.p.table, f) {
			return &node{code: refFunc, kind: k, index: f}
		}
		return &node{code: refNull, kind: k}
	case extern:
		if g.IntN(2) == 0 {
			return &node{code: refNull, kind: k}
		}
		return &node{code: tableGet, kind: k, index: 1, kids: []*node{{code: constNode, kind: i32, bits: le(uint64(g.IntN(2)))}}}
	}
	k = k.exact()
	if g.percent(30) {
		for i, gl := range g.p.globals {
			if k.takes(gl.kind) && g.IntN(2) == 0 {
				return &node{code: globalGet, kind: gl.kind, index: i}
			}
		}
	}
	return &node{code: constNode, kind: k, bits: g.constant(k)}
}

func number(k kind, v uint64) *node { return &node{code: constNode, kind: k, bits: le(v)} }

func (g *generator) tableIndex() *node {
	if g.careful || g.percent(85) {
		return number(i32, uint64(g.IntN(6)))
	}
	return g.masked(g.value(i32, 1), 7)
}

func (g *generator) masked(n *node, mask uint64) *node {
	return &node{code: opNode, op: g.ops.byName["i32.and ii"], kind: i32, kids: []*node{n, number(i32, mask)}}
}

// address is one, and an offset, of some bytes, mostly within the memory.
func (g *generator) address(depth int) (*node, uint32) {
	n := g.IntN(100)
	if g.careful && n >= 90 {
		n = g.IntN(90)
	}
	switch {
	case n < 35:
		return number(i32, uint64(g.IntN(0x1000))), uint32(g.IntN(64))
	case n < 90:
		return g.masked(g.value(i32, depth), pick(g, []uint64{0x7fff, 0x7f8, 0xfff0, 0x3fff})), uint32(pick(g, []int{0, 0, 8, g.IntN(0x300), g.IntN(64)}))
	case n < 93: // at the end of a page
		return number(i32, uint64(0x10000*(1+g.IntN(maxPages))-g.IntN(18))), uint32(g.IntN(3))
	case n < 95:
		return number(i32, pick(g, []uint64{1<<32 - 1, 1<<32 - 8, 1<<32 - 16, 1 << 31, 1<<31 - 1})), pick(g, []uint32{0, 1, 8, 1 << 31, 1<<32 - 1, 1<<32 - 16})
	case n < 97:
		return g.value(i32, depth), pick(g, []uint32{0, 4, 0x10000, 1<<32 - 4})
	}
	return g.masked(g.value(i32, depth), 0xff), uint32(g.IntN(0x10000))
}

// condition is an i32 that is as often 0 as not.
func (g *generator) condition(depth int) *node {
	if depth <= 0 || g.percent(15) {
		return g.value(i32, depth)
	}
	switch g.IntN(8) {
	case 0: // a comparison of a mask with a constant, from either side
		k, name := i32, "i32."
		if g.IntN(2) == 0 {
			k, name = i64, "i64."
		}
		and := &node{code: opNode, op: g.ops.byName[name+"and "+letters([]kind{k, k})], kind: k, kids: []*node{g.value(k, depth-1), g.value(k, depth-2)}}
		zero := number(k, uint64(pick(g, []int{0, 0, 0, 1, -1})))
		two := []*node{and, zero}
		if g.IntN(2) == 0 {
			two = []*node{zero, and}
		}
		cmp := pick(g, []string{"eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"})
		return &node{code: opNode, op: g.ops.byName[name+cmp+" "+letters([]kind{k, k})], kind: i32, kids: two}
	case 1:
		return g.of(pick(g, []*op{g.ops.byName["i32.eqz i"], g.ops.byName["i64.eqz l"]}), depth)
	case 2, 3:
		cmp := pick(g, []string{"eq", "ne", "lt", "gt", "le", "ge"})
		return g.of(pick(g, []*op{g.ops.byName["f32."+cmp+" FF"], g.ops.byName["f64."+cmp+" DD"]}), depth)
	}
	cmp := pick(g, []string{"eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"})
	return g.of(pick(g, []*op{g.ops.byName["i32."+cmp+" ii"], g.ops.byName["i64."+cmp+" ll"]}), depth)
}

// of is an instruction of the table with random operands.
func (g *generator) of(o *op, depth int) *node {
	g.room--
	n := &node{code: opNode, op: o, kind: o.out}
	for i, k := range o.in {
		switch {
		case i == 0 && (o.form == memory || o.form == memoryLane):
			at, offset := g.address(depth - 1)
			n.kids, n.offset = append(n.kids, at), offset
			for 1<<(n.align+1) <= o.bytes && g.IntN(3) > 0 {
				n.align++
			}
		default:
			n.kids = append(n.kids, g.value(k, depth-1))
		}
	}
	if o.lanes > 0 {
		n.index = g.IntN(o.lanes)
	}
	return n
}

// mostly is an instruction of the table with operands for which it mostly does not trap.
func (g *generator) mostly(o *op, depth int) *node {
	if o.traps {
		return g.trapping(o, depth)
	}
	return g.of(o, depth)
}

// trapping is an instruction that may trap, mostly with operands for which it does not.
func (g *generator) trapping(o *op, depth int) *node {
	n := g.of(o, depth)
	if !g.careful && g.percent(4) {
		return n
	}
	switch last := len(n.kids) - 1; o.in[last] {
	case i32, i64:
		k := o.in[last]
		if g.IntN(2) == 0 { // by a constant
			c := pick(g, []int64{1, 2, 3, 7, 10, 16, 60, 1000, -3, 1 << 31, -7})
			n.kids[last] = number(k, uint64(c))
			break
		}
		name := map[kind]string{i32: "i32.or ii", i64: "i64.or ll"}[k]
		n.kids[last] = &node{code: opNode, op: g.ops.byName[name], kind: k, kids: []*node{n.kids[last], number(k, 1)}}
	case looseF32:
		n.kids[last] = g.of(g.ops.byName["f32.convert_i32_u i"], depth-1)
		if n.op.name[:3] == "i32" { // half of the numbers would not fit
			n.kids[last] = &node{code: opNode, op: g.ops.byName["f32.mul FF"], kind: looseF32, kids: []*node{n.kids[last], {code: constNode, kind: f32, bits: le(uint64(math.Float32bits(0.49)))}}}
		}
	case looseF64:
		n.kids[last] = g.of(g.ops.byName["f64.convert_i32_u i"], depth-1)
		scale := 0.49
		if n.op.name[:3] == "i64" {
			scale = pick(g, []float64{1, 1e9, 0.1})
		}
		n.kids[last] = &node{code: opNode, op: g.ops.byName["f64.mul DD"], kind: looseF64, kids: []*node{n.kids[last], {code: constNode, kind: f64, bits: floatBits(scale)}}}
	}
	return n
}

// value is an expression of a kind.
func (g *generator) value(k kind, depth int) *node {
	if depth <= 0 || g.room < 0 {
		return g.leaf(k)
	}
	if k == funcref || k == extern {
		if k == extern && !g.pure && g.IntN(3) == 0 {
			return &node{code: hostCall, index: 2, kind: extern, kids: []*node{g.value(i32, depth-1)}}
		}
		return g.leaf(k)
	}
	if k != k.exact() && g.percent(12) {
		k = k.exact()
	}
	switch {
	case g.percent(g.leaves):
		return g.leaf(k)
	case g.percent(g.selects):
		return g.choice(k, depth)
	case g.percent(g.calls):
		if c := g.callValue(k, depth); c != nil {
			return c
		}
	case !g.straight && g.percent(8):
		if g.IntN(2) == 0 {
			return g.ifValue(k, depth)
		}
		return g.blockValue(k, depth)
	case len(g.favorite) > 0 && g.percent(40):
		for _, o := range g.favorite {
			if k.takes(o.out) {
				return g.mostly(o, depth)
			}
		}
	}
	if g.percent(g.clamps) {
		if c := g.clamp(k, depth); c != nil {
			return c
		}
	}
	switch n := 38 + g.IntN(62); {
	case n < 42:
		if i := g.localOf(k, false); i >= 0 && !g.fixed(i) {
			return &node{code: localTee, kind: g.f.locals[i], index: i, kids: []*node{g.value(g.f.locals[i], depth-1)}}
		}
	case n < 52:
		if list := g.ops.trapping[k]; len(list) > 0 {
			return g.trapping(pick(g, list), depth)
		}
	case n < 56 && k == i32 && !g.pure:
		return g.told(depth)
	case n < 54 && k == i64 && !g.pure:
		if g.IntN(2) == 0 {
			return &node{code: hostCall, index: 3, kind: i64, kids: []*node{g.value(extern, depth-1)}}
		}
		return &node{code: hostCall, index: 0, kind: i64, kids: []*node{g.value(i32, depth-1), g.value(i64, depth-1), g.value(f64, depth-1), g.value(f32, depth-1)}}
	case n < 56 && k == v128:
		return g.shuffle(depth)
	case n < 75 && (k == f32 || k == f64 || k == v128):
		loose := map[kind][]kind{f32: kinds("F"), f64: kinds("D"), v128: kinds("42")}[k]
		return g.exactly(g.value(pick(g, loose), depth-1))
	}
	return g.of(pick(g, g.ops.byOut[k]), depth)
}

// told is an i32 that the machine or the host tells, or a condition.
func (g *generator) told(depth int) *node {
	switch g.IntN(6) {
	case 0:
		return &node{code: memSize, kind: i32}
	case 1:
		return &node{code: refIsNull, kind: i32, kids: []*node{g.value(pick(g, kinds("ne")), depth-1)}}
	case 2:
		return &node{code: hostCall, index: 1, kind: i32, kids: []*node{g.masked(g.value(i32, depth-1), 0xffff)}}
	case 3:
		return &node{code: tableSize, kind: i32, index: g.IntN(2)}
	}
	return g.condition(depth)
}

// shuffle is one of bytes, often as compilers have them.
func (g *generator) shuffle(depth int) *node {
	s := &node{code: shuffle, kind: v128, kids: []*node{g.value(v128, depth-1), g.value(v128, depth-1)}}
	for i := range s.bits {
		s.bits[i] = byte(g.IntN(32))
	}
	if g.IntN(4) == 0 {
		s.bits = pick(g, [][16]byte{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}, {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}})
	}
	return s
}

// clamp is a float between two constants, as C's compilers write it: what is pushed first waits for
// all that comes behind.
func (g *generator) clamp(k kind, depth int) *node {
	name := map[kind]string{looseF32: "f32.", looseF64: "f64."}[k]
	i := g.localOf(k.exact(), true)
	if name == "" || i < 0 || g.fixed(i) || g.f.locals[i] != k {
		return nil
	}
	pair := " " + letters([]kind{k, k})
	operation := func(name string, kind kind, kids ...*node) *node {
		return &node{code: opNode, op: g.ops.byName[name+pair], kind: kind, kids: kids}
	}
	g.room -= 4
	low := &node{code: constNode, kind: k.exact(), bits: g.constant(k)}
	high := &node{code: constNode, kind: k.exact(), bits: g.constant(k)}
	x := &node{code: localTee, kind: k, index: i, kids: []*node{g.value(k, depth-1)}}
	again := &node{code: localGet, kind: k, index: i}
	low2 := low.clone()
	switch g.IntN(4) {
	case 0: // x != x ? low : x
		return &node{code: selectNode, kind: k, kids: []*node{low, x, operation(name+"ne", i32, again, again.clone())}}
	case 1:
		low2 = g.value(k, depth-1)
	case 2:
		return &node{code: selectNode, kind: k, kids: []*node{x, high, operation(name+"gt", i32, again, low2)}}
	}
	return &node{code: selectNode, kind: k, kids: []*node{low, operation(name+"min", k, x, high), operation(name+"lt", i32, again, low2)}}
}

// choice is a select. It takes loose values if it may be loose.
func (g *generator) choice(k kind, depth int) *node {
	g.room--
	n := &node{code: selectNode, kind: k, kids: append(g.args([]kind{k, k}, depth-1), g.condition(depth-1))}
	if g.IntN(4) == 0 {
		n.code = selectT
	}
	return n
}

func (g *generator) ifValue(k kind, depth int) *node {
	g.room--
	n := &node{code: ifNode, kind: k, results: []kind{k}, kids: []*node{g.condition(depth - 1)}}
	n.label = g.label(label{takes: n.results})
	n.body = append(g.statements(1, g.IntN(3)), g.value(k, depth-1))
	n.alt = append(g.statements(1, g.IntN(2)), g.value(k, depth-1))
	g.close()
	return n
}

func (g *generator) blockValue(k kind, depth int) *node {
	g.room--
	n := &node{code: blockNode, kind: k, results: []kind{k}}
	n.label = g.label(label{takes: n.results})
	n.body = g.statements(1, g.IntN(3))
	if g.IntN(2) == 0 { // a value that is taken along, or left
		exit := &node{code: brIfNode, label: n.label, kind: k, kids: []*node{g.value(k, depth-1), g.condition(depth - 1)}}
		n.body = append(n.body, &node{code: dropNode, kids: []*node{exit}})
	}
	n.body = append(n.body, g.value(k, depth-1))
	g.close()
	return n
}

// args are operands of some kinds.
func (g *generator) args(list []kind, depth int) []*node {
	var args []*node
	for _, k := range list {
		if depth <= 0 || g.percent(50) { // a variable: the allocator wants it in the register of the argument, now already
			args = append(args, g.leaf(k))
		} else {
			args = append(args, g.value(k, depth))
		}
	}
	return args
}

// callValue calls a function behind the current one that has one result, of the kind, or
// returns nil.
func (g *generator) callValue(k kind, depth int) *node {
	var list []int
	for i := g.n + 1; i < len(g.p.funcs); i++ {
		if r := g.p.funcs[i].results; len(r) == 1 && k.takes(r[0]) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return g.call(pick(g, list), depth)
}

// call calls a function, at times through the table.
func (g *generator) call(f, depth int) *node {
	g.room -= 2
	callee := g.p.funcs[f]
	n := &node{code: callNode, index: f, kids: g.args(callee.params, depth-1)}
	if len(callee.results) == 1 {
		n.kind = callee.results[0]
	}
	if at := slices.Index(g.p.table, f); at >= 0 && g.percent(35) {
		n.code, n.params, n.results = callIndir, callee.params, callee.results
		index := number(i32, uint64(at))
		if !g.careful && g.percent(5) {
			index = g.tableIndex()
		}
		n.kids = append(n.kids, index)
	}
	return n
}

// keep stores a variable where nobody else does.
func (g *generator) keep(i int) *node {
	k := g.f.locals[i]
	name := map[kind]string{i32: "i32.store ii", i64: "i64.store il", f32: "f32.store if", f64: "f64.store id", v128: "v128.store iv"}[k.exact()]
	if name == "" {
		return nil
	}
	at := &node{code: constNode, kind: i32}
	value := g.exactly(&node{code: localGet, kind: k, index: i})
	return &node{code: opNode, op: g.ops.byName[name], kids: []*node{at, value}, offset: uint32(0x4000 + 0x800*g.n + 16*i)}
}
