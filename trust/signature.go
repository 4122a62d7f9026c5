package trust

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jedisct1/go-minisign"

	"github.com/resonhost/resonhost/internal/foreign"
)

// verify checks what the file name+SignatureSuffix says of the contents of the file
// name, and not what its trusted comment says.
func (k Keys) verify(name string, contents, signature []byte) (Signature, error) {
	s, err := parseSignature(name+SignatureSuffix, signature)
	if err != nil {
		return Signature{}, err
	}
	known := false
	for _, key := range k.keys {
		if key.KeyId != s.KeyId { // several can have one ID: it is not a hash of the key
			continue
		}
		known = true
		if ok, err := key.Verify(contents, s); ok && err == nil {
			comment := strings.TrimPrefix(s.TrustedComment, trustedComment)
			return Signature{KeyID: keyID(s.KeyId), Comment: comment, Signed: timestamp(comment)}, nil
		}
	}
	e := &Error{File: name + SignatureSuffix, Err: ErrUnknownKey, KeyID: keyID(s.KeyId)}
	if known {
		e.Err, e.Detail = ErrBadSignature, "has not signed this "+name+" with this trusted comment"
	}
	return Signature{}, e
}

const (
	untrustedComment = "untrusted comment: "
	trustedComment   = "trusted comment: "
)

// parseSignature reads the four lines of a signature. The library decodes them, and
// leaves much open, which is decided here: line ends, the alphabet of comments, and the
// algorithm.
func parseSignature(file string, signature []byte) (minisign.Signature, error) {
	fault := func(line int, format string, args ...any) error {
		return &Error{File: file, Line: line, Err: ErrMalformed, Detail: fmt.Sprintf(format, args...)}
	}
	if len(signature) > MaxSignature {
		return minisign.Signature{}, fault(0, "has %d bytes, at most %d are allowed", len(signature), MaxSignature)
	}
	doc, err := foreign.UTF8(signature)
	if err != nil {
		return minisign.Signature{}, fault(0, "%v", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(doc), "\n"), "\n")
	if len(lines) != 4 {
		return minisign.Signature{}, fault(0, "must have 4 lines, has %d", len(lines))
	}
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	for i, line := range [4]struct {
		prefix     string // of a comment
		characters int    // of base64
	}{{prefix: untrustedComment}, {characters: 100}, {prefix: trustedComment}, {characters: 88}} {
		switch l := lines[i]; {
		case !strings.HasPrefix(l, line.prefix):
			return minisign.Signature{}, fault(i+1, "must begin with %q", line.prefix)
		case !utf8.ValidString(l) || strings.ContainsFunc(l, isOddControl):
			return minisign.Signature{}, fault(i+1, "must be valid UTF-8 without control characters")
		case line.characters > 0 && len(l) != line.characters:
			return minisign.Signature{}, fault(i+1, "must have %d characters, has %d", line.characters, len(l))
		}
	}
	s, err := minisign.DecodeSignature(strings.Join(lines, "\n"))
	if err != nil {
		return minisign.Signature{}, fault(0, "lines 2 and 4 must be base64")
	}
	if a := string(s.SignatureAlgorithm[:]); a != "ED" && a != "Ed" {
		return minisign.Signature{}, fault(2, "the algorithm must be ED (prehashed) or Ed (legacy), is %q", a)
	}
	return s, nil
}

func isOddControl(r rune) bool { return unicode.IsControl(r) && r != '\t' }

// keyID spells an ID as minisign does.
func keyID(id [8]byte) string { return fmt.Sprintf("%016X", binary.LittleEndian.Uint64(id[:])) }

// field returns the value of the first field of a trusted comment that has the name,
// and how many there are.
func field(comment, name string) (value string, n int) {
	for f := range strings.SplitSeq(comment, "\t") {
		if v, ok := strings.CutPrefix(f, name+":"); ok {
			if n++; n == 1 {
				value = v
			}
		}
	}
	return value, n
}

func timestamp(comment string) time.Time {
	value, n := field(comment, "timestamp")
	seconds, err := strconv.ParseUint(value, 10, 40) // until the year 36,000
	if n != 1 || err != nil {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
