package module

import (
	"log/slog"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// goTrace is how a Go program ends that has many goroutines.
const goTrace = "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n" +
	"runtime.gopark(0x1)\n\truntime/proc.go:462 +0x21\nmain.do(0x2d0080)\n\tsink/transform.go:69 +0xb6\n" +
	"example.com/kit.run(0x1)\n\tkit/run.go:1 +0x1\n"

func TestWords(t *testing.T) {
	for _, c := range []struct{ name, written, want string }{
		{"nothing", "", ""},
		{"blank lines", "\n \n\t\n", ""},
		{"one line", "assertion failed: x > 0\n", "assertion failed: x > 0"},
		{"no end of line", "what is\nleft over", "what is | left over"},
		{"a deadlock", "before\n" + goTrace, "fatal error: all goroutines are asleep - deadlock! | main.do(0x2d0080) | sink/transform.go:69 +0xb6"},
		{
			"a deadlock of many goroutines", goTrace + strings.Repeat("goroutine 7 [chan receive]:\nmain.wait()\n\tsink/wait.go:1 +0x1\n\n", 1000),
			"fatal error: all goroutines are asleep - deadlock! | main.do(0x2d0080) | sink/transform.go:69 +0xb6",
		},
		{"a panic after a panic that was caught", "panic: caught\nfine\npanic: late\n\ngoroutine 1 [running]:\nmain.f()\n\ta/b.go:1 +0x2\n", "panic: late | main.f() | a/b.go:1 +0x2"},
		{"a panic within a panic", "panic: a [recovered]\n\tpanic: b\n\ngoroutine 1 [running]:\npanic({0x1})\n\truntime/panic.go:1\nmain.f()\n\ta/b.go:1\n", "panic: a [recovered] | panic: b | main.f() | a/b.go:1"},
		{"a panic in a new goroutine", "panic: x\n\ngoroutine 7 [running]:\nruntime.x()\n\truntime/x.go:1\ncreated by main.f in goroutine 1\n\ta/b.go:1\n", "panic: x"},
		{"no stack", "fatal error: stack overflow\n", "fatal error: stack overflow"},
		{"control characters", "a\x1b[31mred\x00\rover\u202e \xff\n", "a\uFFFD[31mred\uFFFD\uFFFDover\uFFFD \uFFFD"},
		{"whole lines of many", strings.Repeat("0123456789\n", 1000), strings.Repeat("0123456789 | ", 38) + "0123456789"},
		{"a line that is too long", "a\n" + strings.Repeat("x", 600), strings.Repeat("x", 509) + "…"},
		{"a headline that is too long", "panic: " + strings.Repeat("ü", 600) + "\n", "panic: " + strings.Repeat("ü", 251) + "…"},
	} {
		for _, piece := range []int{1, 100, 1 << 20} {
			s := stdio{out: newGuestLog(slog.New(slog.DiscardHandler), 1<<20), hold: true, charge: func(int) {}}
			for rest := c.written; rest != ""; rest = rest[min(len(rest), piece):] {
				_, _ = s.Write([]byte(rest[:min(len(rest), piece)]))
			}
			if got := s.words(); got != c.want {
				t.Errorf("%s, in pieces of %d: %q, want %q", c.name, piece, got, c.want)
			}
			s.flush()
			if got := s.words(); got != "" {
				t.Errorf("%s: %q is left for the next task", c.name, got)
			}
		}
	}
}

// FuzzWords has the words of any guest fit a message: one short line that prints.
func FuzzWords(f *testing.F) {
	f.Add([]byte(goTrace), 10)
	f.Add([]byte("panic: \xff\n\n\t\n(\n\tx"), 3)
	f.Fuzz(func(t *testing.T, written []byte, at int) {
		s := stdio{out: newGuestLog(slog.New(slog.DiscardHandler), 1<<20), hold: true, charge: func(int) {}}
		at = min(max(at, 0), len(written))
		_, _ = s.Write(written[:at])
		_, _ = s.Write(written[at:])
		words := s.words()
		if len(words) > maxWords || !utf8.ValidString(words) || strings.ContainsFunc(words, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) {
			t.Errorf("%q has %d bytes", words, len(words))
		}
	})
}
