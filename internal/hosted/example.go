package hosted

import (
	"context"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// Example starts a host with the plugins of those packages, see [guesttest.Built], for an example,
// which has no test to fail: it panics if there can be none. The example closes the host.
func Example(cfg host.Config, pkgs ...string) *host.Host {
	for _, pkg := range pkgs {
		wasm, err := guesttest.Built(pkg)
		if err != nil {
			panic(err)
		}
		cfg.Plugins = append(cfg.Plugins, host.Source{Name: guesttest.Name(pkg), WASM: wasm})
	}
	cfg.Defaults.CompileTimeout = time.Hour // as for Start
	h, err := host.New(cfg)
	if err == nil {
		err = h.Start(context.Background())
	}
	if err != nil {
		panic(err)
	}
	return h
}
