// Package resonance has what a program needs to serve the transforms cascade and tick to
// those who speak JSON: their codecs. docs/reference/transforms.md describes the JSON.
//
// Packages below have the rest of what knows these two: their messages as Go types (cascade,
// tick), a network of nodes that tick advances (network), its routes (serve), metrics (collect),
// and what the dashboard shows (view). The engine and the edges know none of them.
package resonance

import (
	"bytes"
	"encoding"
	"encoding/json"
	"strconv"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// Codecs returns a new set with the codecs of cascade, tick.node, tick.network and
// tick.connection, and those of [codec.New].
func Codecs() *codec.Set {
	s := codec.New()
	for _, c := range []struct {
		input, output, takes, gives string
		decode                      codec.Func
	}{
		{cascade.MediaTypeState, cascade.MediaTypeResult, cascadeState, cascadeResult, decodeCascade},
		{tick.MediaTypeNodes, tick.MediaTypeNodesResult, tickNodes, tickNodesResult, decodeNodes},
		{tick.MediaTypeNetwork, tick.MediaTypeNetwork, tickNetwork, tickNetworkResult, decodeNetwork},
		{tick.MediaTypeConnection, tick.MediaTypeConnectionResult, tickConnection, tickConnectionResult, decodeConnection},
	} {
		s.Register(c.input, c.output, c.decode)
		s.Describe(c.input, c.output, json.RawMessage(c.takes), json.RawMessage(c.gives))
	}
	return s
}

// cascadeInput is the JSON of cascade's argument: the state, and the key of the
// stream whose history it belongs to.
type cascadeInput struct {
	cascade.State `json:",inline"`

	Stream *string `json:"stream"`
}

func (in *cascadeInput) Validate() error {
	if in.Stream != nil {
		if err := codec.CheckStream("stream", *in.Stream); err != nil {
			return err
		}
	}
	return in.State.Validate()
}

func decodeCascade(doc []byte) (codec.Call, error) {
	var in cascadeInput
	if err := codec.Unmarshal(doc, &in); err != nil {
		return codec.Call{}, err
	}
	call := codec.Call{Encode: codec.EncodeRecord[cascade.Result]}
	if in.Stream != nil {
		call.Stream = *in.Stream
	}
	return with(call, &in.State)
}

// with returns the call with a record as its payload.
func with(c codec.Call, in encoding.BinaryAppender) (_ codec.Call, err error) {
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
		return required("now_ms")
	}
	if in.Nodes == nil {
		return required("nodes")
	}
	in.NodesRequest.NowMS, in.NodesRequest.Nodes = *in.NowMS, *in.Nodes
	return in.NodesRequest.Validate()
}

func required(field string) error { return &abi.FieldError{Field: field, Rule: "is required"} }

func decodeNodes(doc []byte) (codec.Call, error) {
	// Empty nodes cost 3 bytes here and a hundred as values: they are counted
	// before they are made. What a string has of braces counts too, and does not
	// come near the bound.
	if n := bytes.Count(doc, []byte("{")); n > tick.MaxNodes+2 {
		return codec.Call{}, &abi.FieldError{Field: "nodes", Rule: "must be at most " + strconv.Itoa(tick.MaxNodes)}
	}
	var in nodesInput
	if err := codec.Unmarshal(doc, &in); err != nil {
		return codec.Call{}, err
	}
	return with(codec.Call{Encode: responding(in.Respond)}, &in.NodesRequest)
}

// networkInput is the JSON of tick.network's argument, as nodesInput.
type networkInput struct {
	tick.NetworkRequest `json:",inline"`

	NowMS   *float64      `json:"now_ms"`
	Network *tick.Network `json:"network"`
}

func (in *networkInput) Validate() error {
	if in.NowMS == nil {
		return required("now_ms")
	}
	if in.Network == nil {
		return required("network")
	}
	in.NetworkRequest.NowMS, in.NetworkRequest.Network = *in.NowMS, *in.Network
	return in.NetworkRequest.Validate()
}

func decodeNetwork(doc []byte) (codec.Call, error) {
	var in networkInput
	if err := codec.Unmarshal(doc, &in); err != nil {
		return codec.Call{}, err
	}
	return with(codec.Call{Encode: responding(in.Respond)}, &in.NetworkRequest)
}

// responding encodes what a request makes of its result's record.
func responding[Result, Response any, P interface {
	*Result
	encoding.BinaryUnmarshaler
}](respond func(P) (Response, error)) func(output []byte) ([]byte, error) {
	return func(output []byte) ([]byte, error) {
		res := P(new(Result))
		if err := res.UnmarshalBinary(output); err != nil {
			return nil, err
		}
		out, err := respond(res)
		if err != nil {
			return nil, err
		}
		return codec.Marshal(out)
	}
}

func decodeConnection(doc []byte) (codec.Call, error) {
	var in tick.ConnectionRequest
	if err := codec.Unmarshal(doc, &in); err != nil {
		return codec.Call{}, err
	}
	return with(codec.Call{Encode: codec.EncodeRecord[tick.ConnectionResult]}, &in)
}
