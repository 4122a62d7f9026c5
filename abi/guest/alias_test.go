package guest_test

import (
	"bytes"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
)

// TestSharedMemory has a transform that builds output and next state in the one
// buffer it is given, in either order.
func TestSharedMemory(t *testing.T) {
	const output, state = "out", "a longer state"
	for name, c := range map[string]struct {
		appended string
		part     func(all []byte) (output, state []byte)
	}{
		"output first": {output + state, func(all []byte) ([]byte, []byte) { return all[:len(output)], all[len(output):] }},
		"state first":  {state + output, func(all []byte) ([]byte, []byte) { return all[len(state):], all[:len(state)] }},
		"state within": {output, func(all []byte) ([]byte, []byte) { return all, all[1:] }},
	} {
		t.Run(name, func(t *testing.T) {
			p := guest.New("", func(t *guest.Task) error {
				t.Output, t.NextState = c.part(append(t.Output, c.appended...))
				return nil
			})
			_, next := c.part([]byte(c.appended))
			for range 3 { // the later times with room in the plugin's buffer
				for i, got := range run(t, p, abi.Item{}, abi.Item{}) {
					if string(got.Payload) != output || !bytes.Equal(got.State, next) {
						t.Errorf("item %d: output %q, state %q, want %q, %q", i, got.Payload, got.State, output, next)
					}
				}
			}
		})
	}
}
