package codec

import (
	"encoding/base64"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/resonhost/resonhost/abi/manifest"
)

// form is one of the media types that are no plugin's own. Both ways know
// nothing of each other, so that a transform can mix them.
type form struct {
	mediaType string
	// takes and gives are JSON Schemas; "" for any JSON.
	takes, gives string

	payload func(doc []byte) ([]byte, error)
	line    func(output []byte) ([]byte, error)
}

var forms = []form{
	{manifest.MediaTypeJSON, "", "", fromRaw, toRaw},
	{manifest.MediaTypeText, textSchema, textSchema, fromText, toText},
	{manifest.MediaTypeBytes, `{"anyOf": [` + textSchema + `, ` + blobSchema + `]}`, blobSchema, fromBytes, toBytes},
}

const (
	textSchema = `{"type": "string"}`
	blobSchema = `{"type": "object", "properties": {"base64": {"type": "string", "description": "The bytes in base64.", "contentEncoding": "base64"}}, "required": ["base64"], "additionalProperties": false}`
)

// mixed decodes with one form and encodes with another.
func mixed(in, out form) Func {
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
	err := Unmarshal(doc, &s)
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
		return fault("base64", "is required")
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
	if err := Unmarshal(doc, &in); err != nil {
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
