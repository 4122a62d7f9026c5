package trust

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels, for [errors.Is]. All come wrapped in an [*Error].
var (
	// ErrUnsigned: there is no signature that could be checked.
	ErrUnsigned = errors.New("unsigned")
	// ErrUnknownKey: signed by a key that is not trusted, Error.KeyID.
	ErrUnknownKey = errors.New("signed by a key that is not trusted")
	// ErrBadSignature: not what the key Error.KeyID signed.
	ErrBadSignature = errors.New("bad signature")
	// ErrOtherName: signed by a trusted key, as a file of another name or of
	// none.
	ErrOtherName = errors.New("signed under another name")
	// ErrNotListed: the signed manifest of hashes does not list the file.
	ErrNotListed = errors.New("not listed")
	// ErrMissing: a file that was signed, or that the signed manifest lists, is not
	// there, and the plugin would be another without it.
	ErrMissing = errors.New("is missing")
	// ErrHashMismatch: the signed manifest lists another hash, Error.Want.
	ErrHashMismatch = errors.New("hash mismatch")
	// ErrMalformed: a file of keys, a signature or a manifest that breaks its
	// format's rules.
	ErrMalformed = errors.New("malformed")
	// ErrNoKeys: nothing is wrong with what should have keys, but there is none.
	ErrNoKeys = errors.New("has no keys")
)

// Error says what is wrong with which file.
type Error struct {
	// File is the file's name, or path where keys are read; empty where there is
	// none.
	File string
	// Line counts from 1; 0 is the file as a whole.
	Line int
	// KeyID is of ErrUnknownKey and ErrBadSignature. The signature claims it, and
	// nothing proves it.
	KeyID string
	// Want and Got are of ErrHashMismatch: SHA-256, hexadecimal.
	Want, Got string
	// Detail says more; may be empty. What it quotes of files is escaped.
	Detail string
	// Err is one of the sentinels.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		if e.File != "" {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "line %d", e.Line)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	switch {
	case e.Want != "":
		fmt.Fprintf(&b, ": want %s, got %s", e.Want, e.Got)
	case e.KeyID != "":
		fmt.Fprintf(&b, ": key %s", e.KeyID)
	}
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
