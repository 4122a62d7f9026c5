// Package tick holds the messages of the plugin "tick", which advances resonance
// nodes and their network by one tick: of the transforms tick.node
// ([NodesRequest], [Nodes], [NodesResult]), tick.network ([NetworkRequest],
// [NetworkState]) and tick.connection ([ConnectionRequest], [ConnectionResult]).
//
// A message has a JSON form by its field tags, with names and identifiers, and a
// binary record, little-endian, in which each part starts at a multiple of 8
// bytes. A record knows nodes, fields and patterns by their index alone: the
// guest has no use for names, and a million of them would be costly to carry.
package tick

import (
	"errors"
	"strconv"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/resonance/internal/le"
)

// Media types of the binary records.
const (
	MediaTypeNodes            = "application/vnd.resonhost.tick.nodes"
	MediaTypeNodesResult      = "application/vnd.resonhost.tick.nodes-result"
	MediaTypeNetwork          = "application/vnd.resonhost.tick.network"
	MediaTypeConnection       = "application/vnd.resonhost.tick.connection"
	MediaTypeConnectionResult = "application/vnd.resonhost.tick.connection-result"
)

// Bounds of the messages.
const (
	// MaxNodes is the largest number of nodes in a message.
	MaxNodes = 1 << 20
	// MaxPatterns is the largest number of patterns, and of fields.
	MaxPatterns = 4096
	// MaxAttached is the largest number of patterns of one node.
	MaxAttached = 64
	// MaxFrequency is the highest frequency, in Hz.
	MaxFrequency = 1e6
	// MaxTime is the range of now_ms to both sides of 0, that of a JavaScript
	// Date.
	MaxTime = 8.64e15
	// MaxID is the longest identifier of a node, in bytes.
	MaxID = 128
	// MaxName is the longest name of a field or pattern, in bytes.
	MaxName = 64
	// MaxCount bounds counters: the largest that a float64 counts exactly.
	MaxCount = 1<<53 - 1
	// maxMagnitude bounds what has no range of its own.
	maxMagnitude = 1e9
)

func fault(field, rule string) error { return &abi.FieldError{Field: field, Rule: rule} }

func at(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

func within(v, low, high float64) bool { return v >= low && v <= high } // false of NaN

func checkTime(ms float64) error {
	if !within(ms, -MaxTime, MaxTime) {
		return fault("now_ms", "must be between -8.64e15 and 8.64e15")
	}
	return nil
}

const (
	frequencyRule = "must be above 0 and at most 1e6"
	unitRule      = "must be between 0 and 1"
	magnitudeRule = "must be between -1e9 and 1e9"
	countRule     = "must be at most 2^53-1"
)

func isFrequency(v float64) bool { return v > 0 && v <= MaxFrequency }

func isUnit(v float64) bool { return within(v, 0, 1) }

// checkName checks the name of a field or pattern. Names become members of JSON
// objects; those that mean something to a JavaScript object are refused.
func checkName(field, name string) error {
	ok := name != "" && len(name) <= MaxName && name[0] >= 'a' && name[0] <= 'z'
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
	}
	if !ok {
		return fault(field, quoted(name)+" is no name: must be 1 to 64 lower-case letters, digits and '_', a letter first")
	}
	if name == "constructor" || name == "prototype" {
		return fault(field, strconv.Quote(name)+" is reserved")
	}
	return nil
}

// quoted shows a foreign name, of which no more than a name's length.
func quoted(name string) string {
	if len(name) > MaxName {
		return strconv.Quote(name[:MaxName]) + "…"
	}
	return strconv.Quote(name)
}

// reader reads a record whose length was checked.
type reader struct{ b []byte }

func (r *reader) uint64() uint64 {
	var v [1]uint64
	r.b = le.Read(r.b, v[:])
	return v[0]
}

func (r *reader) float() float64 {
	var v [1]float64
	r.b = le.Read(r.b, v[:])
	return v[0]
}

// appendUint32s pads to a multiple of 8 bytes.
func appendUint32s(b []byte, v []uint32) []byte {
	b = le.Append(b, v...)
	return append(b, make([]byte, align(4*len(v))-4*len(v))...)
}

func align(n int) int { return (n + 7) &^ 7 }

// resize returns s with n elements, in its own memory if that suffices.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func sizeFault(got, want int) error {
	return fault("record", "must have "+strconv.Itoa(want)+" bytes, has "+strconv.Itoa(got))
}

var errMismatch = errors.New("tick: the result is not of this request")
