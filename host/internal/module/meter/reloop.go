package meter

// relooped is a function without its table, and as it was. The latter is a function of its
// own, with an index behind those that the binary has.
type relooped struct {
	index      uint32
	body, copy []byte
	at         int  // of the copy in the binary
	floats     bool // it has many
}

// reloop finds the functions that can do without their table. What is wrong with others is
// told when they are rewritten.
func (w *rewriter) reloop() {
	r, n := w.section(secCode)
	var f flow
	all := make([]byte, 0, len(r.buf)) // their bodies, one behind the other
	for i := range min(n, uint32(len(w.funcTypes))-w.imported) {
		size := r.u32()
		at := r.base + r.pos
		raw := r.bytes(size)
		if r.err != nil {
			return
		}
		t := w.funcTypes[w.imported+i]
		if uint64(size) > w.limits.Body || string(w.params[t]) != parted || string(w.results[t]) != parted {
			continue
		}
		if more, ok := f.reloop(all, raw); ok {
			w.relooped = append(w.relooped, relooped{w.imported + i, more[len(all):], raw, at, w.floats.add(f.floats)})
			all = more
		}
	}
}

// copyOf returns the index of the copy of a relooped function.
func (w *rewriter) copyOf(i int) uint32 { return w.moved(uint32(len(w.funcTypes) + i)) }

// parted is what a function whose argument is a part of it takes and returns.
const parted = string(rune(typeI32))
