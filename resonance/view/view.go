// Package view has what the dashboard needs to show cascade and networks of nodes: modules of
// ECMAScript, of the form that package server/dashboard describes.
package view

import _ "embed"

//go:embed cascade.js
var cascade []byte

// Cascade returns the module that shows results of the transform cascade.
func Cascade() []byte { return cascade }
