package codec

import (
	"encoding"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/resonhost/resonhost/abi/cascade"
	"github.com/resonhost/resonhost/abi/tick"
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

func decodeNodes(doc []byte) (Call, error) {
	var in tick.NodesRequest
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
	}}.with(&in)
}

func decodeNetwork(doc []byte) (Call, error) {
	var in tick.NetworkRequest
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
	}}.with(&in)
}

func decodeConnection(doc []byte) (Call, error) {
	var in tick.ConnectionRequest
	if err := unmarshal(doc, &in); err != nil {
		return Call{}, err
	}
	return Call{Encode: encoded[tick.ConnectionResult]}.with(&in)
}

// decodeRaw is of transforms that speak JSON themselves.
func decodeRaw(doc []byte) (Call, error) {
	if err := check(doc); err != nil {
		return Call{}, err
	}
	return Call{Payload: doc, Encode: func(output []byte) ([]byte, error) {
		if err := check(output); err != nil {
			return nil, err
		}
		line := jsontext.Value(output).Clone()
		err := line.Compact()
		return line, err
	}}, nil
}

func decodeText(doc []byte) (Call, error) {
	var s text
	if err := unmarshal(doc, &s); err != nil {
		return Call{}, err
	}
	return Call{Payload: []byte(s), Encode: func(output []byte) ([]byte, error) { return marshal(string(output)) }}, nil
}

type text string

func (*text) Validate() error { return nil }

type blob struct {
	Base64 []byte `json:"base64"`
}

func (*blob) Validate() error { return nil }

func decodeBytes(doc []byte) (Call, error) {
	var in blob
	if err := unmarshal(doc, &in); err != nil {
		return Call{}, err
	}
	return Call{Payload: in.Base64, Encode: func(output []byte) ([]byte, error) { return marshal(blob{output}) }}, nil
}
