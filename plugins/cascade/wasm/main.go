//go:build wasip1

// Command wasm is the plugin "cascade".
package main

import (
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/plugins/cascade"
)

func init() { guest.Export(cascade.New()) }

func main() {}
