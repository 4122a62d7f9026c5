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
	p.serving.Load().trial.alarm <- struct{}{}
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
	return s.trial.fault(&p.cfg, true)
}

// FormsOfJSON is the default of Config.JSON.
var FormsOfJSON = formsOfJSON
