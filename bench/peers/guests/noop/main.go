//go:build wasip1

// Command noop is a plugin of resonhost that does nothing.
package main

import "github.com/resonhost/resonhost/abi/guest"

const manifest = `{
  "name": "noop",
  "version": "1.0.0",
  "transforms": [
    {"name": "noop", "input": "application/octet-stream", "output": "application/octet-stream"}
  ],
  "self_tests": [
    {"name": "nothing", "transform": "noop", "input": "", "output": ""}
  ]
}`

func init() { guest.Export(guest.New(manifest, func(*guest.Task) error { return nil })) }

func main() {}
