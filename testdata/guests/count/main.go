// Count answers with how many tasks of its stream have succeeded before.
package main

import (
	"encoding/binary"
	"errors"
	"os"

	"github.com/resonhost/resonhost/abi/guest"
)

const manifest = `{
  "name": "count",
  "version": "1.0.0",
  "transforms": [
    {"name": "count", "input": "text/plain", "output": "application/octet-stream", "state_bytes": 8}
  ]
}`

func init() { guest.Export(guest.New(manifest, count)) }

func count(t *guest.Task) error {
	switch string(t.Input) {
	case "fail":
		return errors.New("as was asked")
	case "exit":
		os.Exit(3)
	}
	n := uint64(0)
	if len(t.State) > 0 {
		n = binary.LittleEndian.Uint64(t.State)
	}
	t.Output = binary.LittleEndian.AppendUint64(t.Output, n)
	t.NextState = binary.LittleEndian.AppendUint64(nil, n+1)
	return nil
}

func main() {}
