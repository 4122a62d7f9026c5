package serve

import (
	"time"

	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
)

// NetworkRequest is the body of POST /v1/networks. All of it may be left out.
type NetworkRequest struct {
	ID            string `json:"id,omitempty" doc:"Names the network: 1 to 64 letters, digits, and - . _; without it one is drawn."`
	NodePeriod    string `json:"node_period,omitempty" doc:"How often nodes tick that do not say; default 10ms." example:"10ms"`
	NetworkPeriod string `json:"network_period,omitempty" doc:"How often fields, patterns and metrics tick; default 100ms." example:"100ms"`
}

// Network is a network as it is.
type Network struct {
	ID             string        `json:"id" doc:"The network's ID."`
	Created        time.Time     `json:"created" doc:"When it was created."`
	Nodes          int           `json:"nodes" doc:"How many nodes it has."`
	Active         int           `json:"active" doc:"How many of them are not stopped."`
	MaxNodes       int           `json:"max_nodes" doc:"How many it may have."`
	Connections    int           `json:"connections" doc:"How many connections it has."`
	MaxConnections int           `json:"max_connections" doc:"How many it may have."`
	NowMS          float64       `json:"now_ms" doc:"The network's clock, in ms since it was created."`
	Ticks          uint64        `json:"ticks" doc:"How often nodes of one period, or the network, were advanced."`
	Coalesced      uint64        `json:"ticks_coalesced" doc:"How many further ticks a later one stood for."`
	Failed         uint64        `json:"ticks_failed" doc:"How many ticks had a task that failed."`
	State          *tick.Network `json:"state,omitempty" doc:"Fields, patterns and metrics. The list of networks does not have it."`
}

// Networks is the answer of GET /v1/networks.
type Networks struct {
	Networks []Network `json:"networks" doc:"The caller's networks."`
}

// NodeRequest is the body of POST /v1/networks/{network}/nodes. All of it may be left out.
type NodeRequest struct {
	ID        string   `json:"id,omitempty" doc:"1 to 128 bytes of printable ASCII; without it node-N."`
	Frequency float64  `json:"frequency,omitempty" doc:"In Hz, above 0 and at most 1e6; default 100."`
	Strength  float64  `json:"resonance_strength,omitempty" doc:"From 0 to 1; default 0."`
	State     string   `json:"state,omitempty" doc:"resonating, the default, or stopped."`
	Patterns  []string `json:"harmonic_patterns,omitempty" doc:"The names of the network's patterns that the node drives, at most 64."`
	Period    string   `json:"period,omitempty" doc:"How often the node ticks, such as 20ms; default the network's node_period." example:"20ms"`
}

// Node is a node as it is.
type Node struct {
	ID          string               `json:"id" doc:"The node's ID."`
	Frequency   float64              `json:"frequency" doc:"Its frequency in Hz."`
	Strength    float64              `json:"resonance_strength" doc:"Its strength, from 0 to 1."`
	State       tick.NodeState       `json:"state" doc:"Whether it ticks."`
	Patterns    []string             `json:"harmonic_patterns" doc:"The names of the network's patterns that it drives."`
	PeriodS     float64              `json:"period_seconds" doc:"How often it ticks."`
	Index       int                  `json:"index" doc:"How many nodes were created before it."`
	Position    tick.Position        `json:"position" doc:"Where on the spiral that puts it."`
	Connections []network.Connection `json:"connections,omitempty" doc:"Those of the node. The list of nodes does not have them."`
}

// Nodes is the answer of GET /v1/networks/{network}/nodes.
type Nodes struct {
	Nodes []Node `json:"nodes" doc:"The nodes, in the order of their creation."`
	Total int    `json:"total" doc:"How many there are."`
}

// ConnectionRequest is the body of POST /v1/networks/{network}/connections: the IDs of two nodes.
type ConnectionRequest struct {
	A string `json:"a" doc:"The ID of one node."`
	B string `json:"b" doc:"The ID of the other."`
}

func wireNode(n *network.Node) Node {
	return Node{
		ID: n.ID, Frequency: n.Frequency, Strength: n.Strength, State: n.State, Patterns: n.Patterns,
		PeriodS: n.Period.Seconds(), Index: n.Index, Position: n.Position,
	}
}
