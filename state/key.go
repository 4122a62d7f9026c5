package state

import (
	"encoding/binary"
	"fmt"
)

// A stored key is the kind, tenant and transform, each after its length, and then the name. The
// lengths have 1, 2 and 2 bytes, big-endian. So a key has one form only, and what begins with the
// same kind, tenant and transform lies side by side.

// MaxStoredKey is how long a stored key is at most.
const MaxStoredKey = 5 + maxKind + MaxTenant + MaxTransform + MaxName

// AppendKey appends the bytes under which stores keep a record to b. The key must be one that
// [Record.Check] accepts.
func AppendKey(b []byte, k Key) []byte {
	b = append(b, byte(len(k.Kind)))
	b = append(b, k.Kind...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(k.Tenant)))
	b = append(b, k.Tenant...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(k.Transform)))
	b = append(b, k.Transform...)
	return append(b, k.Name...)
}

// ParseKey reads what AppendKey has written. The error is a [*RecordError] that wraps [ErrCorrupt].
func ParseKey(b []byte) (Key, error) {
	fault := func(reason string) (Key, error) {
		return Key{}, &RecordError{Reason: fmt.Sprintf("its key %.80q %s", b, reason), Err: ErrCorrupt}
	}
	rest := b
	part := func(width, most int) (string, bool) {
		if len(rest) < width {
			return "", false
		}
		n := int(rest[0])
		if width == 2 {
			n = int(binary.BigEndian.Uint16(rest))
		}
		if n > most || len(rest)-width < n {
			return "", false
		}
		s := string(rest[width : width+n])
		rest = rest[width+n:]
		return s, true
	}
	kind, ok := part(1, maxKind)
	if !ok || !validKind(kind) {
		return fault("has no kind")
	}
	tenant, ok := part(2, MaxTenant)
	if !ok {
		return fault("has no tenant")
	}
	transform, ok := part(2, MaxTransform)
	if !ok || transform != "" && kind != string(KindStream) {
		return fault("has no transform, or one that its kind has not")
	}
	if len(rest) > MaxName {
		return fault("has a name that is too long")
	}
	return Key{Kind: Kind(kind), Tenant: tenant, Transform: transform, Name: string(rest)}, nil
}

// StoredPrefix returns what the stored keys of all records begin with that match the filter, as
// far as one prefix can say it. [Filter.Match] says the rest.
func (f *Filter) StoredPrefix() []byte {
	if f.Kind == "" || len(f.Kind) > maxKind {
		return nil
	}
	b := append([]byte{byte(len(f.Kind))}, f.Kind...)
	if f.Tenant == nil || len(*f.Tenant) > MaxTenant {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(*f.Tenant)))
	b = append(b, *f.Tenant...)
	if f.Kind == KindStream && f.Transform == "" || len(f.Transform) > MaxTransform {
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Transform)))
	b = append(b, f.Transform...)
	return append(b, f.Prefix...)
}
