package meter

import (
	"errors"
	"fmt"
)

type global struct {
	typ      byte
	variable bool
	export   string
}

func (w *rewriter) globalSection(out []byte) ([]byte, error) {
	r, n := w.section(secGlobal)
	r.limit(limitGlobals, uint64(n), w.limits.Globals)
	var content []byte
	for range n {
		typ, variable := r.valueType(), r.byte()
		if variable > 1 {
			r.failf("a global of the unknown mutability %d", variable)
		}
		// Initialisers see imported globals alone, of which there are none.
		content = w.constant(r, append(content, typ, variable), uint32(len(w.globals)))
		if r.err != nil {
			break
		}
		w.globals = append(w.globals, global{typ: typ, variable: variable == 1})
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if w.opts.Meter {
		w.fuel = n
		w.depth = n + 1
		content = append(content, typeI64, 1, opI64Const, 0, opEnd)
		content = append(appendS32(append(content, typeI32, 1, opI32Const), w.opts.Depth), opEnd)
		n += 2
	}
	if w.opts.Reset {
		w.dirty = n
		content = append(content, typeI32, 1, opI32Const, 0, opEnd)
		n++
	}
	content, n = w.floats.section(content, n)
	return appendSection(out, secGlobal, n, content), nil
}

// constant copies a constant expression. It may name the first globals.
func (w *rewriter) constant(r *reader, out []byte, globals uint32) []byte {
	for r.err == nil {
		start := r.pos
		switch op := r.byte(); op {
		case opEnd:
			return append(out, op)
		case opI32Const:
			r.skipLEB(5)
		case opI64Const:
			r.skipLEB(10)
		case opF32Const:
			r.bytes(4)
		case opF64Const:
			r.bytes(8)
		case opGlobalGet:
			if r.index("global", globals); r.err == nil { // it is one of the module's own: others were refused
				r.unsupported(extendedConstants, "global.get of a global that is not imported")
			}
		case opRefNull:
			r.refType()
		case opRefFunc:
			out = appendU32(append(out, op), w.function(r))
			continue
		case opVector:
			if sub := r.vectorOp(); sub != 12 {
				r.failf("a constant expression with the vector instruction %d", sub)
			}
			r.bytes(16)
		default:
			r.unknownConstant(op)
		}
		if r.err == nil {
			out = append(out, r.buf[start:r.pos]...)
		}
	}
	return out
}

func (w *rewriter) exports(out []byte, m *Module) ([]byte, error) {
	r, n := w.section(secExport)
	r.limit(limitExports, uint64(n), w.limits.Exports)
	var content []byte
	for range n {
		name := r.name()
		kind := r.byte()
		var index uint32
		switch kind {
		case 0:
			index = w.function(r)
		case 1:
			index = r.index("table", uint32(len(w.tables)))
		case 3:
			index = r.index("global", uint32(len(w.globals)))
			if r.err == nil {
				w.globals[index].export = name
			}
		default: // a memory, or what the compiler will not know
			index = r.u32()
		}
		if r.err != nil {
			break
		}
		w.exported[name] = true
		content = appendU32(append(appendName(content, name), kind), index)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	add := func(name string, index uint32) error {
		if w.exported[name] {
			return fmt.Errorf("exports %s, a name that is the host's", Quote(name))
		}
		content = appendU32(append(appendName(content, name), 3), index)
		n++
		return nil
	}
	var errs []error
	if w.opts.Meter {
		errs = append(errs, add(FuelExport, w.fuel), add(DepthExport, w.depth))
	}
	if w.opts.Reset {
		errs = append(errs, add(DirtyExport, w.dirty))
		for i, g := range w.globals {
			if !g.variable {
				continue
			}
			if g.export == "" {
				g.export = fmt.Sprint(globalExport, i)
				errs = append(errs, add(g.export, uint32(i)))
			}
			if g.typ == typeV128 || g.typ <= typeFuncref {
				m.Opaque = append(m.Opaque, g.export)
			} else {
				m.Globals = append(m.Globals, g.export)
			}
		}
	}
	return appendSection(out, secExport, n, content), errors.Join(errs...)
}
