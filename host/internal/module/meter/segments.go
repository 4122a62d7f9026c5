package meter

import (
	"cmp"
	"math"
	"slices"
)

// maxGap is how many zeros are written between two segments of data to make one of them:
// no more than a segment costs the host for each module and each of its instances.
const maxGap = 64

// run is data at one place of the memory.
type run struct {
	from  uint64 // its address
	bytes []byte
}

func (r *run) end() uint64 { return r.from + uint64(len(r.bytes)) }

// runs are the segments of data that a module begins with, where it begins with nothing else.
// Go's linker makes a segment of each few bytes between zeros, tens of thousands of them, all
// of which the compiler's runtime keeps by module and by instance.
type runs struct {
	list []run
	odd  bool // there is a segment that must stay as it is
}

// add appends a segment by its flags and the expression of its address, or has it continue
// the last run if it begins shortly behind it.
func (rs *runs) add(flags uint32, address, data []byte) {
	from, ok := number(address)
	if rs.odd = rs.odd || flags != 0 || !ok || from > math.MaxInt32 || len(data) == 0; rs.odd {
		return
	}
	if n := len(rs.list); n > 0 {
		if last := &rs.list[n-1]; from >= last.end() && from-last.end() <= maxGap {
			zeros := [maxGap]byte{}
			last.bytes = append(append(last.bytes, zeros[:from-last.end()]...), data...)
			return
		}
	}
	rs.list = append(rs.list, run{from, slices.Clone(data)})
}

// number returns what an expression is, if it is no more than a constant of 32 bits.
func number(expression []byte) (n uint64, ok bool) {
	r := &reader{buf: expression}
	if r.byte() != opI32Const {
		return 0, false
	}
	v := r.s33()
	return uint64(uint32(v)), r.byte() == opEnd && r.done() && r.err == nil
}

// section returns the content of a section that leaves memory as the segments do, or nil if
// there may be none: the zeros of a run must not be where another one is.
func (rs *runs) section() []byte {
	if rs.odd {
		return nil
	}
	slices.SortFunc(rs.list, func(a, b run) int { return cmp.Compare(a.from, b.from) })
	var content []byte
	for i := range rs.list {
		r := &rs.list[i]
		if i > 0 && rs.list[i-1].end() > r.from {
			return nil
		}
		content = appendS32(append(content, 0, opI32Const), int32(r.from))
		content = append(appendU32(append(content, opEnd), uint32(len(r.bytes))), r.bytes...)
	}
	return content
}

func (w *rewriter) data(out []byte) ([]byte, error) {
	r, n := w.section(secData)
	start := r.pos
	joined := runs{odd: w.at[secDataCount] != 0} // there are instructions that name segments
	for segment := range n {
		flags := r.u32()
		if flags > 2 {
			r.failf("a segment with the unknown flags 0x%x", flags)
		}
		if flags == 2 {
			r.u32()
		}
		address := r.pos
		if flags != 1 {
			w.constant(r, nil, uint32(len(w.globals)))
		}
		behind := r.pos
		data := r.bytes(r.u32())
		if r.err != nil {
			break
		}
		const page = 64 << 10
		if from, ok := number(r.buf[address:behind]); ok && w.memory > 0 && from+uint64(len(data)) > uint64(w.pages)*page {
			r.failf("segment %d ends at byte %d, and the memory at %d", segment, from+uint64(len(data)), uint64(w.pages)*page)
			break
		}
		joined.add(flags, r.buf[address:behind], data)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if content := joined.section(); content != nil {
		return appendSection(out, secData, uint32(len(joined.list)), content), nil
	}
	return appendSection(out, secData, n, r.buf[start:]), nil
}
