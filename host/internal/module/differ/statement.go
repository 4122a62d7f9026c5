package differ

import (
	"slices"
)

// fixed reports whether a variable is to be left alone: it counts a loop's turns, or is one of those that
// stay what they are.
func (g *generator) fixed(i int) bool {
	if g.still && i%3 > 0 {
		return true
	}
	for _, l := range g.labels {
		if l.loop && l.counter == i {
			return true
		}
	}
	return false
}

// pops are statements that take values from the stack, in variables, or let them be.
func (g *generator) pops(list []kind) []*node {
	var pops []*node
	for _, k := range slices.Backward(list) {
		if i := g.localOf(k, true); i >= 0 && !g.fixed(i) {
			pops = append(pops, &node{code: localSet, index: i})
		} else {
			pops = append(pops, &node{code: dropNode})
		}
	}
	return pops
}

func (g *generator) statements(depth, n int) []*node {
	var list []*node
	for range n {
		if g.room < 0 {
			break
		}
		list = append(list, g.statement(depth))
	}
	return list
}

func (g *generator) statement(depth int) *node {
	g.room--
	if depth > 0 && !g.straight {
		if b := g.block(depth); b != nil {
			return b
		}
	}
	if len(g.favorite) > 0 && g.percent(35) {
		o := pick(g, g.favorite)
		if i := g.localOf(o.out, true); i >= 0 && !g.fixed(i) {
			return set(i, g.mostly(o, pick(g, []int{1, 1, 2})))
		}
	}
	n := g.IntN(100)
	switch {
	case g.pure:
		n = g.IntN(74)
	case g.straight && g.percent(70):
		n = 0
	}
	switch {
	case n < 62:
		i := g.IntN(len(g.f.locals) + 1)
		for n := 0; n < 9 && i < len(g.f.locals) && g.fixed(i); n++ {
			i = g.IntN(len(g.f.locals))
		}
		if i == len(g.f.locals) || g.fixed(i) {
			break
		}
		if k := g.f.locals[i]; k == funcref || k == extern {
			return set(i, g.value(k, 2))
		}
		return set(i, g.value(g.f.locals[i], pick(g, []int{1, 1, 1, 2, 2, 3, 4})))
	case n < 70:
		return g.of(pick(g, g.ops.stores), 3)
	case n < 74:
		if len(g.p.globals) > 0 {
			i := g.IntN(len(g.p.globals))
			return &node{code: globalSet, index: i, kids: []*node{g.value(g.p.globals[i].kind, 3)}}
		}
	case n < 82 && (!g.straight || g.percent(g.calls)):
		if f := g.n + 1 + g.IntN(len(g.p.funcs)); f < len(g.p.funcs) {
			return &node{code: seqNode, kids: append([]*node{g.call(f, 3)}, g.pops(g.p.funcs[f].results)...)}
		}
		twice := &node{code: hostCall, index: 4, kids: []*node{g.value(f32, 2), g.value(f64, 2)}}
		return &node{code: seqNode, kids: append([]*node{twice}, g.pops(kinds("df"))...)}
	case n < 87 && !g.straight:
		return g.jump()
	case n < 90:
		return g.bulk()
	case n < 93:
		return g.tables()
	case n < 94:
		grow := &node{code: memGrow, kind: i32, kids: []*node{g.masked(g.value(i32, 1), 1)}}
		return &node{code: seqNode, kids: append([]*node{grow}, g.pops(kinds("i"))...)}
	case n < 95 && !g.straight:
		trap := &node{code: ifNode, kids: []*node{g.masked(g.condition(2), 0)}, body: []*node{{code: trapNode}}}
		if !g.careful && g.percent(10) {
			trap.kids[0] = g.condition(2)
		}
		trap.label = g.label(label{})
		g.close()
		return trap
	}
	if g.pure && len(g.f.locals) > 0 {
		return g.of(pick(g, g.ops.stores), 2)
	}
	return &node{code: dropNode, kids: []*node{g.value(pick(g, kinds("ilFDvFD42ildf")), 3)}}
}

// block is a statement that has others in it, or nil: most statements have none.
func (g *generator) block(depth int) *node {
	switch n := g.IntN(100); {
	case n < 6:
		b := &node{code: blockNode}
		b.label = g.label(label{})
		b.body = g.statements(depth-1, 1+g.IntN(5))
		g.close()
		return b
	case n < 14:
		b := &node{code: ifNode, kids: []*node{g.condition(2)}}
		b.label = g.label(label{})
		b.body = g.statements(depth-1, 1+g.IntN(5))
		if g.IntN(2) == 0 {
			b.alt = g.statements(depth-1, 1+g.IntN(5))
		}
		g.close()
		return b
	case n < 22 && g.nested < 2:
		return g.loop(depth)
	case n < 26:
		return g.parameters(depth)
	case n < 30:
		return g.table(depth)
	}
	return nil
}

// loop is one that goes round a few times. It has parameters at times.
func (g *generator) loop(depth int) *node {
	g.nested++
	defer func() { g.nested-- }()
	g.f.locals = append(g.f.locals, i32)
	counter := len(g.f.locals) - 1
	n := &node{code: loopNode, index: counter, count: 1 + g.IntN(5)}
	if g.IntN(4) == 0 {
		n.params = g.someKinds(3)
		n.kids = g.args(n.params, 2)
	}
	n.label = g.label(label{loop: true, takes: n.params, counter: counter})
	n.body = append(g.pops(n.params), g.statements(depth-1, 1+g.IntN(6))...)
	if g.percent(85) {
		n.body = append(n.body, g.again(g.labels[len(g.labels)-1]))
	}
	g.close()
	return n
}

// again goes round a loop, under a condition at times.
func (g *generator) again(l label) *node {
	n := &node{code: againNode, label: l.id, index: l.counter, kids: g.args(l.takes, 1)}
	if g.IntN(2) == 0 {
		n.count = 1
		n.kids = append(n.kids, g.condition(2))
	}
	if len(l.takes) == 0 {
		return n
	}
	return &node{code: seqNode, kids: append([]*node{n}, g.pops(l.takes)...)}
}

func (g *generator) someKinds(n int) []kind {
	var list []kind
	for range 1 + g.IntN(n) {
		list = append(list, pick(g, kinds("ilfdvFD42")))
	}
	return list
}

// parameters is a block or an if with parameters and results.
func (g *generator) parameters(depth int) *node {
	n := &node{code: blockNode, params: g.someKinds(3), results: g.someKinds(3)}
	n.kids = g.args(n.params, 2)
	if g.IntN(2) == 0 {
		n.code = ifNode
		n.kids = append(n.kids, g.condition(2))
	}
	n.label = g.label(label{takes: n.results})
	part := func() []*node {
		list := append(g.pops(n.params), g.statements(depth-1, g.IntN(4))...)
		return append(list, g.args(n.results, 2)...)
	}
	n.body = part()
	if n.code == ifNode {
		n.alt = part()
	}
	g.close()
	return &node{code: seqNode, kids: append([]*node{n}, g.pops(n.results)...)}
}

// table is a br_table out of blocks, behind each of which there are statements.
func (g *generator) table(depth int) *node {
	n := 2 + g.IntN(3)
	blocks := make([]*node, n)
	for i := range blocks { // from the outermost
		blocks[i] = &node{code: blockNode}
		blocks[i].label = g.label(label{})
	}
	index := g.value(i32, 2)
	if g.percent(70) {
		index = g.masked(index, 7)
	}
	t := &node{code: brTable, kids: []*node{index}}
	for range 1 + g.IntN(8) {
		t.labels = append(t.labels, pick(g, blocks).label)
	}
	blocks[n-1].body = []*node{t}
	for i := n - 2; i >= 0; i-- {
		g.close()
		blocks[i].body = append([]*node{blocks[i+1]}, g.statements(depth-1, 1+g.IntN(3))...)
		if g.percent(60) {
			blocks[i].body = append(blocks[i].body, &node{code: brNode, label: blocks[g.IntN(i+1)].label})
		}
	}
	g.close()
	return blocks[0]
}

// jump leaves blocks, or goes round a loop.
func (g *generator) jump() *node {
	l := pick(g, g.labels)
	if l.loop {
		return g.again(l)
	}
	n := &node{code: brIfNode, label: l.id, kids: append(g.args(l.takes, 2), g.condition(2))}
	if g.percent(12) {
		n.code = brNode
		n.kids = n.kids[:len(n.kids)-1]
		if l.id == 0 && g.IntN(2) == 0 {
			n.code = returnNode
		}
		return n
	}
	if len(l.takes) == 0 {
		return n
	}
	return &node{code: seqNode, kids: append([]*node{n}, g.pops(l.takes)...)}
}

// bulk is an operation on a range of memory, outside it at times.
func (g *generator) bulk() *node {
	to, _ := g.address(1)
	size := number(i32, uint64(pick(g, []int{0, 1, 7, 8, 16, 33, 64, 255, 256, 257, 1000, 4096, 0x4000})))
	if g.IntN(4) == 0 {
		size = g.masked(g.value(i32, 1), 0x1ff)
	}
	switch g.IntN(6) {
	case 0, 1:
		return &node{code: memFill, kids: []*node{to, g.value(i32, 1), size}}
	case 2, 3:
		from, _ := g.address(1)
		return &node{code: memCopy, kids: []*node{to, from, size}}
	case 4:
		if !g.careful && g.percent(20) {
			return &node{code: dataDrop}
		}
	}
	from := number(i32, uint64(g.IntN(64)))
	if g.careful {
		return &node{code: memInit, kids: []*node{to, from, number(i32, uint64(pick(g, []int{0, 1, 8, 33, 64})))}}
	}
	return &node{code: memInit, kids: []*node{to, from, number(i32, uint64(pick(g, []int{0, 1, 8, 33, 64, 129})))}}
}

// tables is an operation on a table.
func (g *generator) tables() *node {
	t := g.IntN(2)
	k := []kind{funcref, extern}[t]
	at := func() *node {
		if t == 1 {
			return number(i32, uint64(g.IntN(2)))
		}
		return g.tableIndex()
	}
	small := number(i32, uint64(g.IntN(3)))
	if g.careful && t == 1 {
		small = number(i32, 0)
	}
	switch g.IntN(7) {
	case 0, 1:
		return &node{code: tableSet, index: t, kids: []*node{at(), g.value(k, 1)}}
	case 2:
		grow := &node{code: tableGrow, index: t, kind: i32, kids: []*node{g.value(k, 1), small}}
		return &node{code: seqNode, kids: append([]*node{grow}, g.pops(kinds("i"))...)}
	case 3:
		return &node{code: tableFill, index: t, kids: []*node{at(), g.value(k, 1), small}}
	case 4:
		return &node{code: tableCopy, index: t, kids: []*node{at(), at(), small}}
	case 5:
		return &node{code: tableInit, kids: []*node{g.tableIndex(), number(i32, uint64(g.IntN(2))), small}}
	}
	if !g.careful && g.percent(20) {
		return &node{code: elemDrop}
	}
	return &node{code: dropNode, kids: []*node{{code: tableGet, kind: k, index: t, kids: []*node{at()}}}}
}

func (g *generator) label(l label) int {
	g.last++
	l.id = g.last
	g.labels = append(g.labels, l)
	return l.id
}

func (g *generator) close() { g.labels = g.labels[:len(g.labels)-1] }
