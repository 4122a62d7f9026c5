package hosttest

import (
	"testing"

	"github.com/resonhost/resonhost/host"
)

// Conform checks that a plugin's file, NAME.wasm, keeps the contract of its kind, as resonhost conform
// does: each check is a subtest. cfg is as [Load] has it.
func Conform(tb testing.TB, file string, cfg host.Config) {
	tb.Helper()
	s := read(tb, file, cfg)
	c, err := host.Conform(tb.Context(), s, prepared(tb, cfg))
	if err != nil {
		tb.Fatal(err)
	}
	for _, check := range c.Checks {
		sub(tb, check.Name, func(tb testing.TB) {
			tb.Helper()
			switch {
			case check.Fault != "" && check.Section != "":
				tb.Errorf("%s (%s)", check.Fault, check.Section)
			case check.Fault != "":
				tb.Error(check.Fault)
			case check.Skipped != "":
				tb.Logf("not checked: %s", check.Skipped)
			}
		})
	}
}
