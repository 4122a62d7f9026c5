// Echo answers with its input.
package main

import "github.com/resonhost/resonhost/abi/guest"

const manifest = `{
  "name": "echo",
  "version": "1.0.0",
  "transforms": [
    {"name": "echo", "input": "application/octet-stream", "output": "application/octet-stream"}
  ],
  "self_tests": [
    {"name": "greeting", "transform": "echo", "input": "hello", "output": "hello"}
  ]
}`

func init() { guest.Export(guest.New(manifest, echo)) }

func echo(t *guest.Task) error {
	t.Output = append(t.Output, t.Input...)
	return nil
}

func main() {}
