// Package hosted has hosts for tests.
package hosted

import (
	"context"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
)

// Start starts a host, which is closed when the test has ended. It fails the test if either
// cannot be. Compiling may take an hour, unless cfg says: a machine with other work takes long,
// and so does the race detector.
func Start(tb testing.TB, cfg host.Config) *host.Host {
	tb.Helper()
	if cfg.Defaults.CompileTimeout == 0 {
		cfg.Defaults.CompileTimeout = time.Hour
	}
	h, err := host.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := h.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return h
}
