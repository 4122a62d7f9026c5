package vectors

import (
	"context"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/resonance"
)

// InHost runs calls in a host.
func InHost(ctx context.Context, h *host.Host) Caller {
	codecs := resonance.Codecs()
	return func(name, stream string, input []byte) ([]byte, error) {
		transform, err := h.Lookup(name)
		if err != nil {
			return nil, err
		}
		c, err := codecs.For(transform)
		if err != nil {
			return nil, err
		}
		call, err := c.Decode(input)
		if err != nil {
			return nil, err
		}
		run := h.Run
		if stream != "" {
			run = h.Stream(stream).Run
		}
		out, err := run(ctx, name, call.Payload)
		if err != nil {
			return nil, err
		}
		return call.Encode(out)
	}
}
