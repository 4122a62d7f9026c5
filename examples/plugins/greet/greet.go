//go:build wasip1

// Greet is a plugin whose payloads are JSON.
package main

import (
	"encoding/json"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
)

const manifest = `{
  "name": "greet", "version": "1.0.0",
  "transforms": [{"name": "greet", "input": "application/json", "output": "application/json"}],
  "self_tests": [{"name": "a name", "transform": "greet", "input": "{\"name\": \"Ann\"}", "output": "{\"greeting\":\"Hello, Ann\"}"}]
}`

func init() { guest.Export(guest.New(manifest, greet)) }

func main() {}

func greet(t *guest.Task) error {
	var in struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return &abi.FieldError{Field: "input", Rule: "must be an object with a name: " + err.Error()}
	}
	if in.Name == "" {
		return &abi.FieldError{Field: "name", Rule: "must not be empty"}
	}
	out, err := json.Marshal(map[string]string{"greeting": "Hello, " + in.Name})
	t.Output = append(t.Output, out...)
	return err
}
