//go:build wasip1

// Command wasm is the plugin "tick".
package main

import (
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/plugins/tick"
)

func init() { guest.Export(tick.New()) }

func main() {}
