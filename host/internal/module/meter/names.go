package meter

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxQuoted is how many bytes of a name an error has at most.
const maxQuoted = 80

// Quote writes a name of the binary's in an error: cut, and without what a terminal would heed.
func Quote(name string) string {
	if len(name) <= maxQuoted {
		return strconv.Quote(name)
	}
	cut := maxQuoted
	for cut > maxQuoted-utf8.UTFMax && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return strconv.Quote(name[:cut]) + "…"
}

// Plain writes such a name as it is, if it is short and nothing but letters, digits and signs of
// ASCII, and quoted else.
func Plain(name string) string {
	plain := name != "" && len(name) <= maxQuoted
	for i := 0; i < len(name) && plain; i++ {
		plain = name[i] > ' ' && name[i] < 0x7f
	}
	if plain {
		return name
	}
	return Quote(name)
}

// called says which function an index of the original is: by the name that a compiler left, or
// by that of an export.
func (w *rewriter) called(f uint32) string {
	if name, ok := w.debugName(f); ok {
		return fmt.Sprintf("function %d %s", f, Quote(name))
	}
	if name, ok := w.exportName(f); ok {
		return fmt.Sprintf("function %d (exported as %s)", f, Quote(name))
	}
	return fmt.Sprintf("function %d", f)
}

// functionNames is the part of the name section that has the names of functions.
const functionNames = 1

// debugName looks a function up in the name section.
func (w *rewriter) debugName(f uint32) (string, bool) {
	for r := (&reader{buf: w.names}); !r.done(); {
		id, size := r.byte(), r.u32()
		body := &reader{buf: r.bytes(size)}
		if id != functionNames {
			continue
		}
		for range body.count() {
			i, name := body.u32(), body.bytes(body.u32())
			if body.err != nil {
				break
			}
			if i == f && len(name) > 0 {
				return string(name), true
			}
		}
	}
	return "", false
}

// exportName looks a function up in the export section.
func (w *rewriter) exportName(f uint32) (string, bool) {
	r, n := w.section(secExport)
	for range n {
		name, kind, i := r.bytes(r.u32()), r.byte(), r.u32()
		if r.err != nil {
			break
		}
		if kind == 0 && i == f {
			return string(name), true
		}
	}
	return "", false
}

// nameSection copies the names of functions, which stack traces show. What is wrong
// with it costs the names, as it would elsewhere.
func (w *rewriter) nameSection(out []byte) ([]byte, error) {
	r := &reader{buf: w.names, what: "name section"}
	for !r.done() {
		id, size := r.byte(), r.u32()
		body := &reader{buf: r.bytes(size), what: r.what}
		if id != functionNames || r.err != nil {
			continue
		}
		var names, copies []byte
		count, left := uint32(0), w.relooped
		for range body.count() {
			i, name := body.u32(), body.name()
			if !utf8.ValidString(name) { // which the compiler refuses
				return out, nil
			}
			if body.err != nil {
				break
			}
			if uint64(i) >= uint64(len(w.funcTypes)) { // it is of no function
				continue
			}
			names = appendName(appendU32(names, w.moved(i)), name)
			count++
			for len(left) > 0 && left[0].index < i {
				left = left[1:]
			}
			if len(left) > 0 && left[0].index == i {
				copies = appendName(appendU32(copies, w.copyOf(len(w.relooped)-len(left))), name)
				count++
			}
		}
		if body.end() != nil {
			break
		}
		content := slices.Concat(appendU32(nil, count), names, copies)
		section := append(appendName(nil, "name"), functionNames)
		section = append(appendU32(section, uint32(len(content))), content...)
		return append(appendU32(append(out, secCustom), uint32(len(section))), section...), nil
	}
	return out, nil //nolint:nilerr // a program runs without its names
}
