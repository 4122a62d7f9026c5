package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
)

// Bounds of a release.
const (
	// MaxRelease is how many bytes the files of a release have together at most. A host holds them in memory.
	MaxRelease = 128 << 20

	maxFiles    = 16
	maxFileName = 192
	maxVersion  = 128
)

// Release is a version of a plugin as a fleet has it: which files it consists of.
type Release struct {
	// Hash is what hosts tell the version apart by, see [host.Plugin].
	Hash string `json:"hash"`
	// Version is the plugin's own, as the first host said that found the release good; "" until then.
	Version string `json:"version,omitempty"`
	// Files are those of a plugin directory, by name.
	Files map[string]ReleaseFile `json:"files"`
}

// ReleaseFile is a file of a release. Its content lies in the fleet's store of objects, by its digest.
type ReleaseFile struct {
	// SHA256 is of the content, in hexadecimal, and Bytes its length.
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// sourceName is which names of sources a fleet takes. A name is a part of a subject, and of files' names.
var sourceName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

const maxSourceName = 128

// checkSourceName refuses a name that cannot be a key.
func checkSourceName(name string) error {
	if len(name) > maxSourceName || !sourceName.MatchString(name) {
		return &abi.FieldError{Field: "name", Rule: fmt.Sprintf("%q must be 1 to %d letters, digits, _, - and single dots inside: rename the file", cut(name), maxSourceName)}
	}
	return nil
}

// newRelease returns the release that a source is, and its files by their digests.
func newRelease(s *host.Source) (r Release, contents map[string][]byte, err error) {
	if err := checkSourceName(s.Name); err != nil {
		return r, nil, err
	}
	r = Release{Hash: s.Hash(), Files: make(map[string]ReleaseFile)}
	contents = make(map[string][]byte)
	for name, data := range s.Files() {
		f := ReleaseFile{SHA256: fileDigest(data), Bytes: int64(len(data))}
		r.Files[name], contents[f.SHA256] = f, data
	}
	err = r.check(s.Name)
	return r, contents, err
}

func fileDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// same reports whether two releases have the same files.
func (r *Release) same(o *Release) bool {
	return r != nil && o != nil && maps.Equal(r.Files, o.Files)
}

// check refuses a release that is none of the plugin.
func (r *Release) check(plugin string) error {
	refuse := func(field, form string, args ...any) error {
		return &abi.FieldError{Field: field, Rule: fmt.Sprintf(form, args...)}
	}
	if !isDigest(r.Hash) {
		return refuse("hash", "must be a SHA-256 in hexadecimal")
	}
	if len(r.Version) > maxVersion || !printable(r.Version) {
		return refuse("version", "must be at most %d bytes of text", maxVersion)
	}
	if len(r.Files) > maxFiles {
		return refuse("files", "are %d, and may be %d", len(r.Files), maxFiles)
	}
	if _, ok := r.Files[plugin+".wasm"]; !ok {
		return refuse("files", "lack %s.wasm", plugin)
	}
	size := int64(0)
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		f := r.Files[name]
		switch {
		case name == "" || len(name) > maxFileName || !printable(name) || strings.ContainsAny(name, `/\`):
			return refuse("files", "have the name %q", cut(name))
		case !isDigest(f.SHA256):
			return refuse("files."+name, "must have a SHA-256 in hexadecimal")
		case f.Bytes < 0 || f.Bytes > MaxRelease:
			return refuse("files."+name, "has %d bytes, and may have %d", f.Bytes, MaxRelease)
		}
		if size += f.Bytes; size > MaxRelease {
			return refuse("files", "have more than %d bytes together", MaxRelease)
		}
	}
	return nil
}

// isDigest reports whether a text is a SHA-256 as fileDigest writes it.
func isDigest(text string) bool {
	if len(text) != 2*sha256.Size {
		return false
	}
	return strings.Trim(text, "0123456789abcdef") == ""
}
