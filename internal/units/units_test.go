package units_test

import (
	"testing"

	"github.com/resonhost/resonhost/internal/units"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "65536": 65536, "64MiB": 64 << 20, "64 mib": 64 << 20, "1.5GB": 1_500_000_000, "1k": 1000, "1Ki": 1024,
		"10B": 10, "16EiB": 0, "18446744073709551615": 1<<64 - 1, "0.5KiB": 512,
	} {
		got, err := units.ParseSize(s)
		if got != want || (err != nil) != (s == "16EiB") {
			t.Errorf("%s: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "MiB", "-1", "1.2.3", "1X", "1i", "1 Mi B", "18446744073709551616", "1e3", "∞", "1ib"} {
		if got, err := units.ParseSize(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	f.Add("64MiB")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = units.ParseSize(s) })
}
