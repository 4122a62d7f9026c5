package state

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// A stored record is a head of 28 bytes and a body. All numbers are little-endian.
//
//	 0  2  magic, "RS"
//	 2  1  version
//	 3  1  flags
//	 4  4  format of the data
//	 8  8  when the data became what it is, in milliseconds since 1970
//	16  4  length of the data
//	20  4  CRC-32C of the body
//	24  4  CRC-32C of the stored key and the 24 bytes before
//
// The body is the data or, if the record is sealed, what [Cipher] makes of it. A later version
// keeps this head, and may give flags and bodies of its own. A record of a later version can so be told
// from a record with a flipped bit.
//
// [AppendKey] has the form of the key.
const (
	// HeadBytes is how much of a stored record [Codec.DecodeHead] needs, and PeekBytes how much it looks
	// at: those behind the head name the key of a record that is sealed.
	HeadBytes = 28
	PeekBytes = HeadBytes + idBytes

	version    = 1
	flagSealed = 1 << 0
	flags      = flagSealed // that are known

	atVersion, atFlags, atFormat, atChanged, atSize, atBody, atHead = 2, 3, 4, 8, 16, 20, 24

	maxFormat = math.MaxInt32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Codec makes of a record the bytes that a store keeps, and the other way round. All stores use
// it, so that what one keeps another can keep too. The zero Codec seals nothing. Its methods may be
// called concurrently.
type Codec struct {
	// Cipher seals the data of records, and opens them; nil if they are kept as they are. With one,
	// records that are not sealed are refused, because whoever can write to the store could have
	// put them there.
	Cipher *Cipher
}

// Append appends the stored form of a record to b. The record must be one that [Record.Check]
// accepts.
func (c Codec) Append(b []byte, r *Record) ([]byte, error) {
	return c.AppendUnder(b, AppendKey(nil, r.Key), r)
}

// AppendUnder is [Codec.Append] for who has the stored key of the record, as [AppendKey] appends it.
func (c Codec) AppendUnder(b, key []byte, r *Record) ([]byte, error) {
	at := len(b)
	b = append(b, "RS\x01\x00"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Format))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Changed.UnixMilli()))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Data)))
	var sums [HeadBytes - atBody]byte
	b = append(b, sums[:]...)
	if c.Cipher == nil {
		b = append(b, r.Data...)
	} else {
		b[at+atFlags] |= flagSealed
		var err error
		if b, err = c.Cipher.seal(b, key, b[at:at+atBody], r.Data); err != nil {
			return b[:at], fmt.Errorf("seal %v: %w", r.Key, err)
		}
	}
	head, body := b[at:at+HeadBytes], b[at+HeadBytes:]
	binary.LittleEndian.PutUint32(head[atBody:], crc32.Checksum(body, castagnoli))
	binary.LittleEndian.PutUint32(head[atHead:], headSum(key, head))
	return b, nil
}

func headSum(key, head []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, head[:atHead])
}

// Stored is how long the stored form of a record with so much data is.
func (c Codec) Stored(size int) int {
	if c.Cipher != nil {
		size += sealedBytes
	}
	return HeadBytes + size
}

// MaxStored is how long the stored form of a record is at most. What is longer need not be read.
const MaxStored = HeadBytes + sealedBytes + MaxData

// Decode reads what is stored under a key. The record shares nothing with b. The error is a
// [*RecordError].
func (c Codec) Decode(key Key, b []byte) (Record, error) {
	r, sealed, err := c.head(key, b, len(b))
	if err != nil {
		return Record{}, err
	}
	body := b[HeadBytes:]
	if sum := binary.LittleEndian.Uint32(b[atBody:]); crc32.Checksum(body, castagnoli) != sum {
		return Record{}, &RecordError{Key: key, Reason: "its data does not have the sum that it was saved with", Err: ErrCorrupt}
	}
	if !sealed {
		r.Data = append(make([]byte, 0, len(body)), body...)
		return r, nil
	}
	data, reason, err := c.Cipher.open(AppendKey(nil, key), b[:atBody], body)
	if err != nil {
		return Record{}, &RecordError{Key: key, Reason: reason, Err: err}
	}
	r.Data = data
	return r, nil
}

// DecodeHead reads the beginning of what is stored under a key, of [HeadBytes] bytes or more, where
// stored is the length of all of it. The record has no data. What is wrong with the data alone is
// not found, but of a sealed record with [PeekBytes] that there is no key for it. The error is a
// [*RecordError].
func (c Codec) DecodeHead(key Key, head []byte, stored int) (Record, error) {
	r, sealed, err := c.head(key, head, stored)
	if err == nil && sealed && len(head) >= PeekBytes {
		if id := head[HeadBytes:PeekBytes]; c.Cipher.key(id) == nil {
			return Record{}, &RecordError{Key: key, Reason: c.Cipher.unknown(id), Err: ErrKey}
		}
	}
	return r, err
}

func (c Codec) head(key Key, head []byte, stored int) (r Record, sealed bool, err error) {
	fault := func(err error, form string, args ...any) (Record, bool, error) {
		return Record{}, false, &RecordError{Key: key, Reason: fmt.Sprintf(form, args...), Err: err}
	}
	if len(head) < HeadBytes {
		return fault(ErrCorrupt, "it has %d bytes, fewer than any record", len(head))
	}
	if string(head[:atVersion]) != "RS" {
		return fault(ErrCorrupt, "it begins with %q, as no record does", head[:atVersion])
	}
	if binary.LittleEndian.Uint32(head[atHead:]) != headSum(AppendKey(nil, key), head) {
		return fault(ErrCorrupt, "its head does not have the sum that it was saved with under this key")
	}
	if v := head[atVersion]; v != version {
		if v == 0 {
			return fault(ErrCorrupt, "there is no version 0")
		}
		return fault(ErrNewer, "it has version %d, and this program reads 1 to %d", v, version)
	}
	if unknown := head[atFlags] &^ flags; unknown != 0 {
		return fault(ErrNewer, "it has flags %#x, which this program does not know", unknown)
	}
	format, size := binary.LittleEndian.Uint32(head[atFormat:]), binary.LittleEndian.Uint32(head[atSize:])
	sealed = head[atFlags]&flagSealed != 0
	want := HeadBytes + int64(size)
	if sealed {
		want += sealedBytes
	}
	switch {
	case format > maxFormat:
		return fault(ErrCorrupt, "there is no format %d", format)
	case size > MaxData:
		return fault(ErrCorrupt, "it is to have %d bytes of data, and %d are the most", size, MaxData)
	case int64(stored) != want:
		return fault(ErrCorrupt, "it has %d bytes of %d", stored, want)
	case sealed && c.Cipher == nil:
		return fault(ErrKey, "it is sealed, and there is no key for it")
	case !sealed && c.Cipher != nil:
		return fault(errClear, "it is not sealed, and with a key only sealed records are read")
	}
	return Record{
		Key:     key,
		Format:  int(format),
		Changed: time.UnixMilli(int64(binary.LittleEndian.Uint64(head[atChanged:]))),
		Size:    int(size),
	}, sealed, nil
}
