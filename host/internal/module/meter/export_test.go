package meter

// Reloop returns the body of a function without its table.
func Reloop(raw []byte) (body []byte, ok bool) { return new(flow).reloop(nil, raw) }

// Labels is how many labels of br_tables the types are looked at for in a function without
// parameters and results.
func Labels(raw []byte) uint64 {
	w := &rewriter{limits: DefaultLimits(), params: [][]byte{nil}, results: [][]byte{nil}, funcTypes: []uint32{0}}
	w.validator.validate(w, &reader{buf: raw}, 0)
	return w.validator.labels
}
