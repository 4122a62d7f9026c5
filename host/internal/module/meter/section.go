package meter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Numbers of sections.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	sections
)

var sectionNames = [sections]string{
	"custom section", "type section", "import section", "function section", "table section", "memory section",
	"global section", "export section", "start section", "element section", "code section", "data section", "data count section",
}

// sectionOrder is where the sections stand.
var sectionOrder = [sections]int{
	secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secGlobal: 6, secExport: 7,
	secStart: 8, secElement: 9, secDataCount: 10, secCode: 11, secData: 12,
}

// split finds the sections.
func (w *rewriter) split(wasm []byte) error {
	const header = 8
	if len(wasm) < header || string(wasm[:header]) != "\x00asm\x01\x00\x00\x00" {
		return errors.New("not a WebAssembly module of version 1")
	}
	r := &reader{buf: wasm, pos: header, what: "binary"}
	last := 0
	for !r.done() {
		id := r.byte()
		size := r.u32()
		at := r.pos
		content := r.bytes(size)
		switch {
		case r.err != nil:
		case id == secCustom:
			c := &reader{buf: content, base: at, what: sectionNames[secCustom]}
			name := c.name()
			if c.err == nil && name == "name" && w.names == nil {
				w.names = content[c.pos:]
			}
			w.debug = w.debug || strings.HasPrefix(name, ".debug_")
			r.err = c.err
			// Others have addresses of code in them, which would be wrong.
		case id >= sections:
			r.unknownSection(id)
		case sectionOrder[id] <= last:
			r.failf("the %s is out of order", sectionNames[id])
		default:
			last = sectionOrder[id]
			w.secs[id], w.at[id] = content, at
		}
	}
	return r.err
}

// section returns a reader of a section, and the number of its items.
func (w *rewriter) section(id int) (r *reader, n uint32) {
	r = &reader{buf: w.secs[id], base: w.at[id], what: sectionNames[id]}
	if len(r.buf) == 0 && w.at[id] == 0 {
		return r, 0
	}
	n = r.count()
	return r, n
}

// end returns the section's error, which is one if something is left of it.
func (r *reader) end() error {
	if r.err == nil && !r.done() {
		r.failf("has more bytes than items")
	}
	return r.err
}

func (w *rewriter) types(out []byte) ([]byte, error) {
	r, n := w.section(secType)
	r.limit(limitTypes, uint64(n), w.limits.Types)
	start := r.pos
	for range n {
		if form := r.byte(); form != 0x60 && r.err == nil {
			r.unknownForm(form)
		}
		params := r.valueTypes()
		results := r.valueTypes()
		r.limit(limitArity, uint64(len(params))+uint64(len(results)), w.limits.Arity)
		if r.err != nil {
			break
		}
		w.params, w.results = append(w.params, params), append(w.results, results)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	content := slices.Clip(r.buf[start:])
	if w.opts.Meter {
		w.yieldType, w.rangeType = n, n+1
		content = append(content, 0x60, 0, 0, 0x60, 3, typeI32, typeI32, typeI32, 0)
		n += 2
	}
	return appendSection(out, secType, n, content), nil
}

var externNames = [...]string{"function", "table", "memory", "global"}

func (w *rewriter) imports(out []byte) ([]byte, error) {
	r, n := w.section(secImport)
	r.limit(limitImports, uint64(n), w.limits.Imports)
	start := r.pos
	for range n {
		module, name := r.name(), r.name()
		kind := r.byte()
		switch {
		case r.err != nil:
		case int(kind) >= len(externNames):
			r.failf("an import of the unknown kind %d", kind)
		case kind != 0:
			return nil, fmt.Errorf("imports the %s %s.%s, which the host does not grant", externNames[kind], Plain(module), Plain(name))
		case module == ImportModule:
			return nil, fmt.Errorf("imports %s.%s, which the host does not grant", module, Plain(name))
		}
		if !w.functionType(r) {
			break
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	w.imported = n
	content := slices.Clip(r.buf[start:])
	if w.opts.Meter {
		content = appendName(appendName(content, ImportModule), ImportYield)
		content = appendU32(append(content, 0), w.yieldType)
		n++
	}
	return appendSection(out, secImport, n, content), nil
}

// functionType reads the type of a further function. It returns false if it cannot.
func (w *rewriter) functionType(r *reader) bool {
	t := r.index("type", uint32(len(w.params)))
	if r.err != nil {
		return false
	}
	w.funcTypes = append(w.funcTypes, t)
	return true
}

func (w *rewriter) functions(out []byte) ([]byte, error) {
	r, n := w.section(secFunction)
	r.limit(limitFunctions, uint64(n)+uint64(w.imported), w.limits.Functions)
	start := r.pos
	for range n {
		if !w.functionType(r) {
			break
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	content := slices.Clip(r.buf[start:])
	if w.opts.Reloop {
		w.reloop()
		for _, f := range w.relooped {
			content = appendU32(content, w.funcTypes[f.index])
		}
		n += uint32(len(w.relooped))
	}
	if w.opts.Meter {
		w.fill = w.imported + 1 + n
		w.copy = w.fill + 1
		content = appendU32(appendU32(content, w.rangeType), w.rangeType)
		n += 2
	}
	return appendSection(out, secFunction, n, content), nil
}

// function reads the index of a function and returns its new one.
func (w *rewriter) function(r *reader) uint32 {
	return w.moved(r.index("function", uint32(len(w.funcTypes))))
}

// moved returns the index of a function behind the import that was added.
func (w *rewriter) moved(i uint32) uint32 {
	if w.opts.Meter && i >= w.imported {
		i++
	}
	return i
}

func (w *rewriter) memories(out []byte) ([]byte, error) {
	r, n := w.section(secMemory)
	if n > 1 && r.err == nil {
		r.unsupported(multiMemory, fmt.Sprint(n, " memories"))
	}
	w.memory = n
	start := r.pos
	for range n {
		flag := r.byte()
		r.limitFlags("a memory", flag)
		w.pages = r.u32()
		if flag == 1 {
			r.u32()
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return appendSection(out, secMemory, n, r.buf[start:]), nil
}

func (w *rewriter) start(out []byte) ([]byte, error) {
	if w.at[secStart] == 0 {
		return out, nil
	}
	r := &reader{buf: w.secs[secStart], base: w.at[secStart], what: sectionNames[secStart]}
	content := appendU32(nil, w.function(r))
	if err := r.end(); err != nil {
		return nil, err
	}
	return append(appendU32(append(out, secStart), uint32(len(content))), content...), nil
}

func (w *rewriter) dataCount(out []byte) ([]byte, error) {
	if w.at[secDataCount] == 0 {
		return out, nil
	}
	content := w.secs[secDataCount]
	return append(appendU32(append(out, secDataCount), uint32(len(content))), content...), nil
}
