package tick

import (
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/abi/tick"
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
  ]
}`

// New returns the plugin "tick".
func New() *guest.Plugin {
	// The messages of one task serve the next again.
	var nodes tick.Nodes
	var advanced tick.NodesResult
	var network tick.NetworkState
	var ends tick.ConnectionRequest
	return guest.New(manifest,
		func(t *guest.Task) (err error) {
			if err := nodes.UnmarshalBinary(t.Input); err != nil {
				return err
			}
			if err := nodes.Validate(); err != nil {
				return err
			}
			AdvanceNodes(&nodes, &advanced)
			t.Output, err = advanced.AppendBinary(t.Output)
			return err
		},
		func(t *guest.Task) (err error) {
			if err := network.UnmarshalBinary(t.Input); err != nil {
				return err
			}
			if err := network.Validate(); err != nil {
				return err
			}
			AdvanceNetwork(&network)
			t.Output, err = network.AppendBinary(t.Output)
			return err
		},
		func(t *guest.Task) (err error) {
			if err := ends.UnmarshalBinary(t.Input); err != nil {
				return err
			}
			if err := ends.Validate(); err != nil {
				return err
			}
			connection := Connect(&ends)
			t.Output, err = connection.AppendBinary(t.Output)
			return err
		},
	)
}
