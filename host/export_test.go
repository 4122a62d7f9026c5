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

// ParseTests reads Source.Tests.
func ParseTests(doc []byte) error {
	_, err := parseTests(doc)
	return err
}

// JudgeCanary has a plugin's canary judged at once.
func (h *Host) JudgeCanary(plugin string) {
	p, err := h.find(plugin)
	if err != nil {
		panic(err)
	}
	p.serving.Load().trial.JudgeNow()
}

// CanaryFault is what a canary of a plugin is to be rolled back for, "" for nothing.
func (h *Host) CanaryFault(plugin string) string {
	p, err := h.find(plugin)
	if err != nil {
		panic(err)
	}
	s := p.serving.Load()
	if s.trial == nil {
		return "it is gone"
	}
	return s.trial.Fault(p.cfg.canaryLimits(), true)
}

// Samples reports whether tasks of a plugin are compared with the interpreter.
func (h *Host) Samples(plugin string) bool {
	p, err := h.find(plugin)
	if err != nil {
		panic(err)
	}
	return p.now().sampler != nil
}

// SpoilSamples has the interpreter be unable to load a plugin. No task of it has run.
func (h *Host) SpoilSamples(plugin string) {
	p, err := h.find(plugin)
	if err != nil {
		panic(err)
	}
	p.now().record.source.WASM = nil
}
