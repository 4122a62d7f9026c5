package trust

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jedisct1/go-minisign"

	"github.com/resonhost/resonhost/internal/foreign"
)

// Keys are the public keys that are trusted. The zero value trusts nobody. Methods
// may be called concurrently.
type Keys struct{ keys []minisign.PublicKey }

// IDs returns the keys' IDs as minisign prints them, in the order of the keys.
func (k Keys) IDs() []string {
	ids := make([]string, len(k.keys))
	for i := range k.keys {
		ids[i] = keyID(k.keys[i].KeyId)
	}
	return ids
}

// ReadKeys reads the public keys of a file, as [ParseKeys] does, or of all files
// *.pub of a directory, each of which must have one. Faults of them are [*Error].
func ReadKeys(path string) (Keys, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Keys{}, fmt.Errorf("reading keys: %w", err)
	}
	if !info.IsDir() {
		return readKeys(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return Keys{}, fmt.Errorf("reading keys: %w", err)
	}
	var all Keys
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".pub" {
			continue
		}
		k, err := readKeys(filepath.Join(path, e.Name()))
		if err != nil {
			return Keys{}, err
		}
		for _, key := range k.keys {
			all.add(key)
		}
	}
	if len(all.keys) == 0 {
		return Keys{}, &Error{File: path, Err: ErrNoKeys, Detail: "there is no file *.pub"}
	}
	return all, nil
}

func readKeys(path string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return Keys{}, fmt.Errorf("reading keys: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, MaxKeys+1))
	if err != nil {
		return Keys{}, fmt.Errorf("reading keys: %w", err)
	}
	k, err := ParseKeys(text)
	if e := (*Error)(nil); errors.As(err, &e) {
		e.File = path
	}
	return k, err
}

// ParseKeys reads public keys, one or more, each on a line as minisign -P takes it.
// Empty lines and those that begin with # or "untrusted comment:" are skipped, so that
// files of minisign -G can be put one behind the other. A key that is there twice counts
// once. Errors are [*Error].
func ParseKeys(file []byte) (Keys, error) {
	if len(file) > MaxKeys {
		return Keys{}, &Error{Err: ErrMalformed, Detail: fmt.Sprintf("has more than %d bytes", MaxKeys)}
	}
	doc, err := foreign.UTF8(file)
	if err != nil {
		return Keys{}, &Error{Err: ErrMalformed, Detail: err.Error()}
	}
	var k Keys
	line := 0
	for l := range strings.Lines(string(doc)) {
		line++
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") || strings.HasPrefix(l, strings.TrimSpace(untrustedComment)) {
			continue
		}
		key, reason := parseKey(l)
		if reason != "" { // which does not quote the line: it may be a secret
			return Keys{}, &Error{Line: line, Err: ErrMalformed, Detail: reason}
		}
		k.add(key)
	}
	if len(k.keys) == 0 {
		return Keys{}, &Error{Err: ErrNoKeys}
	}
	return k, nil
}

func (k *Keys) add(key minisign.PublicKey) {
	if !slices.Contains(k.keys, key) {
		k.keys = append(k.keys, key)
	}
}

// Lengths of what minisign writes, in bytes.
const (
	publicKeySize = 42
	secretKeySize = 158
)

// parseKey reads a public key, or says why it is none.
func parseKey(s string) (key minisign.PublicKey, reason string) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	switch {
	case err != nil:
		return key, "must be a public key in base64, or a comment"
	case len(raw) == secretKeySize:
		return key, "is a secret key, which does not belong here"
	case len(raw) != publicKeySize:
		return key, fmt.Sprintf("must be a public key of %d bytes, has %d", publicKeySize, len(raw))
	case string(raw[:2]) != "Ed":
		return key, fmt.Sprintf("the key's algorithm must be Ed, is %q", raw[:2])
	}
	key, err = minisign.NewPublicKey(s)
	if err != nil {
		return key, "must be a public key in base64, or a comment"
	}
	return key, ""
}
