// Package codec stands between JSON, which exists at the edges, and the media
// types of transforms.
package codec

import (
	"fmt"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// MaxBytes is the longest JSON document that is decoded, unless [Set.Allow] says otherwise.
const MaxBytes = 8 << 20

// MaxDepth is how deep arrays and objects may be nested.
const MaxDepth = 64

// Codec translates the JSON of one transform. It may be used concurrently.
type Codec interface {
	// Decode reads one JSON value. It refuses what is not exactly of the
	// expected form: unknown and duplicate members, another case, invalid UTF-8,
	// values out of bounds. The error names the member; it is an
	// [*abi.FieldError].
	Decode(doc []byte) (Call, error)
}

// Call is a task that was read from JSON.
type Call struct {
	// Payload is the transform's input; it may be the document's own memory.
	Payload []byte
	// Stream is the key of the task's stream; "" without one.
	Stream string
	// Encode turns the transform's output into JSON, on one line and without its
	// end.
	Encode func(output []byte) ([]byte, error)
}

// Set has a Codec for each pair of media types.
type Set struct {
	codecs   map[[2]string]Codec
	maxBytes int
}

// Builtin returns a set with the codecs of cascade and tick, and of transforms
// from and to any of application/json, text/plain (a JSON string) and
// application/octet-stream (an object with the member base64; a string is taken
// too, for its UTF-8).
func Builtin() *Set {
	s := &Set{codecs: make(map[[2]string]Codec), maxBytes: MaxBytes}
	s.Register(cascade.MediaTypeState, cascade.MediaTypeResult, s.decoder(decodeCascade))
	s.Register(tick.MediaTypeNodes, tick.MediaTypeNodesResult, s.decoder(decodeNodes))
	s.Register(tick.MediaTypeNetwork, tick.MediaTypeNetwork, s.decoder(decodeNetwork))
	s.Register(tick.MediaTypeConnection, tick.MediaTypeConnectionResult, s.decoder(decodeConnection))
	for _, in := range forms {
		for _, out := range forms {
			s.Register(in.mediaType, out.mediaType, s.decoder(mixed(in, out)))
		}
	}
	return s
}

// Register adds a codec, or replaces that of the same media types. It must not be
// called while the set is in use.
func (s *Set) Register(input, output string, c Codec) { s.codecs[[2]string{input, output}] = c }

// Allow has the set's own codecs decode documents of up to so many bytes. It must not be called
// while the set is in use.
func (s *Set) Allow(maxBytes int) { s.maxBytes = maxBytes }

// MaxBytes is the longest document that the set's own codecs decode.
func (s *Set) MaxBytes() int { return s.maxBytes }

// For returns the codec of a transform.
func (s *Set) For(t host.Transform) (Codec, error) {
	if c := s.codecs[[2]string{t.Input, t.Output}]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%s has no JSON form: no codec for %s and %s", t.Name, t.Input, t.Output)
}

// Translate reads the JSON of a transform's task: it returns the payload, and what turns
// the output into JSON. It is what [host.Config] wants of its JSON.
func (s *Set) Translate(t host.Transform, doc []byte) (payload []byte, encode func(output []byte) ([]byte, error), err error) {
	c, err := s.For(t)
	if err != nil {
		return nil, nil, err
	}
	call, err := c.Decode(doc)
	if err != nil {
		return nil, nil, err
	}
	return call.Payload, call.Encode, nil
}

// decoder is a codec of a set's own.
type decoder struct {
	set    *Set
	decode func(doc []byte) (Call, error)
}

func (s *Set) decoder(decode func(doc []byte) (Call, error)) Codec { return decoder{s, decode} }

// Decode implements Codec.
func (d decoder) Decode(doc []byte) (Call, error) {
	if len(doc) > d.set.maxBytes {
		return Call{}, fault(document, "must have at most %d bytes, has %d", d.set.maxBytes, len(doc))
	}
	return d.decode(doc)
}
