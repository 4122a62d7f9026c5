package terminal_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/resonhost/resonhost/internal/terminal"
)

func TestEncode(t *testing.T) {
	for in, want := range map[string]string{
		"plain <b>\tü 日 😀": `"plain \u003cb\u003e\tü 日 😀"`,
		"\x1b[31m\x7f":     `"\u001b[31m\u007f"`,
		"\u009b31m":        `"\u009b31m"`,
		"\u202egnirts":     `"\u202egnirts"`,
		"tag \U000e0041":   `"tag \udb40\udc41"`,
		"broken \xff":      `"broken \ufffd"`,
	} {
		var b strings.Builder
		if err := terminal.Encode(&b, in); err != nil || b.String() != want+"\n" {
			t.Errorf("%q gives %q, want %q, err %v", in, b.String(), want, err)
		}
	}
	if err := terminal.Encode(&strings.Builder{}, make(chan int)); err == nil {
		t.Error("a channel is encoded")
	}
}

// FuzzEncode has the same string come back, and nothing on the way that does not print.
func FuzzEncode(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b\u009b\u202e\U000e0041\xff")
	f.Fuzz(func(t *testing.T, in string) {
		var b strings.Builder
		if err := terminal.Encode(&b, in); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(b.String(), "\n")
		if at := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); at >= 0 {
			t.Errorf("%q has %q", line, line[at:])
		}
		var out string
		if err := json.Unmarshal([]byte(line), &out); err != nil || out != string([]rune(in)) {
			t.Errorf("%q comes back as %q, err %v", in, out, err)
		}
	})
}
