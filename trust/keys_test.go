package trust_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/trust"
)

func base64Of(parts ...[]byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Join(parts, nil))
}

func TestParseKeys(t *testing.T) {
	a, b := publicLine(signer("a")), publicLine(signer("b"))
	both := []string{"0000000000000061", "0000000000000062"}
	for _, tt := range []struct {
		name, text string
		want       []string
		is         error
		errors     string
	}{
		{name: "one", text: a, want: both[:1]},
		{name: "many", text: "# ours\n" + a + "\n\n  # theirs\n  " + b + "  \r\n", want: both},
		{name: "files of minisign -G", want: both,
			text: "untrusted comment: minisign public key 61\n" + a + "\nuntrusted comment: minisign public key 62\n" + b + "\n"},
		{name: "twice", text: a + "\n" + a + "\n" + b, want: both},
		{name: "byte order mark", text: "\ufeff" + a, want: both[:1]},
		{name: "UTF-16", text: "\xff\xfe#\x00", is: trust.ErrMalformed, errors: "malformed: the text is UTF-16, and must be UTF-8"},
		{name: "empty", is: trust.ErrNoKeys, errors: "has no keys"},
		{name: "comments", text: "# none\n", is: trust.ErrNoKeys, errors: "has no keys"},
		{name: "prose", text: a + "\n# and\nsomebody else", is: trust.ErrMalformed,
			errors: "line 3: malformed: must be a public key in base64, or a comment"},
		{name: "two in a line", text: a + " " + b, is: trust.ErrMalformed,
			errors: "line 1: malformed: must be a public key in base64, or a comment"},
		{name: "short", text: a[:len(a)-4], is: trust.ErrMalformed,
			errors: "line 1: malformed: must be a public key of 42 bytes, has 39"},
		{name: "secret key", text: "untrusted comment: minisign encrypted secret key\n" + base64Of([]byte("Ed"), make([]byte, 156)), is: trust.ErrMalformed,
			errors: "line 2: malformed: is a secret key, which does not belong here"},
		{name: "algorithm", text: base64Of([]byte("ED"), make([]byte, 40)), is: trust.ErrMalformed,
			errors: `line 1: malformed: the key's algorithm must be Ed, is "ED"`},
		{name: "long", text: strings.Repeat("\n", trust.MaxKeys+1), is: trust.ErrMalformed, errors: "malformed: has more than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := trust.ParseKeys([]byte(tt.text))
			if got := keys.IDs(); !slices.Equal(got, tt.want) {
				t.Errorf("got keys %v, want %v", got, tt.want)
			}
			checkError(t, err, tt.errors, tt.is)
		})
	}
}

func TestReadKeys(t *testing.T) {
	a, b := publicLine(signer("a")), publicLine(signer("b"))
	dir := t.TempDir()
	for name, text := range map[string]string{
		"keys.txt": a + "\n" + b, "bad.txt": "# a\nb",
		"good/a.pub": a, "good/b.pub": b + "\n" + a, "good/a.key": "not looked at", "good/README": "nor this",
		"bad/a.pub": a, "bad/b.pub": "# later",
		"none/a.key":  "secret",
		"sub/a.pub/a": "",
		"long/a.pub":  strings.Repeat("\n", trust.MaxKeys+1),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	both := []string{"0000000000000061", "0000000000000062"}
	for _, tt := range []struct {
		path   string
		want   []string
		is     error
		errors string // after the path of the directory
	}{
		{path: "keys.txt", want: both},
		{path: "good", want: both},
		{path: "bad.txt", is: trust.ErrMalformed, errors: "bad.txt, line 2: malformed: must be a public key in base64, or a comment"},
		{path: "bad", is: trust.ErrNoKeys, errors: "bad/b.pub: has no keys"},
		{path: "none", is: trust.ErrNoKeys, errors: "none: has no keys: there is no file *.pub"},
		{path: "long", is: trust.ErrMalformed, errors: "long/a.pub: malformed: has more than 65536 bytes"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			keys, err := trust.ReadKeys(filepath.Join(dir, tt.path))
			if got := keys.IDs(); !slices.Equal(got, tt.want) {
				t.Errorf("got keys %v, want %v", got, tt.want)
			}
			if tt.errors != "" {
				tt.errors = filepath.Join(dir, filepath.FromSlash(tt.errors))
			}
			checkError(t, err, tt.errors, tt.is)
		})
	}
	if _, err := trust.ReadKeys(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a file that is not there: %v", err)
	}
	if _, err := trust.ReadKeys(filepath.Join(dir, "sub")); err == nil || errors.Is(err, trust.ErrNoKeys) {
		t.Errorf("of a directory a.pub: %v", err)
	}
}

// What is read has one to as many keys as lines.
func FuzzParseKeys(f *testing.F) {
	f.Add(recorded(f, "first.pub"))
	f.Add(append(recorded(f, "second.pub"), "# and\r\n"+publicLine(signer("a"))...))
	f.Add([]byte(base64Of([]byte("Ed"), make([]byte, 156))))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := trust.ParseKeys(text)
		n := len(keys.IDs())
		if err != nil {
			if e := (*trust.Error)(nil); n > 0 || !errors.As(err, &e) {
				t.Fatalf("%d keys with %v", n, err)
			}
			return
		}
		if n == 0 || n > bytes.Count(text, []byte("\n"))+1 {
			t.Fatalf("%d keys in %q", n, text)
		}
	})
}
