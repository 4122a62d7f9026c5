package main

import (
	"strings"
	"testing"
)

// TestHostNames has private hosts listed as they are written.
func TestHostNames(t *testing.T) {
	for _, c := range []struct{ s, want string }{ // an error, or the list
		{"a.internal, *.b,10.0.0.7", "a.internal *.b 10.0.0.7"},
		{"none", ""},
		{"a,,b", `must be a list of names of hosts or patterns such as *.internal, or "none": "" is none`},
		{"[a", `must be a list of names of hosts or patterns such as *.internal, or "none": "[a" is none`},
	} {
		var private []string
		err := hostNames{&private}.Set(c.s)
		if text := strings.Join(private, " "); err == nil && text != c.want || err != nil && err.Error() != c.want {
			t.Errorf("%q is %q, err %v, want %s", c.s, text, err, c.want)
		}
	}
}
