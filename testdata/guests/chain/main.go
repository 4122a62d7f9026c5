// Chain answers with its state: how many tasks its stream has had, and a sum of all of them. Each sum
// depends on the one before and on the input.
package main

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/resonhost/resonhost/abi/guest"
)

const manifest = `{
  "name": "chain",
  "version": "1.0.0",
  "transforms": [
    {"name": "chain", "input": "text/plain", "output": "application/octet-stream", "state_bytes": 16}
  ]
}`

func init() { guest.Export(guest.New(manifest, chain)) }

func chain(t *guest.Task) error {
	n := uint64(0)
	if len(t.State) > 0 {
		n = binary.LittleEndian.Uint64(t.State)
	}
	h := fnv.New64a()
	_, _ = h.Write(t.State)
	_, _ = h.Write(t.Input)
	t.NextState = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, n+1), h.Sum64())
	t.Output = append(t.Output, t.NextState...)
	return nil
}

func main() {}
