package host

// Interrupted reports whether Close has lost its patience.
func (h *Host) Interrupted() bool { return h.ctx.Err() != nil }

// Closing reports whether Close has begun.
func (h *Host) Closing() bool { return h.isClosing() }

// Starting reports whether Start is under way.
func (h *Host) Starting() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state == starting
}
