package host

import "sync/atomic"

// service is what tasks have to do with of a plugin.
type service struct {
	cfg PluginConfig
	// serving is what tasks run on; nil while nothing serves. One pointer, so that a
	// swap is one store.
	serving atomic.Pointer[serving]
	paused  atomic.Bool
}

// current returns the version that serves, nil if none does.
func (s *service) current() *version {
	if now := s.serving.Load(); now != nil {
		return now.current
	}
	return nil
}

// serving is what the tasks of a plugin run on.
type serving struct {
	current *version
	trial   *trial // of a canary; nil without
}

// versions are those that serve: none of a nil serving.
func (s *serving) versions() []*version {
	switch {
	case s == nil:
		return nil
	case s.trial == nil:
		return []*version{s.current}
	}
	return []*version{s.current, s.trial.version}
}
