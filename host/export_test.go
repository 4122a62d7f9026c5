package host

// Interrupted reports whether Close has lost its patience.
func (h *Host) Interrupted() bool { return h.ctx.Err() != nil }
