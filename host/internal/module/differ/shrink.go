package differ

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// trial is a program with what it is called with.
type trial struct {
	p     *program
	calls []call
}

// module returns the trial as a binary.
func (t *trial) module(outline func(*node) bool) (*module, error) {
	wasm, err := t.p.encodeOutlined(outline)
	if err != nil {
		return nil, err
	}
	m := t.p.module(wasm)
	m.calls = t.calls
	return m, nil
}

// shrinker makes a trial smaller whose outcome differs from the oracle's in one way to run it.
type shrinker struct {
	*trial

	m     *machine
	s     setup
	until time.Time
	tries int
}

// differs reports whether the trial does. What is invalid does not.
func (s *shrinker) differs(ctx context.Context, outline func(*node) bool) bool {
	s.tries++
	mod, err := s.module(outline)
	if err != nil {
		return false
	}
	want, err := s.m.run(ctx, setup{name: oracle, engine: interpreted}, mod)
	if err != nil {
		return false
	}
	if s.s.change != nil {
		wrong := &trial{s.p.clone(), s.calls}
		for _, f := range wrong.p.funcs {
			walk(f.body, s.s.change)
		}
		if mod, err = wrong.module(outline); err != nil {
			return false
		}
	}
	got, err := s.m.run(ctx, s.s, mod)
	if err != nil {
		return false
	}
	what, _ := got.differs(want)
	return what != ""
}

// try keeps a change if the trial differs with it.
func (s *shrinker) try(ctx context.Context, change, undo func()) bool {
	if ctx.Err() != nil || time.Now().After(s.until) {
		return false
	}
	change()
	if s.differs(ctx, nil) {
		return true
	}
	undo()
	return false
}

// shrink makes the trial smaller, for so long at most.
func (s *shrinker) shrink(ctx context.Context, limit time.Duration) {
	s.until = time.Now().Add(limit)
	s.fewerCalls(ctx)
	for before := 1 << 30; s.p.nodes() < before; {
		before = s.p.nodes()
		s.functions(ctx)
		for _, f := range s.p.funcs {
			if !f.removed {
				s.list(ctx, &f.body)
			}
		}
		for _, f := range s.p.funcs {
			if !f.removed {
				s.values(ctx, f.body)
			}
		}
	}
	s.zeroData(ctx)
}

func (s *shrinker) fewerCalls(ctx context.Context) {
	all := s.calls
	for i := range all {
		if s.try(ctx, func() { s.calls = all[i : i+1] }, func() { s.calls = all }) {
			return
		}
	}
	for n := 1; n < len(all); n++ {
		if s.try(ctx, func() { s.calls = all[:n] }, func() { s.calls = all }) {
			return
		}
	}
}

// functions removes them one by one, with the calls of them.
func (s *shrinker) functions(ctx context.Context) {
	for i := len(s.p.funcs) - 1; i > 0; i-- {
		if s.p.funcs[i].removed {
			continue
		}
		before := s.p
		s.try(ctx, func() {
			s.p = before.clone()
			s.p.funcs[i].removed = true
			for _, f := range s.p.funcs {
				f.body = without(f.body, i)
			}
		}, func() { s.p = before })
	}
}

// without is a list in which nothing calls a function.
func without(list []*node, f int) []*node {
	calls := func(n *node) bool { return n.code == callNode && n.index == f }
	var out []*node
	for _, n := range list {
		n.kids, n.body, n.alt = without(n.kids, f), without(n.body, f), without(n.alt, f)
		switch {
		case n.code == seqNode && len(n.kids) > 0 && calls(n.kids[0]):
			continue
		case calls(n) && n.kind != none:
			n = &node{code: constNode, kind: n.kind.exact()}
		}
		out = append(out, n)
	}
	return out
}

// list removes statements, as many at once as may be, here and in blocks.
func (s *shrinker) list(ctx context.Context, list *[]*node) {
	for size := len(*list); size > 0; size /= 2 {
		for from := 0; from < len(*list); {
			before := *list
			to := min(from+size, len(before))
			if !s.try(ctx, func() { *list = slices.Delete(slices.Clone(before), from, to) }, func() { *list = before }) {
				from += size
			}
		}
	}
	for i := 0; i < len(*list); i++ { //nolint:intrange // it grows meanwhile
		n := (*list)[i]
		if n.code == blockNode || n.code == loopNode || n.code == ifNode {
			for _, inner := range [][]*node{n.body, n.alt} {
				before := *list
				if len(inner) > 0 && s.try(ctx, func() { *list = slices.Replace(slices.Clone(before), i, i+1, inner...) }, func() { *list = before }) {
					break
				}
			}
		}
	}
	for _, n := range *list {
		walk([]*node{n}, func(n *node) {
			if len(n.body) > 0 {
				s.list(ctx, &n.body)
			}
			if len(n.alt) > 0 {
				s.list(ctx, &n.alt)
			}
		})
	}
}

// values replaces expressions by one of their operands, or by a constant.
func (s *shrinker) values(ctx context.Context, list []*node) {
	for i, n := range list {
		if n.kind != none && n.code != constNode {
			simpler := []*node{{code: constNode, kind: n.kind.exact()}}
			if len(n.body) > 0 {
				simpler = append(simpler, n.body[len(n.body)-1])
			}
			for _, kid := range n.kids {
				if n.kind.takes(kid.kind) {
					simpler = append(simpler, kid)
				}
			}
			for _, other := range simpler {
				if s.try(ctx, func() { list[i] = other }, func() { list[i] = n }) {
					break
				}
			}
		}
		n = list[i]
		s.values(ctx, n.kids)
		s.values(ctx, n.body)
		s.values(ctx, n.alt)
	}
}

func (s *shrinker) zeroData(ctx context.Context) {
	for _, part := range []*[]byte{&s.p.data, &s.p.init} {
		before := *part
		s.try(ctx, func() { *part = nil }, func() { *part = before })
	}
	for i := range s.calls {
		for size := len(s.calls[i].Data); size >= 8; size /= 2 {
			before := s.calls[i].Data
			if s.try(ctx, func() { s.calls[i].Data = before[:len(before)-size/2] }, func() { s.calls[i].Data = before }) {
				size = 2 * len(s.calls[i].Data)
			}
		}
	}
}

// blame names the instructions of which each, written as a call of a function that does nothing
// else, makes the difference go away.
func (s *shrinker) blame(ctx context.Context) []string {
	names := make(map[string]bool)
	for _, f := range s.p.funcs {
		walk(f.body, func(n *node) {
			if !f.removed && (n.code == opNode || n.code == selectNode || n.code == selectT || n.code == shuffle) {
				names[n.name()] = true
			}
		})
	}
	var blamed, all []string
	for name := range names {
		all = append(all, name)
		if !s.differs(ctx, func(n *node) bool { return n.name() == name }) {
			blamed = append(blamed, name)
		}
	}
	slices.Sort(blamed)
	slices.Sort(all)
	if len(blamed) == 0 {
		return []string{"one of " + strings.Join(all[:min(len(all), 8)], ", ")}
	}
	return blamed
}

// name is the instruction's.
func (n *node) name() string {
	switch n.code {
	case opNode:
		return n.op.name
	case selectNode, selectT:
		return fmt.Sprintf("select of %s", map[kind]string{
			i32: "i32", i64: "i64", f32: "f32", f64: "f64", v128: "v128", funcref: "funcref", extern: "externref",
		}[n.kind.exact()])
	}
	return codeNames[n.code]
}
