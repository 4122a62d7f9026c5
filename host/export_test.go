package host

// Interrupted reports whether Close has lost its patience.
func (h *Host) Interrupted() bool { return h.life.ctx.Err() != nil }

// Closing reports whether Close has begun.
func (h *Host) Closing() bool { return h.life.is(stageClosing) }

// Starting reports whether Start is under way.
func (h *Host) Starting() bool {
	return h.life.is(stageStarting)
}

// SaveStateSoon has what has changed saved as at the end of an interval.
func (h *Host) SaveStateSoon() { h.runner.keeper.Wake() }

// JudgeCanary has a plugin's canary judged at once.
func (h *Host) JudgeCanary(plugin string) {
	p, err := h.plugins.find(plugin)
	if err != nil {
		panic(err)
	}
	p.serving.Load().trial.JudgeNow()
}

// CanaryFault is what a canary of a plugin is to be rolled back for, "" for nothing.
func (h *Host) CanaryFault(plugin string) string {
	p, err := h.plugins.find(plugin)
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
	p, err := h.plugins.find(plugin)
	if err != nil {
		panic(err)
	}
	return p.current().sampler != nil
}

// SpoilSamples has the interpreter be unable to load a plugin. No task of it has run.
func (h *Host) SpoilSamples(plugin string) {
	p, err := h.plugins.find(plugin)
	if err != nil {
		panic(err)
	}
	p.current().record.source.WASM = nil
}
