package watch

import (
	"bytes"
	"encoding/binary"
)

// Module reports whether b can be all of a file that holds a WebAssembly module, for
// [Config.Whole]: it is false for what looks like the beginning of one, cut off within a
// section or with zeros for what is not yet written. What is no module at all is no less
// whole for that.
func Module(b []byte) bool {
	const magic = "\x00asm"
	header := b[:min(len(b), len(magic))]
	if len(bytes.Trim(header, "\x00")) == 0 {
		return false // nothing, or room for something
	}
	if !bytes.HasPrefix([]byte(magic), header) {
		return true
	}
	if len(b) < len(magic)+4 {
		return false
	}
	b = b[len(magic)+4:]
	for len(b) > 0 {
		custom := b[0] == 0
		size, n := binary.Uvarint(b[1:])
		if n < 0 {
			return true // too long a number does not get shorter
		}
		if n == 0 || size > uint64(len(b)-1-n) || custom && size == 0 {
			return false // a custom section has a name at least: this is room
		}
		b = b[1+n+int(size):]
	}
	return true
}
