package tick

import (
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/resonance/tick"
)

const manifest = `{
  "name": "tick",
  "version": "1.0.0",
  "transforms": [
    {
      "name": "tick.node",
      "input": "application/vnd.resonhost.tick.nodes",
      "output": "application/vnd.resonhost.tick.nodes-result",
      "timeout_ms": 1000
    },
    {
      "name": "tick.network",
      "input": "application/vnd.resonhost.tick.network",
      "output": "application/vnd.resonhost.tick.network",
      "timeout_ms": 1000
    },
    {
      "name": "tick.connection",
      "input": "application/vnd.resonhost.tick.connection",
      "output": "application/vnd.resonhost.tick.connection-result",
      "timeout_ms": 1000
    }
  ],
  "self_tests": [
    {"name": "a node that resonates and one that is stopped", "transform": "tick.node",
     "input": {"base64": "AgAAAAAAAAABAAAAAAAAAAEAAAAAAAAAAKAAzIKceUIAAAAAAKCKQAAAAAAAAFlAAAAAAAAAAAAAAAAAAADgPwAAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAA="},
     "output": {"base64": "AgAAAAAAAAABAAAAAAAAANpDtPO9dak/AAAAAAAA4D+qjbTwwjASPwAAAAAAAAAA"}},
    {"name": "a field and a pattern", "transform": "tick.network",
     "input": {"base64": "AQAAAAAAAAABAAAAAAAAAACgAMyCnHlCAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
     "output": {"base64": "AQAAAAAAAAABAAAAAAAAAACgAMyCnHlC4r4mg1+uOz8bP+rD+CpWP71dp7K1fD6/PTgxa9NKQr/9SuyOxGM4v5/dosnYbvS+AAAAAAAAAAAtQxzr4jYaPy1DHOviNho/YTJVMCqpIz9pHVVNEHUfP/Fo44i1+BQ/AAAAAAAAAAABAAAAAAAAACb5P/pjyIy/Zi6etK3Ujr8AAAAAAAAAAC1DHOviNko/AAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAzczMzMzMDEBbRLueKAjsPyNP5vybg+s//KaeOpSRgD8="}},
    {"name": "a fifth apart", "transform": "tick.connection",
     "input": {"base64": "AAAAAACAgEAAAAAAAADwPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAB2QAAAAAAAANA/AAAAAAAACEAAAAAAAAAQQA=="},
     "output": {"base64": "vSn9L8TP4z9mZmZmZmbuPw=="}}
  ]
}`

// reserved is for how many nodes with a pattern each there is room from the start:
// those of a chunk of a network. More, or more patterns, cost a new instance.
const reserved = 4096

// New returns the plugin "tick".
func New() *guest.Plugin {
	// The messages of one task serve the next again, and lie side by side: what a
	// task writes is put back by pages.
	m := new(struct {
		advanced tick.NodesResult
		network  tick.NetworkState
		ends     tick.ConnectionRequest
	})
	m.advanced.Pattern, m.advanced.Progress = make([]float64, 0, tick.MaxPatterns), make([]uint64, 0, reserved/64)
	p := guest.New(manifest,
		func(t *guest.Task) (err error) {
			nodes, err := tick.ViewNodes(t.Input)
			if err != nil {
				return err
			}
			if err := nodes.Validate(); err != nil {
				return err
			}
			m.advanced.UseRoom(t.Output, len(nodes.Strength))
			AdvanceNodes(&nodes, &m.advanced)
			t.Output, err = m.advanced.AppendBinary(t.Output)
			return err
		},
		func(t *guest.Task) (err error) {
			if err := m.network.UnmarshalBinary(t.Input); err != nil {
				return err
			}
			if err := m.network.Validate(); err != nil {
				return err
			}
			AdvanceNetwork(&m.network)
			t.Output, err = m.network.AppendBinary(t.Output)
			return err
		},
		func(t *guest.Task) (err error) {
			if err := m.ends.UnmarshalBinary(t.Input); err != nil {
				return err
			}
			if err := m.ends.Validate(); err != nil {
				return err
			}
			connection := Connect(&m.ends)
			t.Output, err = connection.AppendBinary(t.Output)
			return err
		},
	)
	return p.Reserve(32*reserved, 16*reserved)
}
