package plugins_test

import (
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/vectors"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance"
)

// TestVectors runs the transforms natively, without a host.
func TestVectors(t *testing.T) {
	type served struct {
		plugin *guest.Plugin
		index  uint32
		codec  codec.Codec
	}
	transforms := make(map[string]served)
	for _, p := range []*guest.Plugin{cascade.New(), tick.New()} {
		m, err := manifest.Parse([]byte(p.Manifest()))
		if err != nil {
			t.Fatal(err)
		}
		for i, spec := range m.Transforms {
			c, err := resonance.Codecs().For(host.Transform{Name: spec.Name, Input: spec.Input, Output: spec.Output})
			if err != nil {
				t.Fatal(err)
			}
			transforms[spec.Name] = served{p, uint32(i), c}
		}
	}
	states := make(map[string][]byte)
	vectors.Check(t, func(transform, stream string, input []byte) ([]byte, error) {
		s := transforms[transform]
		call, err := s.codec.Decode(input)
		if err != nil {
			return nil, err
		}
		item := abi.Item{Payload: call.Payload}
		if stream != "" {
			item.State = states[stream]
		}
		frame, err := s.plugin.Run(s.index, abi.AppendInput(nil, []abi.Item{item}))
		if err != nil {
			return nil, err
		}
		out, err := abi.ReadOutput(frame)
		if err != nil {
			return nil, err
		}
		r, err := out.Next()
		if err != nil {
			return nil, err
		}
		if stream != "" {
			states[stream] = append([]byte(nil), r.State...)
		}
		return call.Encode(r.Payload)
	})
}
