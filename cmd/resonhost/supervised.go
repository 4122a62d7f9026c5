package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/resonhost/resonhost/internal/systemd"
)

// fromSystemd stands for the socket that systemd passes, where an address to listen at is expected.
const fromSystemd = "systemd"

// openListener opens the address to listen at, or takes the socket that was passed.
func (o *options) openListener(ctx context.Context) (net.Listener, error) {
	if o.listen == fromSystemd {
		l, err := systemd.Listener(os.Getenv)
		if err != nil {
			return nil, usagef("--listen %s: %w; a service with a .socket unit of its name gets one", fromSystemd, err)
		}
		return l, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return nil, listenError(o.listen, err)
	}
	return l, nil
}

// supervised tells systemd, if it asks to be told, how far a service has come.
type supervised struct {
	notifier *systemd.Notifier // nil tells nobody
	log      *slog.Logger

	mu      sync.Mutex
	failing bool // guarded by mu; it could not be told the last time
}

func newSupervised(log *slog.Logger) (*supervised, error) {
	n, err := systemd.NewNotifier(os.Getenv)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return &supervised{notifier: n, log: log}, nil
}

// tell logs the first of several failures: the service goes on.
func (s *supervised) tell(states ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.notifier.Notify(states...)
	if err != nil && !s.failing {
		s.log.Warn("systemd cannot be told of the service's state", "error", err)
	}
	s.failing = err != nil
}

// watch tells systemd that the service is alive, as often as it asks for and until stop is called, each
// time that alive returns. One that does not return has systemd end the service.
func (s *supervised) watch(alive func()) (stop func()) {
	every := s.notifier.Watchdog() / 2
	if every <= 0 {
		return func() {}
	}
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				alive()
				s.tell(systemd.Alive)
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		watch.Wait()
	}
}
