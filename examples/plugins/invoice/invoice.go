//go:build wasip1

// Invoice is a plugin that calls a function of its host's program.
package main

import (
	"encoding/json"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
)

const manifest = `{
  "name": "invoice", "version": "1.0.0",
  "transforms": [{"name": "invoice", "input": "application/json", "output": "application/json"}],
  "self_tests": [{"name": "nothing", "transform": "invoice", "input": "{}", "output": "{\"cents\":0}"}]
}`

func init() { guest.Export(guest.New(manifest, invoice)) }

func main() {}

// invoice adds up what so many of each item cost.
func invoice(t *guest.Task) error {
	var items map[string]int
	if err := json.Unmarshal(t.Input, &items); err != nil {
		return &abi.FieldError{Field: "input", Rule: "must be an object of numbers: " + err.Error()}
	}
	total := 0
	for item, n := range items {
		cents, err := price(item)
		if err != nil {
			return err
		}
		total += n * cents
	}
	out, err := json.Marshal(map[string]int{"cents": total})
	t.Output = append(t.Output, out...)
	return err
}

// price asks the host's program.
func price(item string) (cents int, err error) {
	arg, err := json.Marshal(item)
	if err != nil {
		return 0, err
	}
	result, err := guest.Call("price", arg)
	if err != nil {
		return 0, err
	}
	err = json.Unmarshal(result, &cents)
	return cents, err
}
