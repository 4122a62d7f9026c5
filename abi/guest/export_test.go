package guest

// Alloc is alloc, which the exported functions of a module call.
func (p *Plugin) Alloc(n uint32) []byte { return p.alloc(n) }
