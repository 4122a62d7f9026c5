package host_test

import (
	"testing"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
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
			Defaults:  host.PluginConfig{Engine: e, CompileTimeout: raceTakesLong},
		}
	}
	for name, cfg := range map[string]host.Config{
		"inline":      {Mode: host.Inline, Native: []host.Native{cascade.New(), tick.New()}},
		"compiler":    sandbox(host.EngineCompiler),
		"interpreter": sandbox(host.EngineInterpreter),
	} {
		t.Run(name, func(t *testing.T) {
			h, codecs := start(t, cfg), codec.Builtin()
			vectors.Check(t, func(name, stream string, input []byte) ([]byte, error) {
				tr, err := h.Lookup(name)
				if err != nil {
					return nil, err
				}
				c, err := codecs.For(tr)
				if err != nil {
					return nil, err
				}
				call, err := c.Decode(input)
				if err != nil {
					return nil, err
				}
				var out []byte
				if stream == "" {
					out, err = h.Run(t.Context(), name, call.Payload)
				} else {
					out, err = h.Stream(stream).Run(t.Context(), name, call.Payload)
				}
				if err != nil {
					return nil, err
				}
				return call.Encode(out)
			})
		})
	}
}
