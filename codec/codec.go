// Package codec stands between JSON, which exists at the edges, and the media
// types of transforms.
//
// A [Set] has a [Codec] for each pair of media types. [New] has those of media types that are
// no plugin's own. Who makes a plugin with media types of its own registers theirs:
//
//	set := codec.New()
//	set.Register("application/vnd.example.query", "application/vnd.example.answer", codec.Func(
//		func(doc []byte) (codec.Call, error) {
//			var q Query // has Validate and AppendBinary
//			if err := codec.Unmarshal(doc, &q); err != nil {
//				return codec.Call{}, err
//			}
//			payload, err := q.AppendBinary(nil)
//			return codec.Call{Payload: payload, Encode: codec.EncodeRecord[Answer]}, err
//		}))
package codec

import (
	"encoding/json"
	"fmt"

	"github.com/resonhost/resonhost/host"
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

// Func is a Codec that is a function.
type Func func(doc []byte) (Call, error)

// Decode implements Codec.
func (f Func) Decode(doc []byte) (Call, error) { return f(doc) }

// Set has a Codec for each pair of media types.
type Set struct {
	codecs   map[[2]string]Codec
	schemas  map[[2]string][2]json.RawMessage
	maxBytes int
}

// New returns a set with the codecs of transforms from and to any of application/json,
// text/plain (a JSON string) and application/octet-stream (an object with the member base64;
// a string is taken too, for its UTF-8).
func New() *Set {
	s := &Set{codecs: make(map[[2]string]Codec), schemas: make(map[[2]string][2]json.RawMessage), maxBytes: MaxBytes}
	for _, in := range forms {
		for _, out := range forms {
			s.Register(in.mediaType, out.mediaType, mixed(in, out))
			s.Describe(in.mediaType, out.mediaType, json.RawMessage(in.takes), json.RawMessage(out.gives))
		}
	}
	return s
}

// Register adds a codec, or replaces that of the same media types. The set does not give it
// documents of more than [Set.MaxBytes] bytes. It must not be called while the set is in use.
func (s *Set) Register(input, output string, c Codec) {
	s.codecs[[2]string{input, output}] = bounded{s, c}
}

// Describe says what JSON the codec of these media types decodes and encodes, as JSON Schemas of
// 2020-12; nil for any. They are for documents: the codec itself decides what it takes. It must not be
// called while the set is in use.
func (s *Set) Describe(input, output string, takes, gives json.RawMessage) {
	s.schemas[[2]string{input, output}] = [2]json.RawMessage{takes, gives}
}

// Schemas returns what JSON a transform's tasks and results are, as JSON Schemas of 2020-12: the
// transform's own, and without these its codec's; nil where neither says it.
func (s *Set) Schemas(t host.Transform) (input, output json.RawMessage) {
	of := s.schemas[[2]string{t.Input, t.Output}]
	input, output = t.InputSchema, t.OutputSchema
	if input == nil {
		input = of[0]
	}
	if output == nil {
		output = of[1]
	}
	return input, output
}

// Allow has the set's codecs decode documents of up to so many bytes. It must not be called
// while the set is in use.
func (s *Set) Allow(maxBytes int) { s.maxBytes = maxBytes }

// MaxBytes is the longest document that the set's codecs decode.
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

// bounded is a codec of a set, which bounds its documents.
type bounded struct {
	set   *Set
	codec Codec
}

// Decode implements Codec.
func (b bounded) Decode(doc []byte) (Call, error) {
	if len(doc) > b.set.maxBytes {
		return Call{}, fault(document, "must have at most %d bytes (Set.Allow, --max-input), has %d", b.set.maxBytes, len(doc))
	}
	return b.codec.Decode(doc)
}
