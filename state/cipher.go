package state

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// A sealed body is the ID of the key, a random nonce, and the data by AES-256-GCM. Each record has
// a key of its own, which HKDF makes of the key and the stored key of the record. So nonces need
// differ only among the saves of one record, for which 96 random bits suffice. What is
// authenticated beside the data is the stored key and the head's first 20 bytes: a record cannot
// be put in another's place, nor be given another format or time.
const (
	keyBytes    = 32
	idBytes     = 4
	nonceBytes  = 12
	tagBytes    = 16
	sealedBytes = idBytes + nonceBytes + tagBytes

	// A key as text, so that scanners for secrets can know it.
	keyPrefix = "resonhost-state-key-"
	maxKeys   = 16
)

// Cipher seals the data of records, so that who reads the store does not read it, and who writes
// to it cannot change it unnoticed. It does not hide keys, formats, times and lengths. It does not
// show that a record is gone, or is an older one of the same key.
type Cipher struct {
	keys []masterKey // the first seals
}

type masterKey struct {
	id  [idBytes]byte
	key []byte
}

// NewKey returns a new key as text.
func NewKey() string {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // it never fails: it ends the process instead
	return keyPrefix + base64.RawURLEncoding.EncodeToString(key)
}

// ParseKeys reads a file of keys: one of [NewKey] in a line, where blank lines and those that begin
// with # are left out. The first key seals, and all of them open. So a new key comes first, and an
// old one goes when everything has been saved anew. An error has nothing of a key.
func ParseKeys(b []byte) (*Cipher, error) {
	c := &Cipher{}
	n := 0
	for line := range bytes.Lines(b) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		text, ok := strings.CutPrefix(text, keyPrefix)
		if !ok {
			return nil, fmt.Errorf("line %d: must begin with %s, as resonhost state key writes it", n, keyPrefix)
		}
		key, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil || len(key) != keyBytes {
			return nil, fmt.Errorf("line %d: must have %d bytes in base64url after %s", n, keyBytes, keyPrefix)
		}
		if len(c.keys) == maxKeys {
			return nil, fmt.Errorf("line %d: there must be at most %d keys", n, maxKeys)
		}
		m := masterKey{key: key}
		id, err := derive(key, "id")
		if err != nil {
			return nil, err
		}
		copy(m.id[:], id)
		for _, other := range c.keys {
			if other.id == m.id {
				return nil, fmt.Errorf("line %d: has the key of another line", n)
			}
		}
		c.keys = append(c.keys, m)
	}
	if len(c.keys) == 0 {
		return nil, errors.New("has no key")
	}
	return c, nil
}

// ID names the key that seals. It tells nothing of the key.
func (c *Cipher) ID() string { return hex.EncodeToString(c.keys[0].id[:]) }

// derive makes a key of a key, for one use.
func derive(key []byte, use string) ([]byte, error) {
	return hkdf.Expand(sha256.New, key, "resonhost state 1 "+use, keyBytes)
}

// aead is what seals the record of a stored key.
func (m *masterKey) aead(storedKey []byte) (cipher.AEAD, error) {
	key, err := derive(m.key, "record "+string(storedKey))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal appends the sealed body of data to b. What is authenticated beside it is the stored key and
// the head.
func (c *Cipher) seal(b, storedKey, head, data []byte) ([]byte, error) {
	m := &c.keys[0]
	aead, err := m.aead(storedKey)
	if err != nil {
		return b, err
	}
	beside := append(bytes.Clone(head), storedKey...)
	var nonce [nonceBytes]byte
	_, _ = rand.Read(nonce[:]) // it never fails: it ends the process instead
	b = append(b, m.id[:]...)
	b = append(b, nonce[:]...)
	return aead.Seal(b, nonce[:], data, beside), nil
}

// open returns the data of a sealed body of sealedBytes or more. If it cannot, it says why, with
// [ErrKey] or [ErrCorrupt] and nothing that is secret.
func (c *Cipher) open(storedKey, head, body []byte) (data []byte, reason string, err error) {
	id, rest := body[:idBytes], body[idBytes:]
	m := c.key(id)
	if m == nil {
		return nil, c.unknown(id), ErrKey
	}
	aead, err := m.aead(storedKey)
	if err != nil {
		return nil, err.Error(), ErrKey
	}
	data, err = aead.Open([]byte{}, rest[:nonceBytes], rest[nonceBytes:], append(bytes.Clone(head), storedKey...))
	if err != nil {
		return nil, fmt.Sprintf("it was changed after it was sealed with key %x", id), ErrCorrupt
	}
	return data, "", nil
}

// key returns the key of an ID, nil if there is none.
func (c *Cipher) key(id []byte) *masterKey {
	for i := range c.keys {
		if bytes.Equal(c.keys[i].id[:], id) {
			return &c.keys[i]
		}
	}
	return nil
}

func (c *Cipher) unknown(id []byte) string {
	return fmt.Sprintf("it is sealed with key %x, and the first of those given is %s", id, c.ID())
}
