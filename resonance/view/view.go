// Package view has what the dashboard needs to show cascade and networks of nodes: modules of
// ECMAScript, of the form that package server/dashboard describes.
package view

import _ "embed"

//go:embed cascade.js
var cascade []byte

//go:embed network.js
var network []byte

// Network returns the module that is the page of networks of nodes.
func Network() []byte { return network }

// Cascade returns the module that shows results of the transform cascade.
func Cascade() []byte { return cascade }
