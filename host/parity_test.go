package host_test

import (
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/vectors"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
)

// TestVectors runs the recorded calls through a host: over native code, and over
// guests on both of wazero's engines.
func TestVectors(t *testing.T) {
	sandbox := func(e host.Engine) host.Config {
		return host.Config{
			PluginDir: guesttest.Dir(t, guesttest.Cascade, guesttest.Tick),
			Defaults:  host.PluginConfig{Engine: e},
		}
	}
	for name, cfg := range map[string]host.Config{
		"inline":      {Mode: host.ModeInline, Native: []host.Native{cascade.New(), tick.New()}},
		"compiler":    sandbox(host.EngineCompiler),
		"interpreter": sandbox(host.EngineInterpreter),
	} {
		t.Run(name, func(t *testing.T) {
			vectors.Check(t, vectors.InHost(t.Context(), hosted.Start(t, cfg)))
		})
	}
}
