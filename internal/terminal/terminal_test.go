package terminal_test

import (
	"testing"

	"github.com/resonhost/resonhost/internal/terminal"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain \"text\"\tü":   "plain \"text\"\tü",
		"\x1b[31mred \"x\"":   `\x1b[31mred "x"`,
		"a\nb":                `a\nb`,
		"\u202egnirts":        `\u202egnirts`,
		"broken \xff":         `broken \xff`,
		"\u009b31m":           `\u009b31m`,
		"replaced \uFFFD too": "replaced \uFFFD too",
	} {
		if got := terminal.Printable(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestPad(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"abc", 5, "abc  "},
		{"abcde", 5, "abcde"},
		{"abcdef", 5, "abcd…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日… "},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
		{"", 2, "  "},
	} {
		if got := terminal.Pad(c.in, c.width); got != c.want {
			t.Errorf("%q in %d columns is %q, want %q", c.in, c.width, got, c.want)
		}
		if got := terminal.Width(terminal.Pad(c.in, c.width)); got != c.width {
			t.Errorf("%q in %d columns takes %d", c.in, c.width, got)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		in         string
		width      int
		head, rest string
	}{
		{"abc", 5, "abc", ""},
		{"abcdef", 5, "abcde", "f"},
		{"日本語", 1, "日", "本語"},
		{"", 0, "", ""},
	} {
		if head, rest := terminal.Split(c.in, c.width); head != c.head || rest != c.rest {
			t.Errorf("%q at %d is %q and %q", c.in, c.width, head, rest)
		}
	}
}
