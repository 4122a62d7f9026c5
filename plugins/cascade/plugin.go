package cascade

import (
	"github.com/resonhost/resonhost/abi/cascade"
	"github.com/resonhost/resonhost/abi/guest"
)

const manifest = `{
  "name": "cascade",
  "version": "1.0.0",
  "transforms": [
    {
      "name": "cascade",
      "input": "application/vnd.resonhost.cascade.state",
      "output": "application/vnd.resonhost.cascade.result",
      "state_bytes": 656,
      "timeout_ms": 1000
    }
  ],
  "self_tests": [
    {"name": "two values", "transform": "cascade",
     "input": {"base64": "mpmZmZmZ6T8AAAAAAADoPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADALMiZAQAAAQAAAAAAAAA="},
     "output": {"base64": "AAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAMAAAAAAAAAAMAsyJkBAACtPDBGLsXYPwAAAAAAAAAAAAAAAAAAAAAS5ClBnlLxPzW2+iWSoOw//Aopnsev6D+oCHycbXjlPyhoVyzi/uI/AAAAAAAA8D8AAAAAAAAAAAAAAAAAAAAAAAAAAAAA4D8AAAAAAAAAABLkKUGeUvE/EEyhrr5y2D/2xjebj0LhP5qZmZmZmXVAAAAAAADAeEAQTKGuvnLYP/bGN5uPQuE/mpmZmZmZhUAAAAAAAMCIQBBMoa6+ctg/9sY3m49C4T+amZmZmZmVQAAAAAAAwJhAEEyhrr5y2D/2xjebj0LhP5qZmZmZmaVAAAAAAADAqEAQTKGuvnLYP/bGN5uPQuE/mpmZmZmZtUAAAAAAAMC4QBBMoa6+ctg/9sY3m49C4T+amZmZmZnFQAAAAAAAwMhAEEyhrr5y2D/2xjebj0LhP5qZmZmZmdVAAAAAAADA2EAQTKGuvnLYP/bGN5uPQuE/mpmZmZmZ5UAAAAAAAMDoQA=="}},
    {"name": "out of bounds", "transform": "cascade", "status": 1,
     "input": {"base64": "AABA5ZwwokIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}
  ]
}`

// New returns the plugin "cascade".
func New() *guest.Plugin {
	// The messages of one task serve the next again.
	var state cascade.State
	var history cascade.History
	var result cascade.Result
	var next []byte
	return guest.New(manifest, func(t *guest.Task) (err error) {
		if err := state.UnmarshalBinary(t.Input); err != nil {
			return err
		}
		if err := state.Validate(); err != nil {
			return err
		}
		if err := history.UnmarshalBinary(t.State); err != nil {
			return err
		}
		Analyze(&state, &history, &result)
		if next, err = history.AppendBinary(next[:0]); err != nil {
			return err
		}
		t.NextState = next
		t.Output, err = result.AppendBinary(t.Output)
		return err
	})
}
