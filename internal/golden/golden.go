// Package golden compares what tests make with files that hold what is right. It is for tests.
package golden

import (
	"bytes"
	"os"
	"testing"
)

// Check fails a test if got is not what a file has. With update it writes the file first.
func Check(tb testing.TB, file string, got []byte, update bool) {
	tb.Helper()
	if update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		tb.Errorf("this is not what %s has; if it is right, run the test with -update\n%s", file, got)
	}
}
