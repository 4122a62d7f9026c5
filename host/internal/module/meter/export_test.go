package meter

// Reloop returns the body of a function without its table.
func Reloop(raw []byte) (body []byte, ok bool) { return new(flow).reloop(nil, raw) }
