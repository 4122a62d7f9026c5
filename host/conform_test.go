package host_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// faults are the faults of a plugin by the checks that found them.
func faults(tb testing.TB, s host.Source) (kind string, found map[string]string) {
	tb.Helper()
	c, err := host.Conform(tb.Context(), s, host.Config{Defaults: host.PluginConfig{RunTimeout: 2 * time.Second, InitTimeout: 20 * time.Second}})
	if err != nil {
		tb.Fatal(err)
	}
	found = make(map[string]string)
	for _, check := range c.Checks {
		if check.Section == "" || check.Name == "" {
			tb.Errorf("%s: a check without a name or section: %+v", s.Name, check)
		}
		if check.Fault != "" {
			found[check.Name] = check.Fault
		}
	}
	if c.Passed() != (len(found) == 0) {
		tb.Errorf("%s: it has passed: %v, with %v", s.Name, c.Passed(), found)
	}
	return c.Kind, found
}

// TestConform has guests that keep the contract pass, and each that breaks it fail by the check that is
// for that.
func TestConform(t *testing.T) {
	const (
		load     = "is a module within the limits"
		linked   = "imports and exports what it may and must"
		describe = "describes itself by a valid manifest"
		selfTest = "passes its self-tests"
		counts   = "answers frames of 0, 1 and 64 items"
		room     = "gives room at multiples of 8, within its memory"
	)
	for name, want := range map[string]string{
		"text": load, "component": load, "truncated": load,
		"no-memory": linked, "no-run": linked, "bad-signature": linked, "unknown-import": linked, "command": linked,
		"init-trap": "initialises", "start-trap": "initialises",
		"abi-2": describe, "describe-notjson": describe, "describe-wild": describe,
		"selftest-fails":  selfTest,
		"unaligned-alloc": room, "wild-alloc": room,
		"leak": counts, "edge-alloc": room,
	} {
		_, found := faults(t, handWritten(t, name))
		if found[want] == "" {
			t.Errorf("%s: the faults are %v, want one of %q", name, found, want)
		}
	}
	for _, pkg := range []string{"./testdata/guests/echo", guesttest.Shout} {
		if kind, found := faults(t, host.Source{Name: guesttest.Name(pkg), WASM: guesttest.Build(t, pkg)}); kind != "native" || len(found) > 0 {
			t.Errorf("%s, a %s: %v", pkg, kind, found)
		}
	}
}

// TestConformUntested has a plugin without self-tests pass none of the checks that are of them.
func TestConformUntested(t *testing.T) {
	const echo = "name: x\ntransforms: [{name: x.echo}]"
	for file, want := range map[string]int{echo: 0, echo + "\nself_tests: [{name: a, transform: x.echo, input: abc, output: abc}]": 3} {
		s := handWritten(t, "extism")
		s.Name, s.Companion = "x", []byte(file)
		c, err := host.Conform(t.Context(), s, host.Config{})
		if err != nil {
			t.Fatal(err)
		}
		tested := 0
		for _, check := range c.Checks {
			if strings.Contains(check.Name, "self-tests") && check.Skipped == "" && check.Fault == "" {
				tested++
			}
		}
		if tested != want || !c.Passed() {
			t.Errorf("%s: %d checks of self-tests were made, want %d: %+v", file, tested, want, c.Checks)
		}
	}
}

// TestConformEnds has the context end the checks.
func TestConformEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := host.Conform(ctx, handWritten(t, "leak"), host.Config{}); !errors.Is(err, cause) {
		t.Errorf("a context that has ended: %v", err)
	}
}
