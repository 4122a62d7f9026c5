package strictjson_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/fieldtest"
	"github.com/resonhost/resonhost/internal/strictjson"
)

// content is bytes that are a string, or {"base64": "…"}.
type content []byte

func (c *content) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(b, &text) == nil {
		*c = content(text)
		return nil
	}
	var coded struct{ Base64 []byte }
	err := json.Unmarshal(b, &coded)
	*c = coded.Base64
	return err
}

type part struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Small uint32 `json:"small"`
}

type whole struct {
	Part   part            `json:"part"`
	Parts  []part          `json:"parts"`
	Bytes  content         `json:"bytes"`
	Any    json.RawMessage `json:"any"`
	Hidden string          `json:"-"`
}

func TestUnmarshal(t *testing.T) {
	for doc, want := range map[string]whole{
		`{}`: {},
		` {"part": {"name": "a", "count": -3, "small": 4294967295}, "parts": [{"name": "b"}, {}]} `: {Part: part{"a", -3, 1<<32 - 1}, Parts: []part{{Name: "b"}, {}}},
		`{"bytes": "text", "any": {"x": [1, {"x": 1e999}], "x": 2}}`:                                {Bytes: content("text"), Any: json.RawMessage(`{"x": [1, {"x": 1e999}], "x": 2}`)},
		`{"bytes": {"base64": "AP8="}}`:                                                             {Bytes: content{0, 0xff}},
		`{"part": null, "parts": null, "bytes": null}`:                                              {},
		"{\"part\": {\"n\\u0061me\": \"ü\"}}":                                                       {Part: part{Name: "ü"}},
	} {
		var got whole
		if err := strictjson.Unmarshal([]byte(doc), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, err %v; want %+v", doc, got, err, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	long := strings.Repeat("x", 100)
	for doc, want := range map[string]string{
		`[]`:                                          "document: must be an object, is an array",
		`"a"`:                                         `document: must be an object, is the string "a"`,
		`{"Part": {}}`:                                `Part: is not a known member; did you mean "part"?; there are part, parts, bytes, any`,
		`{"Hidden": ""}`:                              "Hidden: is not a known member; there are part, parts, bytes, any",
		`{"part": {"\u006eame": 1}}`:                  "part.name: must be a string, is 1",
		`{"part": {"nam": 1}}`:                        `part.nam: is not a known member; did you mean "name"?; there are name, count, small`,
		`{"any": 1, "any": 1}`:                        "any: is there twice",
		`{"any": 1, "\u0061ny": 1}`:                   "any: is there twice",
		`{"parts": {}}`:                               "parts: must be an array, is an object",
		`{"parts": [{}, {"count": []}]}`:              "parts[1].count: must be a whole number in range, is an array",
		`{"part": {"count": 1.5}}`:                    "part.count: must be a whole number in range, is 1.5",
		`{"part": {"count": 1e3}}`:                    "part.count: must be a whole number in range, is 1e3",
		`{"part": {"small": -1}}`:                     "part.small: must be a whole number in range, is -1",
		`{"part": {"small": 4294967296}}`:             "part.small: must be a whole number in range, is 4294967296",
		`{"part": {"count": true}}`:                   "part.count: must be a whole number in range, is true",
		`{"part": {"name": {}}}`:                      "part.name: must be a string, is an object",
		`{"part": ["` + long + `"]}`:                  "part: must be an object, is an array",
		`{"part": "` + long + `"}`:                    `part: must be an object, is the string "` + long[:64] + `…"`,
		`{"` + long + `": 1}`:                         long[:64] + "…: is not a known member; there are part, parts, bytes, any",
		`{"\u001b[31m": 1}`:                           `\x1b[31m: is not a known member; there are part, parts, bytes, any`,
		`{"bytes": 1}`:                                `bytes: must be a string or {"base64": "…"}, is 1; JSON is written as a string`,
		`{"bytes": []}`:                               `bytes: must be a string or {"base64": "…"}, is an array; JSON is written as a string`,
		`{"bytes": {"base64": 1}}`:                    "bytes.base64: must be a string in base64, is 1",
		`{"bytes": {"base64": "a!"}}`:                 "bytes.base64: must be a string in base64, is none at byte 2",
		`{"bytes": {"base64": "", "base64": ""}}`:     "bytes.base64: is there twice",
		`{"bytes": {"hex": ""}}`:                      "bytes.hex: is not a known member; there is only base64; JSON is written as a string",
		`{"part": {"name": "a"`:                       "document: is cut off, behind byte 21",
		`{"part"`:                                     "document: is cut off, behind byte 7",
		`{"part": {,}}`:                               "document: is not valid JSON, near byte 11: invalid character ','",
		`{"any": ` + strings.Repeat("[", 20000) + `}`: "document: must not be nested deeper than 10000, near byte 10007",
	} {
		var v whole
		t.Run("", func(t *testing.T) { fieldtest.Check(t, strictjson.Unmarshal([]byte(doc), &v), want) })
	}
	for doc, want := range map[string]string{"": "is empty", " \n": "is empty", "{} {}": "something follows the JSON value", "{}x": "something follows the JSON value"} {
		if err := strictjson.Unmarshal([]byte(doc), new(whole)); err == nil || err.Error() != want {
			t.Errorf("%q: err %v, want %s", doc, err, want)
		}
	}
	type odd struct {
		Odd map[string]int `json:"odd"`
	}
	fieldtest.Check(t, strictjson.Unmarshal([]byte(`{"odd": {}}`), new(odd)), "odd: is of a type that is not decoded, map[string]int")
}

// FuzzUnmarshal holds what is taken to encoding/json, which takes it too and makes the same of it.
func FuzzUnmarshal(f *testing.F) {
	for _, doc := range []string{
		"", "{}", "null", `{"part": {"name": "a", "count": 1, "small": 2}, "parts": [{}], "bytes": "x", "any": [1]}`,
		`{"bytes": {"base64": "` + base64.StdEncoding.EncodeToString([]byte("abc")) + `"}}`, `{"any": 1, "any": 2}`, `{"part": {`, "{\"\xff\": 1}",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var got, want whole
		before := bytes.Clone(doc)
		err := strictjson.Unmarshal(doc, &got)
		if !bytes.Equal(doc, before) {
			t.Fatal("the document is changed")
		}
		if err != nil {
			if len(err.Error()) > 1000 && len(doc) < 500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if err := json.Unmarshal(doc, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, encoding/json has %+v, err %v", doc, got, want, err)
		}
		if err := strictjson.Unmarshal(append(doc, '0'), new(whole)); err == nil {
			t.Errorf("%q: something behind it is taken", doc)
		}
	})
}
