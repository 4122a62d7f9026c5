package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"regexp"
	"strings"
)

// A token is "rht_", 43 characters of base64url for 256 random bits, and 6 for a checksum of the
// others: those who look for secrets in repositories know one by its beginning, and a slip in
// copying one is found without asking a server.
const (
	tokenPrefix = "rht_"
	randomBytes = 32
	sumBytes    = 4
)

var (
	randomLen = base64.RawURLEncoding.EncodedLen(randomBytes)
	tokenLen  = len(tokenPrefix) + randomLen + base64.RawURLEncoding.EncodedLen(sumBytes)
)

// hash is what is kept of a token.
type hash [sha256.Size]byte

// hashOf does not allocate for a token as [NewToken] makes it.
func hashOf(token string) hash {
	var b [64]byte
	return sha256.Sum256(append(b[:0], token...))
}

// NewToken returns a new token, and its hash as a file of tokens has it.
func NewToken() (token, hashed string) {
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // which never fails
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	sum := sumOf(token)
	token += string(sum[:])
	return token, Hash(token)
}

// sumOf is the checksum of a token without it.
func sumOf(text string) (sum [6]byte) {
	base64.RawURLEncoding.Encode(sum[:], binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))))
	return sum
}

// hashPrefix goes before the hexadecimal digits of a hash.
const hashPrefix = "sha256:"

// Hash returns the hash of a token as a file of tokens has it.
func Hash(token string) string {
	h := hashOf(token)
	return hashPrefix + hex.EncodeToString(h[:])
}

// What is wrong with a token.
var (
	errNoToken  = errors.New("is no token: one begins with " + tokenPrefix)
	errNotWhole = errors.New("is a token of a wrong length; is it whole?")
	errDamaged  = errors.New("is a damaged token: its checksum differs")
)

// CheckToken returns what is wrong with a token as [NewToken] makes it. The error has no part of it.
func CheckToken(token string) error {
	body, ok := strings.CutPrefix(token, tokenPrefix)
	switch {
	case !ok:
		return errNoToken
	case len(token) != tokenLen:
		return errNotWhole
	}
	if sum := sumOf(token[:len(token)-len(body)+randomLen]); string(sum[:]) != body[randomLen:] {
		return errDamaged
	}
	return nil
}

var likeToken = regexp.MustCompile(tokenPrefix + `[A-Za-z0-9_-]{4,}`)

// Mask returns a text without what could be a token, for errors and logs of what somebody typed.
func Mask(text string) string { return likeToken.ReplaceAllString(text, tokenPrefix+"…") }
