package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/fieldtest"
	"github.com/resonhost/resonhost/internal/schematest"
)

// pairs are the media types of codecs: those of New, and one that is registered.
var pairs = map[string]host.Transform{
	"json":  {Name: "json", Input: "application/json", Output: "application/json"},
	"text":  {Name: "text", Input: "text/plain", Output: "text/plain"},
	"bytes": {Name: "bytes", Input: "application/octet-stream", Output: "application/octet-stream"},
	"mixed": {Name: "mixed", Input: "application/json", Output: "text/plain"},
	"query": {Name: "query", Input: "x/query", Output: "x/answer"},
}

// query is what a plugin with media types of its own takes, and answer what it gives.
type query struct {
	Number float64            `json:"number"`
	Count  int64              `json:"count"`
	Name   string             `json:"name"`
	Parts  []query            `json:"parts"`
	Sizes  map[string]float64 `json:"sizes"`
}

func (q *query) Validate() error {
	if q.Count > 9 {
		return &abi.FieldError{Field: "count", Rule: "must be at most 9"}
	}
	return nil
}

type answer struct {
	Text string `json:"text"`
}

func (a *answer) UnmarshalBinary(b []byte) error {
	if a.Text = string(b); a.Text != "yes" {
		return errors.New("is no answer")
	}
	return nil
}

func decodeQuery(doc []byte) (codec.Call, error) {
	var q query
	if err := codec.Unmarshal(doc, &q); err != nil {
		return codec.Call{}, err
	}
	return codec.Call{Payload: []byte(q.Name), Encode: codec.EncodeRecord[answer]}, nil
}

func of(tb testing.TB, name string) codec.Codec {
	tb.Helper()
	set := codec.New()
	set.Register("x/query", "x/answer", codec.Func(decodeQuery))
	c, err := set.For(pairs[name])
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ codec, name, doc, want string }{
		{"query", "empty", " ", "document: is empty"},
		{"query", "null", " null ", "document: must not be null"},
		{"query", "array", `[]`, "document: must be an object"},
		{"query", "unknown member", `{"amount": 1}`, "amount: is not a known field"},
		{"query", "misspelt member", `{"parts": [{}, {"cout": 1}]}`, `parts[1].cout: is not a known field; did you mean "count"?`},
		{"query", "another case", `{"Number": 1}`, `Number: is not a known field; did you mean "number"?`},
		{"query", "escaped prototype", `{"\u005f_proto__": {}}`, "__proto__: is not a known field"},
		{"query", "twice, escaped", `{"number": 1, "numb\u0065r": 1}`, "number: is there twice"},
		{"query", "string for a number", `{"number": "1"}`, "number: must be a number"},
		{"query", "beyond a float", `{"number": 1e999}`, "number: is out of range"},
		{"query", "fraction", `{"count": 0.5}`, "count: must be a whole number in range"},
		{"query", "number for a string", `{"name": 1}`, "name: must be a string"},
		{"query", "object for an array", `{"parts": {}}`, "parts: must be an array"},
		{"query", "array for an object", `{"sizes": []}`, "sizes: must be an object"},
		{"query", "value of a map", `{"sizes": {"a": "b"}}`, "sizes.a: must be a number"},
		{"query", "not valid by its own rules", `{"count": 10}`, "count: must be at most 9"},
		{"query", "two values", `{} {}`, "document: is not valid JSON: invalid character '{' after top-level value, at byte 4"},
		{"query", "cut off", `{"number": 1`, "document: is cut off, at byte 13"},

		{"json", "empty", "", "document: is empty"},
		{"json", "two values", `1 2`, "document: has something behind the value, at byte 2"},
		{"json", "twice", `{"a": {"b": 1, "b": 2}}`, "a.b: is there twice"},
		{"json", "prototype", `[{"__proto__": 1}]`, "[0].__proto__: is a reserved name"},
		{"json", "number for a name", `{"1": [{"2": 1e999}]}`, "1[0].2: is out of range"},
		{"json", "number for a name, twice", `{"a": [[], {"0": 1, "0": 2}]}`, "a[1].0: is there twice"},
		{"query", "number for a name", `{"sizes": {"3": []}}`, "sizes.3: must be a number"},
		{"query", "number for an unknown name", `{"parts": [{"3": 1}]}`, "parts[0].3: is not a known field"},
		{"json", "escaped constructor", `{"a": {"constr\u0075ctor": 1}}`, "a.constructor: is a reserved name"},
		{"json", "beyond a float", `{"a": [0, -1e400]}`, "a[1]: is out of range"},
		{"json", "deep", strings.Repeat("[", codec.MaxDepth+1) + strings.Repeat("]", codec.MaxDepth+1), "document: is nested deeper than 64"},
		{"query", "very deep", `{"number": ` + strings.Repeat("[", 20000), "document: is nested deeper than 64"},
		{"json", "invalid UTF-8", "\"\xff\"", "document: is not valid JSON: invalid UTF-8, at byte 2"},
		{"json", "lone surrogate", `"\ud800"`, "document: is not valid JSON: invalid surrogate pair `\\ud800\"` in string, at byte 2"},
		{"json", "cut off", `{"a": [`, "document: is cut off, at byte 8"},

		{"text", "number", `1`, "document: must be a string"},
		{"text", "null", `null`, "document: must not be null"},
		{"bytes", "number", `1`, `document: must be a string or {"base64": "…"}`},
		{"bytes", "no member", `{}`, "base64: is required"},
		{"bytes", "no base64", `{"base64": "!"}`, "base64: must be a string in base64"},
		{"bytes", "array", `{"base64": [1]}`, "base64: must be a string in base64"},
		{"bytes", "no JSON", `{"base64"`, "document: is cut off, at byte 10"},
		{"bytes", "no JSON at all", `base64`, "document: is not valid JSON: invalid character 'b' at start of value, at byte 1"},
	} {
		t.Run(c.codec+"/"+c.name, func(t *testing.T) {
			_, err := of(t, c.codec).Decode([]byte(c.doc))
			fieldtest.Check(t, err, c.want)
		})
	}
}

func TestDecodeRefusesSize(t *testing.T) {
	doc := bytes.Repeat([]byte(" "), codec.MaxBytes+1)
	copy(doc, "{}")
	for name := range pairs {
		_, err := of(t, name).Decode(doc)
		if want := "document: must have at most 8388608 bytes (Set.Allow, --max-input), has 8388609"; err == nil || err.Error() != want {
			t.Errorf("%s: err %v, want %s", name, err, want)
		}
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ codec, doc, payload, output, line string }{
		{"json", ` {"a": [1, 1e2]} `, ` {"a": [1, 1e2]} `, "{\n \"b\": 1.50\n}\n", `{"b":1.50}`},
		{"json", `"\u00e9"`, `"\u00e9"`, `null`, `null`},
		{"text", `"a\nb"`, "a\nb", "c\nd", `"c\nd"`},
		{"bytes", `{"base64": "AP8="}`, "\x00\xff", "\xff", `{"base64":"/w=="}`},
		{"bytes", `"é"`, "é", "", `{"base64":""}`},
		{"mixed", `[]`, `[]`, "text", `"text"`},
		{"query", `{"name": "a"}`, "a", "yes", `{"text":"yes"}`},
	} {
		call, err := of(t, c.codec).Decode([]byte(c.doc))
		if err != nil {
			t.Fatal(err)
		}
		if string(call.Payload) != c.payload {
			t.Errorf("%s: %s has payload %q, want %q", c.codec, c.doc, call.Payload, c.payload)
		}
		line, err := call.Encode([]byte(c.output))
		if err != nil || string(line) != c.line {
			t.Errorf("%s: %q has line %s, want %s; err %v", c.codec, c.output, line, c.line, err)
		}
	}
}

// TestEncodeRefuses is of plugins that do not answer in their media type.
func TestEncodeRefuses(t *testing.T) {
	docs := map[string]string{"json": `0`, "text": `""`, "query": `{}`}
	for name, doc := range docs {
		call, err := of(t, name).Decode([]byte(doc))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if line, err := call.Encode([]byte("\xff\xff")); err == nil {
			t.Errorf("%s: gives %s", name, line)
		}
	}
}

func TestFor(t *testing.T) {
	_, err := codec.New().For(host.Transform{Name: "x.y", Input: "a/b", Output: "c/d"})
	if want := "x.y has no JSON form: no codec for a/b and c/d"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
}

func TestTakeStream(t *testing.T) {
	for _, c := range []struct{ doc, rest, key, err string }{
		{`{"s": "k"}`, `{        }`, "k", ""},
		{`{"s": "k" , "a": 1}`, `{           "a": 1}`, "k", ""},
		{`{"a": 1, "s": "k", "b": 2}`, `{"a": 1          , "b": 2}`, "k", ""},
		{`{"a": {"s": 1}, "s": "\u006b"}`, `{"a": {"s": 1}               }`, "k", ""},
		{`{"s": null}`, `{         }`, "", ""},
		{`{"a": "s"}`, `{"a": "s"}`, "", ""},
		{`["s"]`, `["s"]`, "", ""},
		{`{"a": `, "", "", "document: is cut off, at byte 7"},
		{`{"s": "k", "s": "k"}`, "", "", "s: is there twice"},
		{`{"s": "k", "a": }`, "", "", "document: is not valid JSON: invalid character '}' at start of value, at byte 17"},
		{`{"s": 1}`, "", "", "s: must be a string, the key of a stream"},
		{`{"s": ""}`, "", "", "s: must have 1 to 256 bytes, has 0"},
		{``, "", "", "document: is empty"},
	} {
		rest, key, err := codec.TakeStream([]byte(c.doc), "s")
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: err %v, want %s", c.doc, err, c.err)
			}
			continue
		}
		if err != nil || string(rest) != c.rest || key != c.key {
			t.Errorf("%s: %q and %q, want %q and %q; err %v", c.doc, rest, key, c.rest, c.key, err)
		}
	}
}

// nested returns a document of so many objects, each the member called name of that before it,
// around another.
func nested(levels int, name, inner string) string {
	return strings.Repeat(`{"`+name+`": `, levels) + inner + strings.Repeat("}", levels)
}

// TestLongPath has errors tell the end of a path that is long.
func TestLongPath(t *testing.T) {
	const twice = `{"a": 1, "a": 2}`
	for _, c := range []struct{ doc, want string }{
		{nested(2, "b", twice), "b.b.a: is there twice"},
		{nested(2, "b", "["+twice+"]"), "b.b[0].a: is there twice"},
		{nested(127, "b", twice), strings.Repeat("b.", 127) + "a: is there twice"},
		{nested(128, "b", twice), "…" + strings.Repeat(".b", 127) + ".a: is there twice"},
		{nested(3000, strings.Repeat("n", 200), twice), "…" + strings.Repeat("."+strings.Repeat("n", 64)+"…", 3) + ".a: is there twice"},
		{nested(2, strings.Repeat("0", 200)+"1", twice), strings.Repeat(strings.Repeat("0", 64)+"….", 2) + "a: is there twice"},
	} {
		if _, _, err := codec.TakeStream([]byte(c.doc), "user"); err == nil || err.Error() != c.want {
			t.Errorf("%.50s: %.1000v\nwant %s", c.doc, err, c.want)
		}
	}
}

// isShort checks that an error is short and names a field.
func isShort(t *testing.T, of string, err error) {
	t.Helper()
	fault := (*abi.FieldError)(nil)
	if !errors.As(err, &fault) || fault.Field == "" || fault.Rule == "" {
		t.Fatalf("%s: %T %v", of, err, err)
	}
	if len(fault.Field) > 600 || len(fault.Rule) > 500 || len(err.Error()) > 1200 {
		t.Fatalf("%s: an error of %d bytes: %.1200v", of, len(err.Error()), err)
	}
}

// FuzzDecode feeds one document to every codec, and to what takes the key of a stream: none
// panics, and each error is short and names a field.
func FuzzDecode(f *testing.F) {
	for _, doc := range []string{
		`{"number": 0.5, "count": 3, "name": "s", "parts": [{}, {"sizes": {"a": 1}}]}`,
		`{"base64": "AP8="}`, `"text"`, `[1, -0, 1e300, {"a": null}]`, `{"__proto__": 1}`, `{"a": 1, "a": 2}`, "\"\xff\"", `{"a":`,
		nested(60, strings.Repeat("n", 64), `{"constructor": 1}`), nested(1000, strings.Repeat("\\u0001", 64), `{"a": 1, "a": 2}`),
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if _, _, err := codec.TakeStream(doc, "a"); err != nil {
			isShort(t, "TakeStream", err)
		}
		for name := range pairs {
			_, err := of(t, name).Decode(doc)
			if err != nil {
				isShort(t, name, err)
				continue
			}
			if !json.Valid(doc) {
				t.Fatalf("%s: took what is no JSON", name)
			}
		}
	})
}

// FuzzEncode feeds one output to every codec: none panics, and what comes out is
// one line of JSON.
func FuzzEncode(f *testing.F) {
	f.Add([]byte(`{"a": [1]}`))
	f.Add([]byte("yes"))
	f.Fuzz(func(t *testing.T, output []byte) {
		docs := map[string]string{"json": `0`, "text": `""`, "bytes": `""`, "query": `{}`}
		for name, doc := range docs {
			call, err := of(t, name).Decode([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			line, err := call.Encode(output)
			if err == nil && (!json.Valid(line) || bytes.ContainsAny(line, "\n\r")) {
				t.Fatalf("%s: %q", name, line)
			}
		}
	})
}

// TestSchemas has those of a transform go before its codec's.
func TestSchemas(t *testing.T) {
	s := codec.New()
	own := json.RawMessage(`{"maxLength": 3}`)
	for _, c := range []struct {
		transform     host.Transform
		input, output string
	}{
		{host.Transform{Input: "application/json", Output: "application/json"}, "", ""},
		{host.Transform{Input: "text/plain", Output: "text/plain", InputSchema: own}, string(own), `{"type": "string"}`},
		{host.Transform{Input: "a/b", Output: "a/b", OutputSchema: own}, "", string(own)},
	} {
		input, output := s.Schemas(c.transform)
		if string(input) != c.input || string(output) != c.output {
			t.Errorf("%+v: %s and %s", c.transform, input, output)
		}
	}
	input, output := s.Schemas(host.Transform{Input: "application/octet-stream", Output: "application/octet-stream"})
	for doc, want := range map[string][2]bool{`"a"`: {true, false}, `{"base64": "QQ=="}`: {true, true}, `{}`: {}, `1`: {}} {
		for i, schema := range []json.RawMessage{input, output} {
			if err := schematest.Check(t, schematest.Compile(t, schema), doc); err == nil != want[i] {
				t.Errorf("%s by %s: %v", doc, schema, err)
			}
		}
	}
}
