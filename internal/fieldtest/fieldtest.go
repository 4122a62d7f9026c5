// Package fieldtest checks what is said of a field that breaks a rule. It is for tests.
package fieldtest

import (
	"errors"
	"testing"

	"github.com/resonhost/resonhost/abi"
)

// Check fails a test if an error is not an [*abi.FieldError] of that text; or, where want is "", if
// there is one.
func Check(tb testing.TB, err error, want string) {
	tb.Helper()
	switch f := (*abi.FieldError)(nil); {
	case want == "":
		if err != nil {
			tb.Error(err)
		}
	case err == nil || err.Error() != want:
		tb.Errorf("err  %v\nwant %s", err, want)
	case !errors.As(err, &f):
		tb.Errorf("err is a %T, want an *abi.FieldError", err)
	}
}
