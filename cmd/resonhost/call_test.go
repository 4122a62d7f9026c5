package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
)

func TestFailures(t *testing.T) {
	var b strings.Builder
	f := &failures{w: &b}
	f.show(1, errors.New("no host's"))
	f.show(2, &host.Error{Kind: host.KindFailed, Transform: "a", Message: "nothing was left"})
	f.show(3, &host.Error{Kind: host.KindTrap, Transform: "a", Message: "unreachable", Stack: ".run()\n\nred \x1b[31m\n"})
	want := "resonhost: line 3: a: trap: unreachable\n  | .run()\n  | \n  | red \\x1b[31m\n"
	if got := b.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}

	b.Reset()
	f = &failures{w: &b, late: true}
	for n := range 3 * maxFailures {
		f.show(n, &host.Error{Kind: host.KindTrap, Transform: "a", Message: "unreachable", Stack: ".run()"})
	}
	if got := b.String(); got != "" {
		t.Errorf("%q too early", got)
	}
	f.flush()
	got := strings.Split(b.String(), "\n")
	if want := "resonhost: what plugins left at failures after these 10 is not shown"; len(got) != 2*maxFailures+2 || got[2*maxFailures] != want {
		t.Errorf("%q, want %q at the end", got, want)
	}
}
