package foreign_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/resonhost/resonhost/internal/foreign"
)

func TestUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "{": "{", "{}": "{}", "\xef\xbb\xbf": "", "\xef\xbb\xbf{}": "{}", "\xef\xbb": "\xef\xbb", "ünü": "ünü", "\xff": "\xff", "\x00\xff": "\x00\xff", "\xff\x00": "\xff\x00",
		"\"\x00abc\"": "\"\x00abc\"", "\x00{}": "\x00{}", "{\x00\x00\x00{}": "{\x00\x00\x00{}", "{\x00}xx": "{\x00}xx",
	} {
		if got, err := foreign.UTF8([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q: %q, err %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"\xff\xfe{\x00}\x00": "UTF-16", "\xfe\xff\x00{\x00}": "UTF-16", "{\x00}\x00": "UTF-16", "\x00{\x00}": "UTF-16", "\xff\xfe": "UTF-16", "1\x00": "UTF-16", "\x001\x00": "UTF-16",
		"{\x00\"\x00a\x00\"\x00:\x002\x0d}": "UTF-16",
		"\xff\xfe\x00\x00{\x00\x00\x00":     "UTF-32", "\x00\x00\xfe\xff\x00\x00\x00{": "UTF-32", "{\x00\x00\x00": "UTF-32", "\x00\x00\x00{": "UTF-32",
	} {
		got, err := foreign.UTF8([]byte(in))
		if got != nil || !errors.Is(err, foreign.ErrEncoding) || err.Error() != "the text is "+want+", and must be UTF-8" {
			t.Errorf("%q: %q, err %v; want %s named", in, got, err, want)
		}
	}
}

func TestCut(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "name": "name", strings.Repeat("a", 128): strings.Repeat("a", 128), strings.Repeat("a", 129): strings.Repeat("a", 128) + "…",
		strings.Repeat("a", 127) + "éé": strings.Repeat("a", 127) + "…",
		strings.Repeat("€", 50):         strings.Repeat("€", 42) + "…",
		strings.Repeat("\x80", 200):     strings.Repeat("\x80", 128) + "…",
	} {
		if got := foreign.Cut(in); got != want || utf8.ValidString(in) != utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
