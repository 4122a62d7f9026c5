// Package trust tells plugins that somebody trusted has signed from others. It
// knows neither hosts nor plugins, only files: a host's owner calls [Keys.Verify]
// before a plugin is loaded, with the very bytes that are going to be run.
//
// Signatures are those of minisign (Ed25519). Files are signed in one of two ways.
// A manifest of hashes speaks for a directory:
//
//	cd plugins
//	sha256sum *.wasm *.plugin.yaml *.test.ndjson > SHA256SUMS
//	minisign -Sm SHA256SUMS
//
// It binds each plugin's name to its contents, so that a signed plugin cannot stand
// in for another, and each plugin's companion file and tests likewise. Or files have
// signatures of their own:
//
//	minisign -Sm shout.wasm shout.plugin.yaml shout.test.ndjson
//
// A file's name is in the signature's trusted comment, where minisign writes it unless
// told otherwise (-t), as a field "file:shout.wasm" between tabs. A signature
// whose trusted comment names another file, or none, is refused.
//
// The companion file and the tests of a plugin are refused without a signature as the
// plugin is. The former says what a signed plugin does. The latter have it run, and call
// functions of the host's owner, with inputs of their author's.
//
// Either way suffices, whatever becomes of the other: who can write the directory
// could have removed that one.
//
// Both of minisign's forms are accepted, prehashed (its default) and legacy (-l).
// The one cannot pass for the other: that takes a signed file of 64 bytes which is
// the hash of the other, and no plugin and no manifest is that.
//
// What a signature does not say: that the plugin is the newest one signed. Who can
// write the directory can bring back an old one with its signature, or remove any.
// [Signature.Signed] is what there is against that. A companion file that is gone is
// missed only where a signed manifest of hashes lists it.
package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/resonhost/resonhost/internal/foreign"
)

// Names of the files beside a plugin that [Keys.Verify] looks at.
const (
	// ManifestName is the manifest of hashes, in the format of sha256sum.
	ManifestName = "SHA256SUMS"
	// SignatureSuffix comes after the name of a file that is signed.
	SignatureSuffix = ".minisig"
	// PluginSuffix ends a plugin's name. TestsSuffix ends the name of its tests in its stead, and
	// CompanionSuffix that of its companion file.
	PluginSuffix    = ".wasm"
	TestsSuffix     = ".test.ndjson"
	CompanionSuffix = ".plugin.yaml"
)

// Bounds, in bytes. Who reads the files need not read more than one byte beyond.
const (
	MaxSignature = 16 << 10
	MaxManifest  = 1 << 20
	MaxKeys      = 64 << 10
)

// Files are a plugin and what lies beside it. They are only read.
type Files struct {
	// Name is the plugin's file name, such as shout.wasm.
	Name string
	// WASM is its contents. Their size is for the caller to bound.
	WASM []byte
	// Beside are other files of the directory by name. Those that matter are
	// the plugin's signature (shout.wasm.minisig), its companion file
	// (shout.plugin.yaml) and its tests (shout.test.ndjson) with their signatures,
	// SHA256SUMS, and SHA256SUMS.minisig. A companion file and tests that are going
	// to be used must be there.
	Beside map[string][]byte
}

// Signature says who signed a plugin.
type Signature struct {
	// KeyID is the key's, as minisign prints it: 16 hexadecimal digits.
	KeyID string
	// Comment is the trusted comment: signed, valid UTF-8, without control
	// characters other than tabs.
	Comment string
	// Signed is when, by the trusted comment's field "timestamp:", which is
	// what the signer's clock said; zero if it has none. It is not checked.
	Signed time.Time
	// Manifest says that the manifest of hashes is signed and lists the
	// plugin, rather than the plugin itself.
	Manifest bool
}

// Verify reports who signed the plugin: by its own signature, or else by that of the
// manifest of hashes that lists it. Its tests and its companion file, as far as they are
// there, must be signed in one of these two ways as well. Every error is an [*Error], or
// wraps two of them if both signatures of a file are there and neither will do.
func (k Keys) Verify(f Files) (Signature, error) {
	reason := badName(f.Name)
	if reason == "" && !strings.HasSuffix(f.Name, PluginSuffix) {
		reason = "must end in " + PluginSuffix
	}
	if reason != "" {
		return Signature{}, &Error{Err: ErrMalformed, Detail: fmt.Sprintf("the name %q %s", f.Name, reason)}
	}
	v := verifier{keys: k, beside: f.Beside}
	s, err := v.verify(f.Name, f.WASM)
	if err != nil {
		return Signature{}, err
	}
	name := strings.TrimSuffix(f.Name, PluginSuffix)
	for _, suffix := range []string{TestsSuffix, CompanionSuffix} {
		if contents, ok := f.Beside[name+suffix]; ok {
			if _, err := v.verify(name+suffix, contents); err != nil {
				return Signature{}, err
			}
		}
	}
	if err := v.missing(name + CompanionSuffix); err != nil {
		return Signature{}, err
	}
	return s, nil
}

// verifier verifies the files of a plugin.
type verifier struct {
	keys   Keys
	beside map[string][]byte
	list   *signedList // once it was read
}

// signedList is the manifest of hashes with its signature, or what is wrong with it.
type signedList struct {
	hashes    hashes
	signature Signature
	err       error
}

// missing returns an [ErrMissing] if a file that was signed is not there: its own signature is left, or
// the manifest lists it.
func (v *verifier) missing(name string) error {
	_, there := v.beside[name]
	_, signed := v.beside[name+SignatureSuffix]
	switch {
	case there:
		return nil
	case signed:
		return &Error{File: name, Err: ErrMissing, Detail: name + SignatureSuffix + " is there without it: remove both, or bring it back"}
	case v.lists(name):
		return &Error{File: name, Err: ErrMissing, Detail: ManifestName + " is signed and lists it"}
	}
	return nil
}

// lists reports whether a name is in a manifest whose signature holds. The plugin's own signature does
// not make up for a file that the manifest has and the directory has not.
func (v *verifier) lists(name string) bool {
	if _, ok := v.beside[ManifestName+SignatureSuffix]; !ok {
		return false
	}
	_, ok := v.readList().hashes[name]
	return ok
}

// readList returns the manifest, which it reads once.
func (v *verifier) readList() *signedList {
	if v.list == nil {
		v.list = v.keys.readList(v.beside)
	}
	return v.list
}

// verify reports who signed a file.
func (v *verifier) verify(name string, contents []byte) (Signature, error) {
	own, isSigned := v.beside[name+SignatureSuffix]
	_, isListed := v.beside[ManifestName+SignatureSuffix]
	switch {
	case isSigned && isListed:
		s, err := v.keys.verifyOwn(name, contents, own)
		if err == nil {
			return s, nil
		}
		s, err2 := v.verifyListed(name, contents)
		if err2 == nil {
			return s, nil
		}
		return Signature{}, fmt.Errorf("%w; and %w", err, err2)
	case isSigned:
		return v.keys.verifyOwn(name, contents, own)
	case isListed:
		return v.verifyListed(name, contents)
	}
	return Signature{}, &Error{File: name, Err: ErrUnsigned, Detail: fmt.Sprintf("beside it is neither %s nor %s",
		name+SignatureSuffix, ManifestName+SignatureSuffix)}
}

// verifyOwn checks a file's own signature.
func (k Keys) verifyOwn(name string, contents, signature []byte) (Signature, error) {
	s, err := k.verify(name, contents, signature)
	if err != nil {
		return Signature{}, err
	}
	if signedAs, n := field(s.Comment, "file"); n != 1 || signedAs != name {
		return Signature{}, otherName(name, signedAs, n)
	}
	return s, nil
}

// verifyListed checks what the manifest lists of a file.
func (v *verifier) verifyListed(name string, contents []byte) (Signature, error) {
	list := v.readList()
	if list.err != nil {
		return Signature{}, list.err
	}
	if err := list.hashes.check(name, contents); err != nil {
		return Signature{}, err
	}
	return list.signature, nil
}

// readList checks the manifest's signature. That the manifest is the manifest follows from what is
// in it; its trusted comment need not name it, but must not name another file.
func (k Keys) readList(beside map[string][]byte) *signedList {
	failed := func(err error) *signedList { return &signedList{err: err} }
	list, ok := beside[ManifestName]
	if !ok {
		return failed(&Error{File: ManifestName, Err: ErrUnsigned,
			Detail: "there is " + ManifestName + SignatureSuffix + " without it"})
	}
	if len(list) > MaxManifest {
		return failed(&Error{File: ManifestName, Err: ErrMalformed,
			Detail: fmt.Sprintf("has %d bytes, at most %d are allowed", len(list), MaxManifest)})
	}
	s, err := k.verify(ManifestName, list, beside[ManifestName+SignatureSuffix])
	if err != nil {
		return failed(err)
	}
	if signedAs, n := field(s.Comment, "file"); n > 1 || n == 1 && signedAs != ManifestName {
		return failed(otherName(ManifestName, signedAs, n))
	}
	s.Manifest = true
	hashes, err := parseManifest(list)
	if err != nil {
		return failed(err)
	}
	return &signedList{hashes: hashes, signature: s}
}

func otherName(name, signedAs string, n int) error {
	e := &Error{File: name + SignatureSuffix, Err: ErrOtherName}
	switch n {
	case 0:
		e.Detail = fmt.Sprintf("its trusted comment must have a field file:%s", name)
	case 1:
		e.Detail = fmt.Sprintf("it is of %q", signedAs)
	default:
		e.Detail = fmt.Sprintf("its trusted comment names %d files", n)
	}
	return e
}

// hashes are SHA-256 by file name.
type hashes map[string][sha256.Size]byte

func (h hashes) check(name string, contents []byte) error {
	want, ok := h[name]
	if !ok {
		return &Error{File: name, Err: ErrNotListed, Detail: ManifestName + " is signed and does not name it"}
	}
	if got := sha256.Sum256(contents); got != want {
		return &Error{File: name, Err: ErrHashMismatch, Want: hex.EncodeToString(want[:]), Got: hex.EncodeToString(got[:])}
	}
	return nil
}

// parseManifest reads what sha256sum writes, and nothing that it would not write of
// the files of one directory: lines of a hash, a space, a space or an asterisk, and a
// name. Lines that sha256sum escapes are refused, since what they escape is.
func parseManifest(file []byte) (hashes, error) {
	list, line := hashes{}, 0
	fault := func(format string, args ...any) error {
		return &Error{File: ManifestName, Line: line, Err: ErrMalformed, Detail: fmt.Sprintf(format, args...)}
	}
	if len(file) > MaxManifest {
		return nil, fault("has %d bytes, at most %d are allowed", len(file), MaxManifest)
	}
	doc, err := foreign.UTF8(file)
	if err != nil {
		return nil, fault("%v", err)
	}
	for l := range strings.Lines(string(doc)) {
		line++
		entry, whole := strings.CutSuffix(l, "\n")
		if !whole {
			return nil, fault("the last line must end")
		}
		const digits = 2 * sha256.Size
		if len(entry) < digits+2 || entry[digits] != ' ' || entry[digits+1] != ' ' && entry[digits+1] != '*' {
			return nil, fault("must be a hash of %d digits, two spaces or a space and an asterisk, and a name", digits)
		}
		var hash [sha256.Size]byte
		// hex takes capitals too, which sha256sum does not write.
		if _, err := hex.Decode(hash[:], []byte(entry[:digits])); err != nil || strings.ContainsAny(entry[:digits], "ABCDEF") {
			return nil, fault("the hash must be of digits and of letters from a to f")
		}
		name := entry[digits+2:]
		if reason := badName(name); reason != "" {
			return nil, fault("the name %q %s", name, reason)
		}
		if _, ok := list[name]; ok {
			return nil, fault("%s is listed twice", name)
		}
		list[name] = hash
	}
	if line == 0 {
		return nil, fault("lists nothing")
	}
	return list, nil
}

// badName says why name is none of a file in a directory; empty if it is one.
func badName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > 255:
		return "is longer than 255 bytes"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsAny(name, `/\`):
		return "must be of a file in the same directory, without slashes"
	case name == "." || name == "..":
		return "is a directory's"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has control characters"
	}
	return ""
}
