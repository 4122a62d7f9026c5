package tick

import (
	"encoding"
	"maps"
	"slices"
	"strconv"

	"github.com/resonhost/resonhost/resonance/internal/le"
)

// Activity is whether a field or pattern is advanced.
type Activity string

// Activities. An empty one is Active.
const (
	Active Activity = "active"
	Paused Activity = "paused"
)

// Metrics are the network's, each at most 1.
type Metrics struct {
	NetworkCoherence        float64 `json:"networkCoherence"`
	HarmonicAlignment       float64 `json:"harmonicAlignment"`
	FrequencyStability      float64 `json:"frequencyStability"`
	ResonanceAmplification  float64 `json:"resonanceAmplification"`
	SynchronizationAccuracy float64 `json:"synchronizationAccuracy"`
	FieldStrength           float64 `json:"fieldStrength"`
	NodeConnectivity        float64 `json:"nodeConnectivity"`
	ResonanceEvolution      float64 `json:"resonanceEvolution"`
	HarmonicConvergence     float64 `json:"harmonicConvergence"`
	ConsciousnessResonance  float64 `json:"consciousnessResonance"`
	UniversalAlignment      float64 `json:"universalAlignment"`
	TranscendentHarmonics   float64 `json:"transcendentHarmonics"`
}

const metricCount = 12

var metricNames = [metricCount]string{
	"networkCoherence", "harmonicAlignment", "frequencyStability", "resonanceAmplification",
	"synchronizationAccuracy", "fieldStrength", "nodeConnectivity", "resonanceEvolution",
	"harmonicConvergence", "consciousnessResonance", "universalAlignment", "transcendentHarmonics",
}

func (m *Metrics) all() [metricCount]*float64 {
	return [metricCount]*float64{
		&m.NetworkCoherence, &m.HarmonicAlignment, &m.FrequencyStability, &m.ResonanceAmplification,
		&m.SynchronizationAccuracy, &m.FieldStrength, &m.NodeConnectivity, &m.ResonanceEvolution,
		&m.HarmonicConvergence, &m.ConsciousnessResonance, &m.UniversalAlignment, &m.TranscendentHarmonics,
	}
}

// Field is a resonance field.
type Field struct {
	State             Activity `json:"state"`
	Strength          float64  `json:"field_strength"`
	TotalResonances   uint64   `json:"total_resonances"`
	AverageStrength   float64  `json:"average_strength"`
	PeakResonance     float64  `json:"peak_resonance"`
	Coherence         float64  `json:"field_coherence"`
	HarmonicStability float64  `json:"harmonic_stability"`
}

// Pattern is a harmonic pattern.
type Pattern struct {
	State Activity `json:"state"`
	// Phase is in degrees, from 0 to below 360.
	Phase       float64 `json:"current_phase"`
	Strength    float64 `json:"harmonic_strength"`
	TotalCycles uint64  `json:"total_cycles"`
	Peak        float64 `json:"peak_harmonic"`
	Enhancement float64 `json:"consciousness_enhancement"`
}

// Network is the state of a network.
type Network struct {
	Metrics  Metrics            `json:"metrics"`
	Fields   map[string]Field   `json:"fields"`
	Patterns map[string]Pattern `json:"patterns"`
}

// NetworkRequest is the argument of tick.network. Its record is that of
// [NetworkState].
type NetworkRequest struct {
	// NowMS is the scheduler's clock in ms.
	NowMS   float64 `json:"now_ms"`
	Network Network `json:"network"`
}

// NetworkResponse is the answer to a [NetworkRequest] in its terms.
type NetworkResponse struct {
	Network Network `json:"network"`
}

var _ encoding.BinaryAppender = (*NetworkRequest)(nil)

// Validate checks what the fields state, and that numbers without a range of
// their own are of a magnitude of at most 1e9 and counters at most [MaxCount]. It
// returns the first fault, an [*abi.FieldError].
func (r *NetworkRequest) Validate() error {
	for _, list := range [...]struct {
		name  string
		names []string
	}{{"network.fields", sorted(r.Network.Fields)}, {"network.patterns", sorted(r.Network.Patterns)}} {
		for _, name := range list.names {
			if err := checkName(list.name, name); err != nil {
				return err
			}
		}
	}
	s := r.State()
	fields, patterns := sorted(r.Network.Fields), sorted(r.Network.Patterns)
	return s.validate("network.",
		func(i int) string { return "network.fields." + fields[i] },
		func(i int) string { return "network.patterns." + patterns[i] },
	)
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// State returns the request by index: fields and patterns in the order of their
// names.
func (r *NetworkRequest) State() *NetworkState {
	s := &NetworkState{NowMS: r.NowMS, Metrics: r.Network.Metrics}
	for _, name := range sorted(r.Network.Fields) {
		s.Fields = append(s.Fields, r.Network.Fields[name])
	}
	for _, name := range sorted(r.Network.Patterns) {
		s.Patterns = append(s.Patterns, r.Network.Patterns[name])
	}
	return s
}

// AppendBinary implements [encoding.BinaryAppender].
func (r *NetworkRequest) AppendBinary(b []byte) ([]byte, error) { return r.State().AppendBinary(b) }

// Respond puts a result into the terms of the request it answers. It does not
// validate the result.
func (r *NetworkRequest) Respond(s *NetworkState) (*NetworkResponse, error) {
	fields, patterns := sorted(r.Network.Fields), sorted(r.Network.Patterns)
	if len(fields) != len(s.Fields) || len(patterns) != len(s.Patterns) {
		return nil, errMismatch
	}
	out := &NetworkResponse{Network{
		Metrics: s.Metrics, Fields: make(map[string]Field, len(fields)), Patterns: make(map[string]Pattern, len(patterns)),
	}}
	for i, name := range fields {
		out.Network.Fields[name] = s.Fields[i]
	}
	for i, name := range patterns {
		out.Network.Patterns[name] = s.Patterns[i]
	}
	return out, nil
}

// NetworkState is the argument and the answer of tick.network, with fields and
// patterns by index.
type NetworkState struct {
	// NowMS is the scheduler's clock in ms; the answer repeats it.
	NowMS    float64
	Metrics  Metrics
	Fields   []Field
	Patterns []Pattern
}

var (
	_ encoding.BinaryAppender    = (*NetworkState)(nil)
	_ encoding.BinaryUnmarshaler = (*NetworkState)(nil)
)

// Validate is [NetworkRequest.Validate] by index.
func (s *NetworkState) Validate() error {
	return s.validate("", func(i int) string { return at("fields", i) }, func(i int) string { return at("patterns", i) })
}

func (s *NetworkState) validate(prefix string, field, pattern func(int) string) error {
	if err := checkTime(s.NowMS); err != nil {
		return err
	}
	if len(s.Fields) > MaxPatterns {
		return fault(prefix+"fields", "must be at most 4096, are "+strconv.Itoa(len(s.Fields)))
	}
	if len(s.Patterns) > MaxPatterns {
		return fault(prefix+"patterns", "must be at most 4096, are "+strconv.Itoa(len(s.Patterns)))
	}
	for i, v := range s.Metrics.all() {
		if !within(*v, -maxMagnitude, 1) {
			return fault(prefix+"metrics."+metricNames[i], "must be between -1e9 and 1")
		}
	}
	for i := range s.Fields {
		if member, rule := s.Fields[i].broken(); rule != "" {
			return fault(field(i)+"."+member, rule)
		}
	}
	for i := range s.Patterns {
		if member, rule := s.Patterns[i].broken(); rule != "" {
			return fault(pattern(i)+"."+member, rule)
		}
	}
	return nil
}

const activityRule = `must be "active" or "paused"`

// broken returns the first rule that f breaks, "" if none, and its member.
func (f *Field) broken() (member, rule string) {
	for i, v := range f.floats() {
		if !within(v, -maxMagnitude, maxMagnitude) {
			return fieldFloats[i], magnitudeRule
		}
	}
	switch {
	case f.TotalResonances > MaxCount:
		return "total_resonances", countRule
	case !f.State.valid():
		return "state", activityRule
	}
	return "", ""
}

// fieldFloats are the members that floats returns.
var fieldFloats = [5]string{"field_strength", "average_strength", "peak_resonance", "field_coherence", "harmonic_stability"}

func (f *Field) floats() [5]float64 {
	return [5]float64{f.Strength, f.AverageStrength, f.PeakResonance, f.Coherence, f.HarmonicStability}
}

// broken returns the first rule that p breaks, "" if none, and its member.
func (p *Pattern) broken() (member, rule string) {
	switch {
	case !(p.Phase >= 0 && p.Phase < 360):
		return "current_phase", "must be from 0 to below 360"
	case !within(p.Strength, -maxMagnitude, maxMagnitude):
		return "harmonic_strength", magnitudeRule
	case !within(p.Peak, -maxMagnitude, maxMagnitude):
		return "peak_harmonic", magnitudeRule
	case !within(p.Enhancement, -maxMagnitude, maxMagnitude):
		return "consciousness_enhancement", magnitudeRule
	case p.TotalCycles > MaxCount:
		return "total_cycles", countRule
	case !p.State.valid():
		return "state", activityRule
	}
	return "", ""
}

func (a Activity) valid() bool { return a == "" || a == Active || a == Paused }

// The record of NetworkState: u64 fields, patterns; f64 now_ms and the metrics; a
// field: u64 paused (0 or 1), total, f64 strength, average, peak, coherence,
// stability; a pattern: u64 paused, total, f64 phase, strength, peak, enhancement.
const (
	networkHeader = (3 + metricCount) * 8
	fieldSize     = 7 * 8
	patternSize   = 6 * 8
)

// AppendBinary implements [encoding.BinaryAppender]. It refuses an unknown
// activity.
func (s *NetworkState) AppendBinary(b []byte) ([]byte, error) {
	b = slices.Grow(b, networkHeader+len(s.Fields)*fieldSize+len(s.Patterns)*patternSize)
	b = le.Append(b, uint64(len(s.Fields)), uint64(len(s.Patterns)))
	b = le.Append(b, s.NowMS)
	for _, v := range s.Metrics.all() {
		b = le.Append(b, *v)
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		if !f.State.valid() {
			return nil, fault(at("fields", i)+".state", activityRule)
		}
		b = appendActivity(b, f.State, f.TotalResonances)
		floats := f.floats()
		b = le.Append(b, floats[:]...)
	}
	for i := range s.Patterns {
		p := &s.Patterns[i]
		if !p.State.valid() {
			return nil, fault(at("patterns", i)+".state", activityRule)
		}
		b = appendActivity(b, p.State, p.TotalCycles)
		b = le.Append(b, p.Phase, p.Strength, p.Peak, p.Enhancement)
	}
	return b, nil
}

func appendActivity(b []byte, a Activity, total uint64) []byte {
	var paused uint64
	if a == Paused {
		paused = 1
	}
	return le.Append(b, paused, total)
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. The memory of slices
// is used again. It does not validate values.
func (s *NetworkState) UnmarshalBinary(b []byte) error {
	if len(b) < networkHeader {
		return sizeFault(len(b), networkHeader)
	}
	r := reader{b}
	fields, patterns := r.uint64(), r.uint64()
	if fields > MaxPatterns || patterns > MaxPatterns {
		return fault("record", "counts more than the message may have")
	}
	if want := networkHeader + int(fields)*fieldSize + int(patterns)*patternSize; len(b) != want {
		return sizeFault(len(b), want)
	}
	s.NowMS = r.float()
	for _, v := range s.Metrics.all() {
		*v = r.float()
	}
	s.Fields, s.Patterns = resize(s.Fields, int(fields)), resize(s.Patterns, int(patterns))
	for i := range s.Fields {
		state, err := r.activity("fields", i)
		if err != nil {
			return err
		}
		s.Fields[i] = Field{
			State: state, TotalResonances: r.uint64(), Strength: r.float(), AverageStrength: r.float(),
			PeakResonance: r.float(), Coherence: r.float(), HarmonicStability: r.float(),
		}
	}
	for i := range s.Patterns {
		state, err := r.activity("patterns", i)
		if err != nil {
			return err
		}
		s.Patterns[i] = Pattern{
			State: state, TotalCycles: r.uint64(), Phase: r.float(), Strength: r.float(),
			Peak: r.float(), Enhancement: r.float(),
		}
	}
	return nil
}

// activity reads whether one of a list is paused.
func (r *reader) activity(list string, i int) (Activity, error) {
	switch r.uint64() {
	case 0:
		return Active, nil
	case 1:
		return Paused, nil
	}
	return "", fault(at(list, i)+".state", "must be 0 or 1 in a record")
}
