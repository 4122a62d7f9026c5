package spell_test

import (
	"testing"

	"github.com/resonhost/resonhost/internal/spell"
)

func TestDidYouMean(t *testing.T) {
	known := []string{"phiValue", "run", "inspect", "a", "tick.node", "tick.network"}
	for name, want := range map[string]string{
		"phiValu":  `; did you mean "phiValue"?`,
		"PHIVALUE": `; did you mean "phiValue"?`,
		"inspetc":  `; did you mean "inspect"?`,
		"rum":      `; did you mean "run"?`,
		"rnu":      `; did you mean "run"?`,
		"phi":      `; did you mean "phiValue"?`,
		"Ins":      `; did you mean "inspect"?`,
		"in":       "",
		"tic":      "",
		"tick.":    "",
		"b":        "",
		"serve":    "",
		"":         "",
	} {
		if got := spell.DidYouMean(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := spell.DidYouMean("x", nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestThereAre(t *testing.T) {
	for want, known := range map[string][]string{
		"":                         nil,
		"; there is only words":    {"words"},
		"; there are words, lines": {"words", "lines"},
	} {
		if got := spell.ThereAre(known); got != want {
			t.Errorf("%q: %q, want %q", known, got, want)
		}
	}
}
