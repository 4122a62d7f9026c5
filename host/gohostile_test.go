package host_test

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// TestGoGuest has what takes a Go runtime to go wrong.
func TestGoGuest(t *testing.T) {
	var log bytes.Buffer
	h := hosted.Start(t, host.Config{
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
		Plugins: []host.Source{{Name: "gohostile", WASM: guesttest.Build(t, "./testdata/guests/gohostile")}},
		// Each task has an instance of its own, so that none meets the goroutines
		// of another.
		Defaults: host.PluginConfig{MaxCalls: 1, RunTimeout: 5 * time.Second, MemoryLimit: 64 << 20},
	})
	crashes := []host.Kind{host.KindTrap, host.KindExit}
	for _, c := range []struct {
		transform string
		kinds     []host.Kind // none for a task that succeeds
		stack     string      // a part of the error's
		words     string      // an expression that the error's message matches
	}{
		{"gohostile.error", []host.Kind{host.KindFailed}, "", `^cannot$`},
		{"gohostile.invalid", []host.Kind{host.KindInvalidArgument}, "", ""},
		{"gohostile.panic", []host.Kind{host.KindFailed}, "", `^panic: on purpose, in main\.panics \(gohostile/main\.go:\d+\)`},
		{"gohostile.nilpanic", []host.Kind{host.KindFailed}, "", `nil pointer dereference, in main\.dereference \(gohostile/main\.go:\d+\)`},
		{"gohostile.exit", []host.Kind{host.KindExit}, "", ""},
		// Go grows its stack first, until the memory or the time is up.
		{"gohostile.fatal", append(crashes, host.KindOutOfMemory, host.KindTimeout), "", `calls nest deeper than 65536|its last words: fatal error: |run timeout`},
		{"gohostile.oom", []host.Kind{host.KindOutOfMemory}, "out of memory", `its last words: fatal error: out of memory \| main\.exhaust\(.*\) \| .*main\.go:\d+`},
		{"gohostile.spin", []host.Kind{host.KindTimeout}, "", ""},
		{"gohostile.sleep", nil, "", ""}, // by a clock of its own
		{"gohostile.deadlock", crashes, "all goroutines are asleep", `^resonhost_run: unreachable; its last words: fatal error: all goroutines are asleep - deadlock! \| main\.deadlock\(.*\) \| .*main\.go:\d+`},
		{"gohostile.goroutine", nil, "", ""},
		{"gohostile.crash", crashes, "panic: ", `^resonhost_run: unreachable; its last words: panic: on purpose`},
		{"gohostile.stdout", nil, "", ""},
		{"gohostile.log", nil, "", ""},
		{"gohostile.file", []host.Kind{host.KindFailed}, "", ""},
		{"gohostile.env", nil, "", ""},
	} {
		t.Run(c.transform, func(t *testing.T) {
			_, err := h.Run(t.Context(), c.transform, []byte("!"))
			e := (*host.Error)(nil)
			switch {
			case len(c.kinds) == 0:
				if err != nil {
					t.Error(err)
				}
			case !slices.Contains(c.kinds, host.KindOf(err)):
				t.Errorf("err %v, want one of %v", err, c.kinds)
			case !errors.As(err, &e) || !strings.Contains(e.Stack, c.stack):
				t.Errorf("stack %q, want %q in it", e.Stack, c.stack)
			case !regexp.MustCompile(c.words).MatchString(e.Message) || len(e.Message) > 700:
				t.Errorf("message %q, want %s", e.Message, c.words)
			}
			if out, err := h.Run(t.Context(), c.transform, []byte("fine")); err != nil || string(out) != "fine" {
				t.Errorf("the next call: %q, err %v", out, err)
			}
		})
	}
	defer func() { // a panic that the kit recovers from is told to the operator as well, once
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), `level=ERROR msg="panic: on purpose, in main.panics`); n != 1 {
			t.Errorf("the panic was logged %d times:\n%s", n, &log)
		}
	}()
	first, err := h.Run(t.Context(), "gohostile.clock", []byte("!"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Run(t.Context(), "gohostile.clock", []byte("!"))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("clock and randomness are %x and %x, err %v; want the same", first, second, err)
	}

	// The guest appends to the state of its stream, of at most 64 bytes.
	s := h.Stream("s")
	for _, c := range []struct {
		input string
		kind  host.Kind
		want  string
	}{
		{"!" + strings.Repeat("a", 29), "", "30"},
		{"!" + strings.Repeat("b", 29), "", "60"},
		{"!" + strings.Repeat("c", 29), host.KindABI, ""}, // leaves the state as it was
		{"!" + strings.Repeat("d", 3), "", "64"},
	} {
		out, err := s.Run(t.Context(), "gohostile.state", []byte(c.input))
		if string(out) != c.want || (err != nil) != (c.kind != "") || err != nil && host.KindOf(err) != c.kind {
			t.Errorf("a state of %d bytes more: %q, err %v; want %q, %s", len(c.input), out, err, c.want, c.kind)
		}
	}
}
