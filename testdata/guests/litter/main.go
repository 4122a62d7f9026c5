// Litter leaves a KiB of garbage for each byte of its input.
package main

import "github.com/resonhost/resonhost/abi/guest"

const manifest = `{
  "name": "litter",
  "version": "1.0.0",
  "transforms": [
    {"name": "litter", "input": "text/plain", "output": "text/plain"}
  ],
  "self_tests": [
    {"name": "little", "transform": "litter", "input": "x", "output": "ok"}
  ]
}`

var litter [][]byte // which escapes

func init() {
	guest.Export(guest.New(manifest, func(t *guest.Task) error {
		litter = litter[:0]
		for range t.Input {
			litter = append(litter, make([]byte, 1<<10))
		}
		t.Output = append(t.Output, "ok"...)
		return nil
	}))
}

func main() {}
