package meter

func (w *rewriter) tableSection(out []byte) ([]byte, error) {
	r, n := w.section(secTable)
	r.limit(limitTables, uint64(n), w.limits.Tables)
	var content []byte
	for range n {
		if r.peek(0) == 0x40 {
			r.unsupported(typedReferences, "a table with a first value")
		}
		elem := r.refType()
		flag := r.byte()
		r.limitFlags("a table", flag)
		least := r.u32()
		most := uint32(1<<32 - 1)
		if flag == 1 {
			most = r.u32()
		}
		r.limit(limitTable, uint64(least), w.limits.TableSize)
		if flag == 1 && most < least {
			r.failf("a table with more entries than it may have")
		}
		if r.err != nil {
			break
		}
		w.tables = append(w.tables, elem)
		content = append(content, elem, 1)
		w.sizes = append(w.sizes, least)
		content = appendU32(appendU32(content, least), uint32(min(uint64(most), w.limits.TableSize)))
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return appendSection(out, secTable, n, content), nil
}

// elements copies the element section. The three lowest bits of a segment's flags
// say: passive or declared, with a table or declared, with expressions.
func (w *rewriter) elements(out []byte) ([]byte, error) {
	r, n := w.section(secElement)
	_, datas := w.section(secData)
	r.limit(limitSegments, uint64(n)+uint64(datas), w.limits.Segments)
	var content []byte
	var elements uint64
	for segment := range n {
		flags := r.u32()
		if flags > 7 {
			r.failf("a segment with the unknown flags 0x%x", flags)
		}
		content = appendU32(content, flags)
		table, at := uint32(0), []byte(nil)
		if flags&1 == 0 {
			if flags&2 != 0 {
				table = r.index("table", uint32(len(w.tables)))
				content = appendU32(content, table)
			}
			start := r.pos
			content = w.constant(r, content, uint32(len(w.globals)))
			at = r.buf[start:r.pos]
		}
		switch {
		case flags&3 == 0:
		case flags&4 != 0:
			content = append(content, r.refType())
		default:
			content = append(content, r.byte()) // its kind
		}
		count := r.count()
		elements += uint64(count)
		content = appendU32(content, count)
		if from, ok := number(at); ok && table < uint32(len(w.tables)) && from+uint64(count) > uint64(w.sizes[table]) {
			// Wazero would leave it out, and all behind it.
			r.failf("segment %d ends at entry %d, and its table at %d", segment, from+uint64(count), w.sizes[table])
		}
		for i := uint32(0); i < count && r.err == nil; i++ {
			if flags&4 != 0 {
				content = w.constant(r, content, uint32(len(w.globals)))
			} else {
				content = appendU32(content, w.function(r))
			}
		}
		if r.err != nil {
			break
		}
	}
	r.limit(limitElements, elements, w.limits.Elements)
	if err := r.end(); err != nil {
		return nil, err
	}
	return appendSection(out, secElement, n, content), nil
}
