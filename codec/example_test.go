package codec_test

import (
	"fmt"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
)

// cheer is the JSON of a media type of a plugin's own, whose payload is a byte, the number of
// marks, and a text.
type cheer struct {
	Text  string `json:"text"`
	Marks int    `json:"marks"`
}

func (c *cheer) Validate() error {
	if c.Marks < 0 || c.Marks > 255 {
		return &abi.FieldError{Field: "marks", Rule: "must be within 0 and 255"}
	}
	return nil
}

func decodeCheer(doc []byte) (codec.Call, error) {
	var c cheer
	if err := codec.Unmarshal(doc, &c); err != nil {
		return codec.Call{}, err
	}
	encode := func(output []byte) ([]byte, error) { return codec.Marshal(string(output)) }
	return codec.Call{Payload: append([]byte{byte(c.Marks)}, c.Text...), Encode: encode}, nil
}

func ExampleSet_Register() {
	codecs := codec.New()
	codecs.Register("application/vnd.example.cheer", "text/plain", codec.Func(decodeCheer))

	// What follows is what packages invoke, lines and server do with it.
	c, err := codecs.For(host.Transform{Name: "shout.cheer", Input: "application/vnd.example.cheer", Output: "text/plain"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, doc := range []string{`{"text": "hey", "marks": 3}`, `{"text": "hey", "marks": 300}`, `{"text": "hey", "mark": 3}`} {
		call, err := c.Decode([]byte(doc))
		fmt.Printf("%q %v\n", call.Payload, err)
	}
	// Output:
	// "\x03hey" <nil>
	// "" marks: must be within 0 and 255
	// "" mark: is not a known field; did you mean "marks"?
}
