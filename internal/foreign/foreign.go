// Package foreign is about text that comes from outside: how it is encoded, and how much of a name
// is shown.
package foreign

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	// ErrEncoding is the error of [UTF8].
	ErrEncoding = errors.New("the text must be UTF-8")

	errUTF16 = encoding("the text is UTF-16, and must be UTF-8")
	errUTF32 = encoding("the text is UTF-32, and must be UTF-8")
)

type encoding string

func (e encoding) Error() string      { return string(e) }
func (encoding) Is(target error) bool { return target == ErrEncoding }

// UTF8 returns text without UTF-8's byte order mark, where it begins with one. The error names
// UTF-16 or UTF-32 where it sees one: by its mark, or by where the zero bytes stand in letters as
// all languages of this product begin with. A zero byte elsewhere, as what else may not be UTF-8, is
// its reader's to find.
func UTF8(text []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return text[3:], nil
	case bytes.HasPrefix(text, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(text, []byte("\x00\x00\xfe\xff")),
		zeros(text, false, true, true, true), zeros(text, true, true, true, false):
		return nil, errUTF32
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")),
		zeros(text, false, true), zeros(text, true, false):
		return nil, errUTF16
	}
	return text, nil
}

// maxSeen is how much of a text is looked at for zeros, in bytes: more may be of other letters.
const maxSeen = 8

// zeros reports whether text begins with bytes that are zero or not, in turns as told, and its first
// character is of ASCII.
func zeros(text []byte, turns ...bool) bool {
	for i, b := range text[:min(len(text), maxSeen)] {
		if (b == 0) != turns[i%len(turns)] || i < len(turns) && b > unicode.MaxASCII {
			return false
		}
	}
	return len(text) >= len(turns)
}

// maxName is how much of a name is shown, in bytes.
const maxName = 128

// Cut returns a name as it is shown where it may be anybody's: not more than its beginning.
func Cut(name string) string {
	if len(name) <= maxName {
		return name
	}
	cut := name[:maxName]
	for i := 1; i <= utf8.UTFMax && i <= len(cut); i++ { // no half of a character
		if utf8.RuneStart(cut[len(cut)-i]) {
			if !utf8.FullRuneInString(cut[len(cut)-i:]) {
				cut = cut[:len(cut)-i]
			}
			break
		}
	}
	return strings.Clone(cut) + "…"
}
