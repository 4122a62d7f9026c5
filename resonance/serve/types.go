package serve

import (
	"time"

	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
)

// NetworkRequest is the body of POST /v1/networks. All of it may be left out.
type NetworkRequest struct {
	// ID names the network: 1 to 64 letters, digits, and - . _; default one that is drawn.
	ID string `json:"id,omitempty"`
	// NodePeriod is how often nodes tick that do not say; default 10ms. NetworkPeriod is that of
	// fields, patterns and metrics; default 100ms.
	NodePeriod    string `json:"node_period,omitempty"`
	NetworkPeriod string `json:"network_period,omitempty"`
}

// Network is a network as it is.
type Network struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	// Nodes is how many there are, and Active how many of them are not stopped.
	Nodes          int `json:"nodes"`
	Active         int `json:"active"`
	MaxNodes       int `json:"max_nodes"`
	Connections    int `json:"connections"`
	MaxConnections int `json:"max_connections"`
	// NowMS is the network's clock, in ms since it was created.
	NowMS float64 `json:"now_ms"`
	// Ticks is how often nodes of one period, or the network, were advanced. Of those Failed had a
	// task that failed. For Coalesced further ones a later one stood.
	Ticks     uint64 `json:"ticks"`
	Coalesced uint64 `json:"ticks_coalesced"`
	Failed    uint64 `json:"ticks_failed"`
	// State has fields, patterns and metrics. The list of networks does not have it.
	State *tick.Network `json:"state,omitempty"`
}

// Networks is the answer of GET /v1/networks.
type Networks struct {
	Networks []Network `json:"networks"`
}

// NodeRequest is the body of POST /v1/networks/{network}/nodes. All of it may be left out.
type NodeRequest struct {
	// ID is 1 to 128 bytes of printable ASCII; default node-N.
	ID string `json:"id,omitempty"`
	// Frequency is in Hz, above 0 and at most 1e6; default 100.
	Frequency float64 `json:"frequency,omitempty"`
	// Strength is within 0 and 1.
	Strength float64 `json:"resonance_strength,omitempty"`
	// State is resonating, the default, or stopped.
	State string `json:"state,omitempty"`
	// Patterns are the names of the network's that the node drives, at most 64.
	Patterns []string `json:"harmonic_patterns,omitempty"`
	// Period is how often the node ticks, such as 20ms; default the network's node_period.
	Period string `json:"period,omitempty"`
}

// Node is a node as it is.
type Node struct {
	ID        string         `json:"id"`
	Frequency float64        `json:"frequency"`
	Strength  float64        `json:"resonance_strength"`
	State     tick.NodeState `json:"state"`
	Patterns  []string       `json:"harmonic_patterns"`
	PeriodS   float64        `json:"period_seconds"`
	// Index is how many nodes were created before it, and Position where that puts it.
	Index    int           `json:"index"`
	Position tick.Position `json:"position"`
	// Connections are those of the node. The list of nodes does not have them.
	Connections []network.Connection `json:"connections,omitempty"`
}

// Nodes is the answer of GET /v1/networks/{network}/nodes.
type Nodes struct {
	Nodes []Node `json:"nodes"`
	// Total is how many there are.
	Total int `json:"total"`
}

// ConnectionRequest is the body of POST /v1/networks/{network}/connections: the IDs of two nodes.
type ConnectionRequest struct {
	A string `json:"a"`
	B string `json:"b"`
}

func wireNode(n *network.Node) Node {
	return Node{
		ID: n.ID, Frequency: n.Frequency, Strength: n.Strength, State: n.State, Patterns: n.Patterns,
		PeriodS: n.Period.Seconds(), Index: n.Index, Position: n.Position,
	}
}
