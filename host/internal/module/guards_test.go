package module_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// TestGuards has guests give the results of wazero's interpreter that its compiler makes wrong code
// of; and says when it no longer does.
func TestGuards(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var texts, numbers [][]byte
	for i := range 90 {
		texts = append(texts, fmt.Append(nil, 10+i))
		bytes := make([]byte, 19*8)
		for i := range bytes {
			bytes[i] = byte(random.Uint32())
		}
		numbers = append(numbers, bytes)
	}
	for _, c := range []struct {
		guest  string
		guard  meter.Guards
		inputs [][]byte
		first  string // what the first comes to
	}{
		{"guard-select", meter.GuardSelect, texts, "3fe8ba3347c5fb673febee088892fb25"},
		{"guard-convert", meter.GuardConvert, numbers, ""},
	} {
		outputs := func(opts module.Options) []string {
			opts.CallDepth = 100
			m := load(t, c.guest, opts)
			in := instantiate(t, m)
			var all []string
			for _, input := range c.inputs {
				results := make([]abi.Result, 1)
				if err := run(t.Context(), in, 0, []abi.Item{{Payload: input}}, results); err != nil || results[0].Status != abi.StatusOK {
					t.Fatalf("%s: %v, %v", c.guest, results[0].Status, err)
				}
				all = append(all, string(results[0].Payload))
			}
			return all
		}
		opts := options()
		opts.Interpret = true
		want := outputs(opts)
		if got := want[0]; c.first != "" && got[:len(c.first)] != c.first {
			t.Errorf("%s: the first result is %s", c.guest, got)
		}
		for _, interrupt := range []module.Interrupt{module.Metered, module.Off, module.Runtime} {
			opts := options()
			opts.Interrupt = interrupt
			if !slices.Equal(outputs(opts), want) {
				t.Errorf("%s, %v: other results than the interpreter's", c.guest, interrupt)
			}
		}
		if meter.GuardsFor(runtime.GOARCH)&c.guard == 0 {
			continue
		}
		opts = options()
		opts.Unguarded = true
		if slices.Equal(outputs(opts), want) {
			t.Errorf("guard %v is no longer needed with this wazero: remove it", c.guard)
		}
	}
}
