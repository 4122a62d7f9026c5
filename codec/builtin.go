package codec

import (
	"bytes"
	"encoding"
	"encoding/base64"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// cascadeInput is the JSON of cascade's argument: the state, and the key of the
// stream whose history it belongs to.
type cascadeInput struct {
	cascade.State `json:",inline"`

	Stream *string `json:"stream"`
}

func (in *cascadeInput) Validate() error {
	if in.Stream != nil {
		if err := checkStream("stream", *in.Stream); err != nil {
			return err
		}
	}
	return in.State.Validate()
}

func decodeCascade(doc []byte) (Call, error) {
	var in cascadeInput
	if err := unmarshal(doc, &in); err != nil {
		return Call{}, err
	}
	call := Call{Encode: encoded[cascade.Result]}
	if in.Stream != nil {
		call.Stream = *in.Stream
	}
	return call.with(&in.State)
}

// with sets the payload.
func (c Call) with(in encoding.BinaryAppender) (_ Call, err error) {
	c.Payload, err = in.AppendBinary(nil)
	return c, err
}

// nodesInput is the JSON of tick.node's argument. What it requires hides the
// member of that name.
type nodesInput struct {
	tick.NodesRequest `json:",inline"`

	NowMS *float64     `json:"now_ms"`
	Nodes *[]tick.Node `json:"nodes"`
}

func (in *nodesInput) Validate() error {
	if in.NowMS == nil {
		return fault("now_ms", isRequired)
	}
	if in.Nodes == nil {
		return fault("nodes", isRequired)
	}
	in.NodesRequest.NowMS, in.NodesRequest.Nodes = *in.NowMS, *in.Nodes
	return in.NodesRequest.Validate()
}

const isRequired = "is required"

func decodeNodes(doc []byte) (Call, error) {
	// Empty nodes cost 3 bytes here and a hundred as values: they are counted
	// before they are made. What a string has of braces counts too, and does not
	// come near the bound.
	if n := bytes.Count(doc, []byte("{")); n > tick.MaxNodes+2 {
		return Call{}, fault("nodes", "must be at most %d", tick.MaxNodes)
	}
	var in nodesInput
	if err := unmarshal(doc, &in); err != nil {
		return Call{}, err
	}
	return Call{Encode: func(output []byte) ([]byte, error) {
		var res tick.NodesResult
		if err := res.UnmarshalBinary(output); err != nil {
			return nil, err
		}
		out, err := in.Respond(&res)
		if err != nil {
			return nil, err
		}
		return marshal(out)
	}}.with(&in.NodesRequest)
}

// networkInput is the JSON of tick.network's argument, as nodesInput.
type networkInput struct {
	tick.NetworkRequest `json:",inline"`

	NowMS   *float64      `json:"now_ms"`
	Network *tick.Network `json:"network"`
}

func (in *networkInput) Validate() error {
	if in.NowMS == nil {
		return fault("now_ms", isRequired)
	}
	if in.Network == nil {
		return fault("network", isRequired)
	}
	in.NetworkRequest.NowMS, in.NetworkRequest.Network = *in.NowMS, *in.Network
	return in.NetworkRequest.Validate()
}

func decodeNetwork(doc []byte) (Call, error) {
	var in networkInput
	if err := unmarshal(doc, &in); err != nil {
		return Call{}, err
	}
	return Call{Encode: func(output []byte) ([]byte, error) {
		var res tick.NetworkState
		if err := res.UnmarshalBinary(output); err != nil {
			return nil, err
		}
		out, err := in.Respond(&res)
		if err != nil {
			return nil, err
		}
		return marshal(out)
	}}.with(&in.NetworkRequest)
}

func decodeConnection(doc []byte) (Call, error) {
	var in tick.ConnectionRequest
	if err := unmarshal(doc, &in); err != nil {
		return Call{}, err
	}
	return Call{Encode: encoded[tick.ConnectionResult]}.with(&in)
}

// form is one of the media types that are no plugin's own. Both ways know
// nothing of each other, so that a transform can mix them.
type form struct {
	mediaType string
	payload   func(doc []byte) ([]byte, error)
	line      func(output []byte) ([]byte, error)
}

var forms = []form{
	{manifest.MediaTypeJSON, fromRaw, toRaw},
	{manifest.MediaTypeText, fromText, toText},
	{manifest.MediaTypeBytes, fromBytes, toBytes},
}

// mixed decodes with one form and encodes with another.
func mixed(in, out form) func(doc []byte) (Call, error) {
	return func(doc []byte) (Call, error) {
		payload, err := in.payload(doc)
		return Call{Payload: payload, Encode: out.line}, err
	}
}

func fromRaw(doc []byte) ([]byte, error) {
	if err := check(doc); err != nil {
		return nil, err
	}
	return doc, nil
}

func toRaw(output []byte) ([]byte, error) {
	if err := check(output); err != nil {
		return nil, err
	}
	line := jsontext.Value(output).Clone()
	err := line.Compact()
	return line, err
}

// text is a JSON string.
type text string

func (*text) Validate() error { return nil }

func fromText(doc []byte) ([]byte, error) {
	var s text
	err := unmarshal(doc, &s)
	return []byte(s), err
}

// toText needs the memory of its result alone: answers can be large, and many.
func toText(output []byte) ([]byte, error) {
	return jsontext.AppendQuote(make([]byte, 0, len(output)+len(output)/64+2), output)
}

// blob is bytes that need not be text.
type blob struct {
	Base64 *[]byte `json:"base64"`
}

func (b *blob) Validate() error {
	if b.Base64 == nil {
		return fault("base64", isRequired)
	}
	return nil
}

// fromBytes takes a string too, for its UTF-8, as manifests do.
func fromBytes(doc []byte) ([]byte, error) {
	switch jsontext.Value(doc).Kind() {
	case '"':
		return fromText(doc)
	case 'n', 't', 'f', '0', '[':
		return nil, fault(document, `must be a string or {"base64": "…"}`)
	}
	var in blob
	if err := unmarshal(doc, &in); err != nil {
		return nil, err
	}
	return *in.Base64, nil
}

// toBytes is alike.
func toBytes(output []byte) ([]byte, error) {
	const begin, end = `{"base64":"`, `"}`
	doc := make([]byte, 0, len(begin)+base64.StdEncoding.EncodedLen(len(output))+len(end))
	return append(base64.StdEncoding.AppendEncode(append(doc, begin...), output), end...), nil
}
