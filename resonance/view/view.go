// Package view has what the dashboard needs to show cascade, tick and networks of nodes: modules of
// ECMAScript, of the form that package server/dashboard describes.
package view

import _ "embed"

//go:embed cascade.js
var cascade []byte

//go:embed tick_node.js
var tickNode []byte

//go:embed tick_network.js
var tickNetwork []byte

//go:embed tick_connection.js
var tickConnection []byte

//go:embed network.js
var network []byte

// TickNode returns the module that has an argument of tick.node to begin with.
func TickNode() []byte { return tickNode }

// TickNetwork returns that of tick.network.
func TickNetwork() []byte { return tickNetwork }

// TickConnection returns that of tick.connection.
func TickConnection() []byte { return tickConnection }

// Network returns the module that is the page of networks of nodes.
func Network() []byte { return network }

// Cascade returns the module that shows results of the transform cascade.
func Cascade() []byte { return cascade }
