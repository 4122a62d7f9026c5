//go:build wasip1

// Command echo is a plugin of resonhost that answers with its input.
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

// room is for the largest frame of the measurements, 1 MiB and its headers.
const room = 1<<20 + 4<<10

func init() { guest.Export(guest.New(manifest, echo).Reserve(room, room)) }

func echo(t *guest.Task) error {
	t.Output = append(t.Output, t.Input...)
	return nil
}

func main() {}
