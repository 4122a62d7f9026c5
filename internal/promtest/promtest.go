// Package promtest has what tests of metrics share.
package promtest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Exposition returns what Prometheus is told, as text.
func Exposition(tb testing.TB, g prometheus.Gatherer) []byte {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "metrics.txt")
	if err := prometheus.WriteToTextfile(file, g); err != nil {
		tb.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Names holds the names of an exposition to Prometheus' rules, but for those that were promised:
// these have to break one.
func Names(tb testing.TB, exposition []byte, promised ...string) {
	tb.Helper()
	problems, err := promlint.New(bytes.NewReader(exposition)).Lint()
	if err != nil {
		tb.Fatal(err)
	}
	needed := make(map[string]bool)
	for _, name := range promised {
		needed[name] = true
	}
	broken := make(map[string]bool)
	for _, p := range problems {
		if broken[p.Metric] = true; !needed[p.Metric] {
			tb.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, name := range promised {
		if !broken[name] {
			tb.Errorf("%s needs no exception any more", name)
		}
	}
}
