// Package cascade holds the messages of the transform "cascade", harmonic
// resonance analysis of one state: its argument [State], its answer [Result], and
// [History], which it keeps for a stream.
//
// Every message has a binary record, little-endian, in which each part starts at
// a multiple of 8 bytes, and a JSON form by its field tags.
package cascade

import (
	"encoding"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"unsafe"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/resonance/internal/le"
)

// Media types of the binary records.
const (
	MediaTypeState  = "application/vnd.resonhost.cascade.state"
	MediaTypeResult = "application/vnd.resonhost.cascade.result"
)

// Bounds of [State], see [State.Validate].
const (
	// MinMagnitude and MaxMagnitude bound the fields that are not 0, so that
	// every frequency, in every octave, and every ratio of two is finite.
	MinMagnitude = 1e-12
	MaxMagnitude = 1e12
	// MaxTimestamp is the range of a JavaScript Date, in ms about 1970.
	MaxTimestamp = 8_640_000_000_000_000
)

// Detail is how much of the analysis a [Result] carries.
type Detail string

// Details. An empty one is DetailFull.
const (
	DetailFull    Detail = "full"
	DetailSummary Detail = "summary" // without the harmonics of each octave
)

// State is the argument of cascade. A field that is 0 is absent.
type State struct {
	AwarenessLevel     float64 `json:"awarenessLevel,omitzero"`
	CoherenceScore     float64 `json:"coherenceScore,omitzero"`
	PhiValue           float64 `json:"phiValue,omitzero"`
	EmotionalResonance float64 `json:"emotionalResonance,omitzero"`
	CreativeEmergence  float64 `json:"creativeEmergence,omitzero"`
	// Timestamp is in ms since 1970, and is echoed.
	Timestamp int64 `json:"timestamp,omitzero"`
	// Detail is what the result carries; default DetailFull.
	Detail Detail `json:"detail,omitzero"`
}

var (
	_ encoding.BinaryAppender    = (*State)(nil)
	_ encoding.BinaryUnmarshaler = (*State)(nil)
)

// fieldNames are the members that Values returns.
var fieldNames = [5]string{"awarenessLevel", "coherenceScore", "phiValue", "emotionalResonance", "creativeEmergence"}

// Values returns the five values in their order.
func (s *State) Values() [5]float64 {
	return [5]float64{s.AwarenessLevel, s.CoherenceScore, s.PhiValue, s.EmotionalResonance, s.CreativeEmergence}
}

// Validate checks that values are finite and within [MinMagnitude] and
// [MaxMagnitude] or 0, the timestamp within [MaxTimestamp], and the detail known.
// It returns the first fault, an [*abi.FieldError].
func (s *State) Validate() error {
	if !valid(s.AwarenessLevel) || !valid(s.CoherenceScore) || !valid(s.PhiValue) || !valid(s.EmotionalResonance) || !valid(s.CreativeEmergence) {
		for i, v := range s.Values() {
			if !valid(v) {
				return fault(fieldNames[i], "must be 0 or of a magnitude between 1e-12 and 1e12")
			}
		}
	}
	if s.Timestamp < -MaxTimestamp || s.Timestamp > MaxTimestamp {
		return fault("timestamp", timestampRule)
	}
	switch s.Detail {
	case "", DetailFull, DetailSummary:
		return nil
	}
	return fault("detail", detailRule)
}

func valid(v float64) bool {
	a := math.Abs(v)
	return a >= MinMagnitude && a <= MaxMagnitude || v == 0
}

const (
	timestampRule = "must be between -8.64e15 and 8.64e15"
	detailRule    = `must be "full" or "summary"`
)

// stateSize is the length of State's record: the five values, the timestamp, and
// the detail as a u64, 0 for full and 1 for summary.
const stateSize = 7 * 8

// AppendBinary implements [encoding.BinaryAppender].
func (s *State) AppendBinary(b []byte) ([]byte, error) {
	var detail uint64
	switch s.Detail {
	case "", DetailFull:
	case DetailSummary:
		detail = 1
	default:
		return nil, fault("detail", detailRule)
	}
	values := s.Values()
	return le.Append(le.Append(b, values[:]...), uint64(s.Timestamp), detail), nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It does not validate.
func (s *State) UnmarshalBinary(b []byte) error {
	if len(b) != stateSize {
		return sizeError("state", len(b), stateSize)
	}
	s.AwarenessLevel, s.CoherenceScore, s.PhiValue = le.Float(b), le.Float(b[8:]), le.Float(b[16:])
	s.EmotionalResonance, s.CreativeEmergence = le.Float(b[24:]), le.Float(b[32:])
	s.Timestamp = int64(binary.LittleEndian.Uint64(b[40:]))
	switch binary.LittleEndian.Uint64(b[48:]) {
	case 0:
		s.Detail = DetailFull
	case 1:
		s.Detail = DetailSummary
	default:
		return fault("detail", "must be 0 or 1 in a record")
	}
	return nil
}

// Octaves is how many octaves are analysed.
const Octaves = 8

// HistoryPatterns is how many earlier results matter.
const HistoryPatterns = 10

// Pattern is the resonance of each octave of one result.
type Pattern [Octaves]float64

// History is what cascade keeps for a stream.
type History struct {
	// Length is how many earlier results the stream has.
	Length uint64
	// Patterns are of the last of them, min(Length, HistoryPatterns), the
	// oldest first.
	Patterns []Pattern
}

var (
	_ encoding.BinaryAppender    = (*History)(nil)
	_ encoding.BinaryUnmarshaler = (*History)(nil)
)

const (
	historyFormat = uint64(1)
	historyHeader = 16
	patternSize   = Octaves * 8

	// MaxHistoryBytes is the longest record of a [History].
	MaxHistoryBytes = historyHeader + HistoryPatterns*patternSize
)

// Validate checks that there are as many patterns as Length says, of resonances
// within −1 and 1. It returns the first fault, an [*abi.FieldError].
func (h *History) Validate() error {
	if min(h.Length, HistoryPatterns) != uint64(len(h.Patterns)) {
		return fault("patterns", "must be the last 10 of "+strconv.FormatUint(h.Length, 10)+" results, are "+strconv.Itoa(len(h.Patterns)))
	}
	if !resonances(le.Bits(numbers(h.Patterns))) {
		for i := range h.Patterns {
			if !resonances(le.Bits(h.Patterns[i][:])) {
				return fault(at("patterns", i), "must be within -1 and 1")
			}
		}
	}
	return nil
}

// resonances reports whether all numbers, of which these are the bits, are within -1 and
// 1. Without their sign, numbers are in the order of their bits.
//
//go:noinline
//go:nosplit
func resonances(v []int64) bool {
	const one = 0x3ff << 52
	var wrong int64
	for ; len(v) >= Octaves; v = v[Octaves:] {
		h, g, f, e, d, c, b, a := v[7], v[6], v[5], v[4], v[3], v[2], v[1], v[0]
		wrong |= (one - a&math.MaxInt64) | (one - b&math.MaxInt64) | (one - c&math.MaxInt64) | (one - d&math.MaxInt64) |
			(one - e&math.MaxInt64) | (one - f&math.MaxInt64) | (one - g&math.MaxInt64) | (one - h&math.MaxInt64)
	}
	return wrong >= 0
}

// numbers returns the memory of patterns as that of their numbers.
func numbers(p []Pattern) []float64 {
	if len(p) == 0 {
		return nil
	}
	n := len(p) * Octaves
	return (*[HistoryPatterns * Octaves]float64)(unsafe.Pointer(unsafe.SliceData(p)))[:n:n]
}

// Add appends the pattern of one more result. Length stays at its largest value
// once there.
func (h *History) Add(p Pattern) {
	if h.Length != math.MaxUint64 {
		h.Length++
	}
	if len(h.Patterns) == HistoryPatterns {
		copy(h.Patterns, h.Patterns[1:])
		h.Patterns[HistoryPatterns-1] = p
		return
	}
	h.Patterns = append(h.Patterns, p)
}

// AppendBinary implements [encoding.BinaryAppender]. The record is the u64 1, its
// format; the u64 length; and the patterns. It refuses an invalid history.
func (h *History) AppendBinary(b []byte) ([]byte, error) {
	if min(h.Length, HistoryPatterns) != uint64(len(h.Patterns)) || !resonances(le.Bits(numbers(h.Patterns))) {
		return nil, h.Validate()
	}
	b = le.Append(b, historyFormat, h.Length)
	return le.Append(b, numbers(h.Patterns)...), nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. No bytes are the empty
// history, and an invalid one is refused: unlike an argument, it is not the
// caller's to correct. The memory of Patterns is used again.
func (h *History) UnmarshalBinary(b []byte) error {
	h.Length, h.Patterns = 0, h.Patterns[:0]
	if len(b) == 0 {
		return nil
	}
	if len(b) < historyHeader || len(b) > MaxHistoryBytes || (len(b)-historyHeader)%patternSize != 0 {
		return errors.New("cascade history: a record of " + strconv.Itoa(len(b)) + " bytes")
	}
	if binary.LittleEndian.Uint64(b) != historyFormat {
		return errors.New("cascade history: unknown format")
	}
	h.Length = binary.LittleEndian.Uint64(b[8:])
	if h.Patterns = h.Patterns[:0]; cap(h.Patterns) < HistoryPatterns {
		h.Patterns = make([]Pattern, 0, HistoryPatterns)
	}
	h.Patterns = h.Patterns[:(len(b)-historyHeader)/patternSize]
	le.Read(b[historyHeader:], numbers(h.Patterns))
	if err := h.Validate(); err != nil {
		h.Length, h.Patterns = 0, h.Patterns[:0]
		return errors.New("cascade history: " + err.Error())
	}
	return nil
}

func fault(field, rule string) error { return &abi.FieldError{Field: field, Rule: rule} }

func at(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

func sizeError(what string, got, want int) error {
	return fault(what, "must be a record of "+strconv.Itoa(want)+" bytes, has "+strconv.Itoa(got))
}
