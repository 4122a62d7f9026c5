//go:build wasip1

// Louder is version 2 of the plugin shout, for the example hotswap.
package main

import (
	"bytes"

	"github.com/resonhost/resonhost/abi/guest"
)

// The name is that of version 1: a host swaps the one for the other.
const manifest = `{
  "name": "shout", "version": "2.0.0",
  "transforms": [{"name": "shout", "input": "text/plain", "output": "text/plain"}],
  "self_tests": [{"name": "a word", "transform": "shout", "input": "hello", "output": "HELLO!!!"}]
}`

func init() { guest.Export(guest.New(manifest, shout)) }

func main() {}

func shout(t *guest.Task) error {
	t.Output = append(append(t.Output, bytes.ToUpper(t.Input)...), "!!!"...)
	return nil
}
