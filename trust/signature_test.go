package trust_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jedisct1/go-minisign"

	"github.com/resonhost/resonhost/trust"
)

func TestParseSignature(t *testing.T) {
	const (
		first  = "untrusted comment: signature from minisign secret key"
		second = "RURhkhqoq1zZsj3BmVJFUeMirOQAEzcGfAx6PeSZoKt3jiSMatxETVPDAs9HI5ISf8nbSqcwsggTB2E+su9K5GsGkB/6h0Tr/A0="
		third  = "trusted comment: file:echo.wasm"
		fourth = "rtv5mbsN8XZA7BP+e4GkTp/wXO3xDUdPFUhky5f5FXxVvE6ThVcmGpRkmFrCOXE97vZUs+ratXq8tqTZETZ+AQ=="
	)
	for _, tt := range []struct {
		name   string
		lines  []string
		errors string
	}{
		{"whole", []string{first, second, third, fourth, ""}, ""},
		{"last line without end", []string{first, second, third, fourth}, ""},
		{"CRLF", []string{first + "\r", second + "\r", third + "\r", fourth + "\r", ""}, ""},
		{"byte order mark", []string{"\ufeff" + first, second, third, fourth, ""}, ""},
		{"UTF-32", []string{"u\x00\x00\x00"}, "x: malformed: the text is UTF-32, and must be UTF-8"},
		{"of signify", []string{first, second, ""}, "x: malformed: must have 4 lines, has 2"},
		{"more behind it", []string{first, second, third, fourth, "", ""}, "x: malformed: must have 4 lines, has 5"},
		{"without untrusted comment", []string{"comment", second, third, fourth}, `x, line 1: malformed: must begin with "untrusted comment: "`},
		{"without trusted comment", []string{first, second, first, fourth}, `x, line 3: malformed: must begin with "trusted comment: "`},
		{"escape in a comment", []string{first, second, third + "\x1b[2J", fourth}, "x, line 3: malformed: must be valid UTF-8 without control characters"},
		{"no UTF-8", []string{first + "\xff", second, third, fourth}, "x, line 1: malformed: must be valid UTF-8 without control characters"},
		{"short", []string{first, second[:96], third, fourth}, "x, line 2: malformed: must have 100 characters, has 96"},
		{"short, of the comment", []string{first, second, third, fourth + "AAAA"}, "x, line 4: malformed: must have 88 characters, has 92"},
		{"not base64", []string{first, "!" + second[1:], third, fourth}, "x: malformed: lines 2 and 4 must be base64"},
		{"algorithm", []string{first, "A" + second[1:], third, fourth}, `x, line 2: malformed: the algorithm must be ED (prehashed) or Ed (legacy), is "\x01D"`},
		{"long", []string{first, second, third + strings.Repeat("x", trust.MaxSignature), fourth}, "x: malformed: has 16659 bytes, at most 16384 are allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := trust.ParseSignature("x", []byte(strings.Join(tt.lines, "\n")))
			checkError(t, err, tt.errors, trust.ErrMalformed)
		})
	}
}

// What is read is read again as it was, and is accepted only if it is what was signed.
func FuzzVerify(f *testing.F) {
	signed := map[minisign.Signature]bool{}
	for _, name := range []string{
		"echo.wasm.minisig", "echo.wasm.legacy.minisig", "echo.wasm.second.minisig",
		"echo.wasm.comment.minisig", "SHA256SUMS.minisig", "SHA256SUMS.legacy.minisig",
	} {
		text := recorded(f, name)
		f.Add(text)
		s, err := trust.ParseSignature(name, text)
		if err != nil {
			f.Fatal(err)
		}
		s.UntrustedComment = ""
		signed[s] = true
	}
	keys, err := trust.ReadKeys("testdata/minisign/first.pub")
	if err != nil {
		f.Fatal(err)
	}
	plugin, manifest := recorded(f, "echo.wasm"), recorded(f, "SHA256SUMS")
	f.Fuzz(func(t *testing.T, text []byte) {
		s, malformed := trust.ParseSignature("x", text)
		if malformed == nil {
			if again, err := trust.ParseSignature("x", s.Encode()); err != nil || again != s {
				t.Fatalf("%+v, encoded and read again: %+v, %v", s, again, err)
			}
		}
		for _, name := range []string{"echo.wasm.minisig", "SHA256SUMS.minisig"} {
			got, err := keys.Verify(trust.Files{Name: "echo.wasm", WASM: plugin,
				Beside: map[string][]byte{name: text, "SHA256SUMS": manifest}})
			if errors.Is(err, trust.ErrMalformed) != (malformed != nil) {
				t.Fatalf("%v, and %v by itself", err, malformed)
			}
			s.UntrustedComment = ""
			if err == nil && !signed[s] {
				t.Fatalf("accepted as %+v: %q", got, text)
			}
		}
	})
}
