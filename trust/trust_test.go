package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jedisct1/go-minisign"

	"github.com/resonhost/resonhost/trust"
)

// signer is a secret key made of a name, the same each time.
func signer(name string) *minisign.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	key := &minisign.PrivateKey{SignatureAlgorithm: [2]byte{'E', 'd'}}
	copy(key.KeyId[:], name)
	copy(key.SecretKey[:], ed25519.NewKeyFromSeed(seed[:]))
	return key
}

// publicLine is a public key as minisign -P takes it.
func publicLine(key *minisign.PrivateKey) string {
	p := key.PublicKey()
	return base64Of(p.SignatureAlgorithm[:], p.KeyId[:], p.PublicKey[:])
}

func keysOf(signers ...*minisign.PrivateKey) trust.Keys {
	lines := make([]string, len(signers))
	for i, s := range signers {
		lines[i] = publicLine(s)
	}
	keys, err := trust.ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		panic(err)
	}
	return keys
}

func sign(key *minisign.PrivateKey, contents []byte, comment string) []byte {
	s, err := key.Sign(contents, minisign.SignOptions{Hashed: true, TrustedComment: comment})
	if err != nil {
		panic(err)
	}
	return s.Encode()
}

func sum(contents []byte, name string) string {
	return fmt.Sprintf("%x  %s\n", sha256.Sum256(contents), name)
}

var (
	wasm  = []byte("\x00asm\x01\x00\x00\x00")
	tests = []byte("{}\n")
)

// listed are echo.wasm and its tests with the manifest, signed by key.
func listed(key *minisign.PrivateKey, manifest, comment string) map[string][]byte {
	return map[string][]byte{
		"SHA256SUMS":         []byte(manifest),
		"SHA256SUMS.minisig": sign(key, []byte(manifest), comment),
	}
}

func TestVerify(t *testing.T) {
	const ours, theirs = "0000000000007375", "000000006D656874"
	us, other := signer("us"), signer("them")
	both := sum(wasm, "echo.wasm") + sum(tests, "echo.test.ndjson")
	own := func(key *minisign.PrivateKey, contents []byte, comment string) map[string][]byte {
		return map[string][]byte{"echo.wasm.minisig": sign(key, contents, comment)}
	}
	and := func(a, b map[string][]byte) map[string][]byte {
		maps.Copy(a, b)
		return a
	}
	hasTests := map[string][]byte{"echo.test.ndjson": tests}
	companion := []byte("kind: native\n")
	hasCompanion := map[string][]byte{"echo.plugin.yaml": companion}
	hasAll := map[string][]byte{"echo.test.ndjson": tests, "echo.plugin.yaml": companion}
	all := both + sum(companion, "echo.plugin.yaml")
	ownCompanions := and(maps.Clone(hasAll), map[string][]byte{
		"echo.test.ndjson.minisig": sign(us, tests, "file:echo.test.ndjson"),
		"echo.plugin.yaml.minisig": sign(us, companion, "file:echo.plugin.yaml"),
	})
	long := strings.Repeat("x", trust.MaxManifest+1)
	for _, tt := range []struct {
		name   string
		files  trust.Files // its Name is echo.wasm and its WASM wasm, unless they are set
		want   trust.Signature
		is     error
		errors string
	}{
		{name: "own", files: trust.Files{Beside: own(us, wasm, "timestamp:1700000000\tfile:echo.wasm\thashed")},
			want: trust.Signature{KeyID: ours, Comment: "timestamp:1700000000\tfile:echo.wasm\thashed", Signed: time.Unix(1700000000, 0).UTC()}},
		{name: "own, without a time", files: trust.Files{Beside: own(us, wasm, "file:echo.wasm")},
			want: trust.Signature{KeyID: ours, Comment: "file:echo.wasm"}},
		{name: "own, with two times", files: trust.Files{Beside: own(us, wasm, "timestamp:1\tfile:echo.wasm\ttimestamp:2")},
			want: trust.Signature{KeyID: ours, Comment: "timestamp:1\tfile:echo.wasm\ttimestamp:2"}},
		{name: "own, with no number for a time", files: trust.Files{Beside: own(us, wasm, "timestamp:-1\tfile:echo.wasm")},
			want: trust.Signature{KeyID: ours, Comment: "timestamp:-1\tfile:echo.wasm"}},
		{name: "own, of all", files: trust.Files{Beside: and(own(us, wasm, "file:echo.wasm"), ownCompanions)},
			want: trust.Signature{KeyID: ours, Comment: "file:echo.wasm"}},
		{name: "own, others listed", files: trust.Files{Beside: and(and(own(us, wasm, "file:echo.wasm"), listed(us, all, "x")), hasAll)},
			want: trust.Signature{KeyID: ours, Comment: "file:echo.wasm"}},
		{name: "listed, others own", files: trust.Files{Beside: and(listed(us, sum(wasm, "echo.wasm"), "x"), ownCompanions)},
			want: trust.Signature{KeyID: ours, Comment: "x", Manifest: true}},
		{name: "all listed", files: trust.Files{Beside: and(listed(us, all, "x"), hasAll)},
			want: trust.Signature{KeyID: ours, Comment: "x", Manifest: true}},
		{name: "own, with CRLF", files: trust.Files{Beside: map[string][]byte{
			"echo.wasm.minisig": bytes.ReplaceAll(sign(us, wasm, "file:echo.wasm"), []byte("\n"), []byte("\r\n"))}},
			want: trust.Signature{KeyID: ours, Comment: "file:echo.wasm"}},
		{name: "listed", files: trust.Files{Beside: listed(us, both, "file:SHA256SUMS")},
			want: trust.Signature{KeyID: ours, Comment: "file:SHA256SUMS", Manifest: true}},
		{name: "listed with tests", files: trust.Files{Beside: and(listed(us, both, "release 5"), hasTests)},
			want: trust.Signature{KeyID: ours, Comment: "release 5", Manifest: true}},
		{name: "own good, manifest bad", files: trust.Files{Beside: and(own(us, wasm, "file:echo.wasm"), listed(other, both, "x"))},
			want: trust.Signature{KeyID: ours, Comment: "file:echo.wasm"}},
		{name: "own bad, manifest good", files: trust.Files{Beside: and(own(other, wasm, "file:echo.wasm"), listed(us, both, "x"))},
			want: trust.Signature{KeyID: ours, Comment: "x", Manifest: true}},

		{name: "own, tests unsigned", files: trust.Files{Beside: and(own(us, wasm, "file:echo.wasm"), hasTests)}, is: trust.ErrUnsigned,
			errors: "echo.test.ndjson: unsigned: beside it is neither echo.test.ndjson.minisig nor SHA256SUMS.minisig"},
		{name: "own, companion unsigned", files: trust.Files{Beside: and(own(us, wasm, "file:echo.wasm"), hasCompanion)}, is: trust.ErrUnsigned,
			errors: "echo.plugin.yaml: unsigned: beside it is neither echo.plugin.yaml.minisig nor SHA256SUMS.minisig"},
		{name: "own, companion of another plugin", files: trust.Files{Beside: and(and(own(us, wasm, "file:echo.wasm"), hasCompanion), map[string][]byte{
			"echo.plugin.yaml.minisig": sign(us, companion, "file:other.plugin.yaml")})}, is: trust.ErrOtherName,
			errors: `echo.plugin.yaml.minisig: signed under another name: it is of "other.plugin.yaml"`},
		{name: "companion by another key", files: trust.Files{Beside: and(and(own(us, wasm, "file:echo.wasm"), hasCompanion), map[string][]byte{
			"echo.plugin.yaml.minisig": sign(other, companion, "file:echo.plugin.yaml")})}, is: trust.ErrUnknownKey,
			errors: "echo.plugin.yaml.minisig: signed by a key that is not trusted: key " + theirs},
		{name: "listed, companion not", files: trust.Files{Beside: and(listed(us, both, "x"), hasCompanion)}, is: trust.ErrNotListed,
			errors: "echo.plugin.yaml: not listed: SHA256SUMS is signed and does not name it"},
		{name: "listed, companion missing", files: trust.Files{Beside: and(listed(us, all, "x"), hasTests)}, is: trust.ErrMissing,
			errors: "echo.plugin.yaml: is missing: SHA256SUMS is signed and lists it"},
		{name: "own, signed companion missing", files: trust.Files{Beside: and(own(us, wasm, "file:echo.wasm"), map[string][]byte{
			"echo.plugin.yaml.minisig": sign(us, companion, "file:echo.plugin.yaml")})}, is: trust.ErrMissing,
			errors: "echo.plugin.yaml: is missing: echo.plugin.yaml.minisig is there without it: remove both, or bring it back"},
		{name: "own, listed companion missing", files: trust.Files{Beside: and(own(us, wasm, "file:echo.wasm"), listed(us, all, "x"))}, is: trust.ErrMissing,
			errors: "echo.plugin.yaml: is missing: SHA256SUMS is signed and lists it"},
		{name: "nothing beside", is: trust.ErrUnsigned,
			errors: "echo.wasm: unsigned: beside it is neither echo.wasm.minisig nor SHA256SUMS.minisig"},
		{name: "manifest unsigned", files: trust.Files{Beside: map[string][]byte{"SHA256SUMS": []byte(both)}}, is: trust.ErrUnsigned,
			errors: "echo.wasm: unsigned: beside it is neither echo.wasm.minisig nor SHA256SUMS.minisig"},
		{name: "signature of no manifest", files: trust.Files{Beside: map[string][]byte{"SHA256SUMS.minisig": nil}}, is: trust.ErrUnsigned,
			errors: "SHA256SUMS: unsigned: there is SHA256SUMS.minisig without it"},
		{name: "unknown key", files: trust.Files{Beside: own(other, wasm, "file:echo.wasm")}, is: trust.ErrUnknownKey,
			errors: "echo.wasm.minisig: signed by a key that is not trusted: key " + theirs},
		{name: "manifest of an unknown key", files: trust.Files{Beside: listed(other, both, "file:SHA256SUMS")}, is: trust.ErrUnknownKey,
			errors: "SHA256SUMS.minisig: signed by a key that is not trusted: key " + theirs},
		{name: "other contents", files: trust.Files{Beside: own(us, []byte("else"), "file:echo.wasm")}, is: trust.ErrBadSignature,
			errors: "echo.wasm.minisig: bad signature: key " + ours + ": has not signed this echo.wasm with this trusted comment"},
		{name: "other comment", files: trust.Files{Beside: map[string][]byte{
			"echo.wasm.minisig": bytes.Replace(sign(us, wasm, "file:tick.wasm"), []byte("tick"), []byte("echo"), 1)}}, is: trust.ErrBadSignature,
			errors: "echo.wasm.minisig: bad signature: key " + ours + ": has not signed this echo.wasm with this trusted comment"},
		{name: "other manifest", files: trust.Files{Beside: map[string][]byte{
			"SHA256SUMS": []byte(both), "SHA256SUMS.minisig": sign(us, []byte(both+both), "x")}}, is: trust.ErrBadSignature,
			errors: "SHA256SUMS.minisig: bad signature: key " + ours + ": has not signed this SHA256SUMS with this trusted comment"},
		{name: "other name", files: trust.Files{Beside: own(us, wasm, "file:tick.wasm")}, is: trust.ErrOtherName,
			errors: `echo.wasm.minisig: signed under another name: it is of "tick.wasm"`},
		{name: "no name", files: trust.Files{Beside: own(us, wasm, "tested, file:echo.wasm")}, is: trust.ErrOtherName,
			errors: "echo.wasm.minisig: signed under another name: its trusted comment must have a field file:echo.wasm"},
		{name: "two names", files: trust.Files{Beside: own(us, wasm, "file:echo.wasm\tfile:tick.wasm")}, is: trust.ErrOtherName,
			errors: "echo.wasm.minisig: signed under another name: its trusted comment names 2 files"},
		{name: "another file as the manifest", files: trust.Files{Beside: listed(us, both, "file:downloads.txt")}, is: trust.ErrOtherName,
			errors: `SHA256SUMS.minisig: signed under another name: it is of "downloads.txt"`},
		{name: "not listed", files: trust.Files{Beside: listed(us, sum(wasm, "tick.wasm"), "x")}, is: trust.ErrNotListed,
			errors: "echo.wasm: not listed: SHA256SUMS is signed and does not name it"},
		{name: "listed without its tests", files: trust.Files{Beside: and(listed(us, sum(wasm, "echo.wasm"), "x"), hasTests)}, is: trust.ErrNotListed,
			errors: "echo.test.ndjson: not listed: SHA256SUMS is signed and does not name it"},
		{name: "another plugin under this name", files: trust.Files{WASM: []byte("tick"), Beside: listed(us, both+sum([]byte("tick"), "tick.wasm"), "x")}, is: trust.ErrHashMismatch,
			errors: "echo.wasm: hash mismatch: want 93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476, got 55a4bc5be68ea5c30cbe4d07e3bf951163b5a207dfd628ea53a2eb21072a9f3b"},
		{name: "other tests", files: trust.Files{Beside: and(listed(us, both, "x"), map[string][]byte{"echo.test.ndjson": {}})}, is: trust.ErrHashMismatch,
			errors: "echo.test.ndjson: hash mismatch: want ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356, got e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{name: "malformed manifest", files: trust.Files{Beside: listed(us, both+"\n", "x")}, is: trust.ErrMalformed,
			errors: "SHA256SUMS, line 3: malformed: must be a hash of 64 digits, two spaces or a space and an asterisk, and a name"},
		{name: "long manifest", files: trust.Files{Beside: map[string][]byte{"SHA256SUMS": []byte(long), "SHA256SUMS.minisig": nil}}, is: trust.ErrMalformed,
			errors: "SHA256SUMS: malformed: has 1048577 bytes, at most 1048576 are allowed"},
		{name: "malformed signature", files: trust.Files{Beside: map[string][]byte{"echo.wasm.minisig": nil}}, is: trust.ErrMalformed,
			errors: "echo.wasm.minisig: malformed: must have 4 lines, has 1"},
		{name: "neither will do", files: trust.Files{Beside: and(own(other, wasm, "file:echo.wasm"), listed(us, sum(wasm, "tick.wasm"), "x"))}, is: trust.ErrNotListed,
			errors: "echo.wasm.minisig: signed by a key that is not trusted: key " + theirs + "; and echo.wasm: not listed: SHA256SUMS is signed and does not name it"},
		{name: "name of a path", files: trust.Files{Name: "../echo.wasm"}, is: trust.ErrMalformed,
			errors: `malformed: the name "../echo.wasm" must be of a file in the same directory, without slashes`},
		{name: "name of no plugin", files: trust.Files{Name: "SHA256SUMS"}, is: trust.ErrMalformed,
			errors: `malformed: the name "SHA256SUMS" must end in .wasm`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.files.Name == "" {
				tt.files.Name = "echo.wasm"
			}
			if tt.files.WASM == nil {
				tt.files.WASM = wasm
			}
			got, err := keysOf(signer("another"), us).Verify(tt.files)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			checkError(t, err, tt.errors, tt.is)
		})
	}
}

// checkError checks for an [*trust.Error] of the text that is the sentinel; for none if
// the text is empty.
func checkError(t *testing.T, err error, text string, is error) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Errorf("error %q, want none", err)
		}
		return
	}
	if err == nil || err.Error() != text {
		t.Errorf("error\n%v, want\n%s", err, text)
	}
	if e := (*trust.Error)(nil); !errors.As(err, &e) {
		t.Errorf("%T is no *Error", err)
	}
	if !errors.Is(err, is) {
		t.Errorf("error %q is not %q", err, is)
	}
}

// A key's ID is not a hash of it, so two can have one.
func TestTwoKeysOfOneID(t *testing.T) {
	first, second := signer("first"), signer("second")
	second.KeyId = first.KeyId
	beside := map[string][]byte{"echo.wasm.minisig": sign(second, wasm, "file:echo.wasm")}
	if _, err := keysOf(first, second).Verify(trust.Files{Name: "echo.wasm", WASM: wasm, Beside: beside}); err != nil {
		t.Error(err)
	}
	_, err := keysOf(first).Verify(trust.Files{Name: "echo.wasm", WASM: wasm, Beside: beside})
	checkError(t, err, "echo.wasm.minisig: bad signature: key 0000007473726966: has not signed this echo.wasm with this trusted comment", trust.ErrBadSignature)
}

func TestNoKeysTrustNobody(t *testing.T) {
	beside := map[string][]byte{"echo.wasm.minisig": sign(signer("us"), wasm, "file:echo.wasm")}
	_, err := trust.Keys{}.Verify(trust.Files{Name: "echo.wasm", WASM: wasm, Beside: beside})
	checkError(t, err, "echo.wasm.minisig: signed by a key that is not trusted: key 0000000000007375", trust.ErrUnknownKey)
}

// recorded reads a file of the real minisign's.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "minisign", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRealMinisign(t *testing.T) {
	signed := time.Unix(1795633751, 0).UTC()
	for _, tt := range []struct {
		signature, as string // file in testdata, and name that it is to have
		key           string
		want          trust.Signature
		is            error
		errors        string
	}{
		{signature: "echo.wasm.minisig", as: "echo.wasm.minisig", key: "first.pub",
			want: trust.Signature{KeyID: "B2D95CABA81A9261", Comment: "timestamp:1795633751\tfile:echo.wasm\thashed", Signed: signed}},
		{signature: "echo.wasm.legacy.minisig", as: "echo.wasm.minisig", key: "first.pub",
			want: trust.Signature{KeyID: "B2D95CABA81A9261", Comment: "timestamp:1795633751\tfile:echo.wasm", Signed: signed}},
		{signature: "echo.wasm.second.minisig", as: "echo.wasm.minisig", key: "second.pub",
			want: trust.Signature{KeyID: "13290D64F7EA407F", Comment: "timestamp:1795633751\tfile:echo.wasm\thashed", Signed: signed}},
		{signature: "SHA256SUMS.minisig", as: "SHA256SUMS.minisig", key: "first.pub",
			want: trust.Signature{KeyID: "B2D95CABA81A9261", Comment: "timestamp:1795633751\tfile:SHA256SUMS\thashed", Signed: signed, Manifest: true}},
		{signature: "SHA256SUMS.legacy.minisig", as: "SHA256SUMS.minisig", key: "first.pub",
			want: trust.Signature{KeyID: "B2D95CABA81A9261", Comment: "timestamp:1795633751\tfile:SHA256SUMS", Signed: signed, Manifest: true}},
		{signature: "echo.wasm.minisig", as: "echo.wasm.minisig", key: "second.pub", is: trust.ErrUnknownKey,
			errors: "echo.wasm.minisig: signed by a key that is not trusted: key B2D95CABA81A9261"},
		{signature: "echo.wasm.comment.minisig", as: "echo.wasm.minisig", key: "first.pub", is: trust.ErrOtherName,
			errors: "echo.wasm.minisig: signed under another name: its trusted comment must have a field file:echo.wasm"},
		{signature: "SHA256SUMS.minisig", as: "echo.wasm.minisig", key: "first.pub", is: trust.ErrBadSignature,
			errors: "echo.wasm.minisig: bad signature: key B2D95CABA81A9261: has not signed this echo.wasm with this trusted comment"},
	} {
		t.Run(tt.signature+" by "+tt.key, func(t *testing.T) {
			keys, err := trust.ReadKeys(filepath.Join("testdata", "minisign", tt.key))
			if err != nil {
				t.Fatal(err)
			}
			beside := map[string][]byte{"SHA256SUMS": recorded(t, "SHA256SUMS"), tt.as: recorded(t, tt.signature)}
			if tt.want.Manifest { // else nobody has signed them
				beside["echo.test.ndjson"] = recorded(t, "echo.test.ndjson")
			}
			got, err := keys.Verify(trust.Files{Name: "echo.wasm", WASM: recorded(t, "echo.wasm"), Beside: beside})
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			checkError(t, err, tt.errors, tt.is)
		})
	}
}

func TestParseManifest(t *testing.T) {
	const hash = "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476"
	const shape = "malformed: must be a hash of 64 digits, two spaces or a space and an asterisk, and a name"
	for _, tt := range []struct{ name, text, errors string }{
		{"text and binary", hash + "  a.wasm\n" + hash + " *b.wasm\n", ""},
		{"spaces in names", hash + "  a b.wasm\n", ""},
		{"byte order mark", "\ufeff" + hash + "  a.wasm\n", ""},
		{"UTF-16", "\xfe\xff\x009", "SHA256SUMS: malformed: the text is UTF-16, and must be UTF-8"},
		{"empty", "", "SHA256SUMS: malformed: lists nothing"},
		{"empty line", hash + "  a\n\n" + hash + "  b\n", "SHA256SUMS, line 2: " + shape},
		{"comment", "# plugins\n", "SHA256SUMS, line 1: " + shape},
		{"BSD style", "SHA256 (a.wasm) = " + hash + "\n", "SHA256SUMS, line 1: " + shape},
		{"one space", hash + " a\n", "SHA256SUMS, line 1: " + shape},
		{"tab", hash + "\t a\n", "SHA256SUMS, line 1: " + shape},
		{"escaped", `\` + hash + `  a\nb` + "\n", "SHA256SUMS, line 1: " + shape},
		{"SHA-512", hash + hash + "  a\n", "SHA256SUMS, line 1: " + shape},
		{"capitals", strings.ToUpper(hash) + "  a\n", "SHA256SUMS, line 1: malformed: the hash must be of digits and of letters from a to f"},
		{"no hash", strings.Repeat("g", 64) + "  a\n", "SHA256SUMS, line 1: malformed: the hash must be of digits and of letters from a to f"},
		{"twice", hash + "  a\n" + hash + "  b\n" + hash + " *a\n", "SHA256SUMS, line 3: malformed: a is listed twice"},
		{"cut off", hash + "  a\n" + hash + "  b", "SHA256SUMS, line 2: malformed: the last line must end"},
		{"CRLF", hash + "  a\r\n", `SHA256SUMS, line 1: malformed: the name "a\r" has control characters`},
		{"no name", hash + "  \n", `SHA256SUMS, line 1: malformed: the name "" is empty`},
		{"path", hash + "  ./a\n", `SHA256SUMS, line 1: malformed: the name "./a" must be of a file in the same directory, without slashes`},
		{"backslash", hash + `  b\a` + "\n", `SHA256SUMS, line 1: malformed: the name "b\\a" must be of a file in the same directory, without slashes`},
		{"parent", hash + "  ..\n", `SHA256SUMS, line 1: malformed: the name ".." is a directory's`},
		{"not UTF-8", hash + "  \xff\n", `SHA256SUMS, line 1: malformed: the name "\xff" is not valid UTF-8`},
		{"long name", hash + "  " + strings.Repeat("a", 256) + "\n",
			`SHA256SUMS, line 1: malformed: the name "` + strings.Repeat("a", 256) + `" is longer than 255 bytes`},
		{"long", strings.Repeat("x", trust.MaxManifest+1), "SHA256SUMS: malformed: has 1048577 bytes, at most 1048576 are allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := trust.ParseManifest([]byte(tt.text))
			checkError(t, err, tt.errors, trust.ErrMalformed)
		})
	}
}

// What is read is what sha256sum would write.
func FuzzParseManifest(f *testing.F) {
	f.Add(recorded(f, "SHA256SUMS"))
	f.Add([]byte(sum(wasm, "a b") + sum(wasm, "..")))
	f.Add([]byte(`\` + sum(wasm, `a\\b`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := trust.ParseManifest(text)
		if err != nil {
			if list != nil || !errors.Is(err, trust.ErrMalformed) {
				t.Fatalf("%v with %v", list, err)
			}
			return
		}
		lines := map[string]bool{}
		for name, hash := range list {
			lines[fmt.Sprintf("%x  %s", hash, name)] = true
		}
		for l := range strings.Lines(string(text)) {
			l = strings.TrimSuffix(l, "\n")
			if l = l[:65] + " " + l[66:]; !lines[l] {
				t.Fatalf("line %q is not in %v", l, list)
			}
			delete(lines, l)
		}
		if len(lines) > 0 {
			t.Fatalf("%v are in no line", lines)
		}
	})
}
