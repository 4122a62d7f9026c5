package network

import "github.com/resonhost/resonhost/host"

// SetRunner has r do the tasks of ticks. It is called before Start.
func (n *Network) SetRunner(r host.Runner) { n.client = r }
