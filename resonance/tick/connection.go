package tick

import (
	"encoding"
	"math"

	"github.com/resonhost/resonhost/resonance/internal/le"
)

// Position is a place on the golden spiral on which nodes sit.
type Position struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
	// Layer, SpiralPosition and GoldenRatioFactor say where on the spiral it is;
	// distances depend on X and Y alone.
	Layer             int     `json:"layer,omitzero"`
	SpiralPosition    int     `json:"spiral_position,omitzero"`
	GoldenRatioFactor float64 `json:"golden_ratio_factor,omitzero"`
}

// PositionOf returns the place of the n-th node, n from 0: at the angle n·137.5°
// and the radius √n·φ, in layer ⌊n/8⌋, with the factor φ^(n mod 8).
func PositionOf(n int) Position {
	sin, cos := math.Sincos(float64(n) * 137.5 * math.Pi / 180)
	radius := math.Sqrt(float64(n)) * Phi
	return Position{
		X: radius * cos, Y: radius * sin,
		Layer: n / 8, SpiralPosition: n, GoldenRatioFactor: math.Pow(Phi, float64(n%8)),
	}
}

// Phi is the golden ratio as the original's ticks have it, which is truncated.
const Phi = 1.618033988749

// End is a node of a connection.
type End struct {
	// Frequency is in Hz; Strength is within 0 and 1.
	Frequency float64  `json:"frequency"`
	Strength  float64  `json:"resonance_strength"`
	Position  Position `json:"position"`
}

// ConnectionRequest is the argument of tick.connection.
type ConnectionRequest struct {
	A End `json:"a"`
	B End `json:"b"`
}

// ConnectionResult is the answer of tick.connection.
type ConnectionResult struct {
	Strength float64 `json:"resonance_strength"`
	// Quality is within 0 and 1.
	Quality float64 `json:"connection_quality"`
}

var (
	_ encoding.BinaryAppender    = (*ConnectionRequest)(nil)
	_ encoding.BinaryUnmarshaler = (*ConnectionRequest)(nil)
	_ encoding.BinaryAppender    = (*ConnectionResult)(nil)
	_ encoding.BinaryUnmarshaler = (*ConnectionResult)(nil)
)

// Validate checks what the fields state, and that coordinates are of a magnitude
// of at most 1e9. It returns the first fault, an [*abi.FieldError].
func (c *ConnectionRequest) Validate() error {
	if member, rule := c.A.broken(); rule != "" {
		return fault("a."+member, rule)
	}
	if member, rule := c.B.broken(); rule != "" {
		return fault("b."+member, rule)
	}
	return nil
}

// broken returns the first rule that e breaks, "" if none, and its member.
func (e *End) broken() (member, rule string) {
	switch {
	case !isFrequency(e.Frequency):
		return "frequency", frequencyRule
	case !isUnit(e.Strength):
		return "resonance_strength", unitRule
	case !within(e.Position.X, -maxMagnitude, maxMagnitude):
		return "position.x", magnitudeRule
	case !within(e.Position.Y, -maxMagnitude, maxMagnitude):
		return "position.y", magnitudeRule
	}
	return "", ""
}

// Validate checks that strength and quality are within 0 and 1. It returns the
// first fault, an [*abi.FieldError].
func (c *ConnectionResult) Validate() error {
	switch {
	case !isUnit(c.Strength):
		return fault("resonance_strength", unitRule)
	case !isUnit(c.Quality):
		return fault("connection_quality", unitRule)
	}
	return nil
}

const (
	connectionSize       = 8 * 8
	connectionResultSize = 2 * 8
)

// AppendBinary implements [encoding.BinaryAppender]. The record is, of a and then
// of b, f64 frequency, strength, x and y.
func (c *ConnectionRequest) AppendBinary(b []byte) ([]byte, error) {
	for _, e := range [...]*End{&c.A, &c.B} {
		b = le.Append(b, e.Frequency, e.Strength, e.Position.X, e.Position.Y)
	}
	return b, nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It does not validate.
func (c *ConnectionRequest) UnmarshalBinary(b []byte) error {
	if len(b) != connectionSize {
		return sizeFault(len(b), connectionSize)
	}
	r := reader{b}
	for _, e := range [...]*End{&c.A, &c.B} {
		*e = End{Frequency: r.float(), Strength: r.float(), Position: Position{X: r.float(), Y: r.float()}}
	}
	return nil
}

// AppendBinary implements [encoding.BinaryAppender]. The record is f64 strength
// and quality.
func (c *ConnectionResult) AppendBinary(b []byte) ([]byte, error) {
	return le.Append(b, c.Strength, c.Quality), nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler].
func (c *ConnectionResult) UnmarshalBinary(b []byte) error {
	if len(b) != connectionResultSize {
		return sizeFault(len(b), connectionResultSize)
	}
	r := reader{b}
	c.Strength, c.Quality = r.float(), r.float()
	return nil
}
