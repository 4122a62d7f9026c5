// Package cascade holds the messages of the transform "cascade", harmonic
// resonance analysis of one state: its argument [State], its answer [Result], and
// [History], which it keeps for a stream.
//
// Every message has a binary record, little-endian, in which each part starts at
// a multiple of 8 bytes, and a JSON form by its field tags.
package cascade

import (
	"encoding"
	"errors"
	"math"
	"strconv"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/internal/le"
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
	for i, v := range s.Values() {
		if v == 0 {
			continue
		}
		if a := math.Abs(v); !(a >= MinMagnitude && a <= MaxMagnitude) {
			return fault(fieldNames[i], "must be 0 or of a magnitude between 1e-12 and 1e12")
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
	var values [5]float64
	var rest [2]uint64
	le.Read(le.Read(b, values[:]), rest[:])
	s.AwarenessLevel, s.CoherenceScore, s.PhiValue = values[0], values[1], values[2]
	s.EmotionalResonance, s.CreativeEmergence = values[3], values[4]
	s.Timestamp = int64(rest[0])
	switch rest[1] {
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
	for i := range h.Patterns {
		for _, v := range &h.Patterns[i] {
			if !(v >= -1 && v <= 1) {
				return fault(at("patterns", i), "must be within -1 and 1")
			}
		}
	}
	return nil
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
	if err := h.Validate(); err != nil {
		return nil, err
	}
	b = le.Append(b, historyFormat, h.Length)
	for i := range h.Patterns {
		b = le.Append(b, h.Patterns[i][:]...)
	}
	return b, nil
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
	var head [2]uint64
	rest := le.Read(b, head[:])
	if head[0] != historyFormat {
		return errors.New("cascade history: unknown format")
	}
	h.Length = head[1]
	for len(rest) > 0 {
		var p Pattern
		rest = le.Read(rest, p[:])
		h.Patterns = append(h.Patterns, p)
	}
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
