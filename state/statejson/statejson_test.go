package statejson_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/statejson"
)

func TestThereAndBack(t *testing.T) {
	for want, r := range map[string]state.Record{
		`{"kind":"stream","tenant":"blue","transform":"t","name":"ü\"","format":3,"changed_ms":-1,"size":3,"data":"YWJj"}`: {
			Key:    state.Key{Kind: state.KindStream, Tenant: "blue", Transform: "t", Name: `ü"`},
			Format: 3, Changed: time.UnixMilli(-1), Data: []byte("abc"), Size: 3,
		},
		`{"kind":"job","tenant_base64":"/w==","name_base64":"YYA=","format":0,"changed_ms":5,"size":0,"data":""}`: {
			Key: state.Key{Kind: state.KindJob, Tenant: "\xff", Name: "a\x80"}, Changed: time.UnixMilli(5), Data: []byte{},
		},
	} {
		b, err := statejson.Append(nil, &r)
		if err != nil || string(b) != want+"\n" {
			t.Errorf("%s, %v, want %s", b, err, want)
		}
		got, err := statejson.Parse(b)
		if err != nil || got.Key != r.Key || got.Format != r.Format || !got.Changed.Equal(r.Changed) || !bytes.Equal(got.Data, r.Data) || got.Data == nil || got.Size != r.Size {
			t.Errorf("%s: %+v, %v", b, got, err)
		}
	}
}

func TestWithoutData(t *testing.T) {
	b, err := statejson.Append([]byte("before\n"), &state.Record{Key: state.Key{Kind: state.KindJob, Name: "n"}, Changed: time.UnixMilli(5), Size: 7})
	if want := "before\n" + `{"kind":"job","name":"n","format":0,"changed_ms":5,"size":7}` + "\n"; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]string{
		`{`:                                    "document: is cut off",
		"\ufeff{}":                             "begins with a byte order mark",
		"{\"kind\":\"job\",\"name\":\"\xff\"}": "is not valid UTF-8",
		`"job"`:                                `document: must be an object, is the string "job"`,
		`{"kind":7}`:                           "kind: must be a string, is 7",
		`{"kind":"job","changed_ms":"x","data":""}`:                           `changed_ms: must be a whole number in range, is "x"`,
		`{"kind":"job","format":1.5,"data":""}`:                               "format: must be a whole number in range, is 1.5",
		`{"kind":"job","name_base64":"/w","data":""}`:                         "name_base64: must be a string in base64",
		`{"kind":"job","data":7}`:                                             "data: must be a string in base64, is 7",
		`{"kind":"job","name":"n","size":7}`:                                  "data: must be there",
		`{"kind":"job","name":"n","data":null}`:                               "data: must be there",
		`{"kind":"job","nam":"n","data":""}`:                                  "nam",
		`{"kind":"job","name":"n","name_base64":"bg==","data":""}`:            "name: stands beside name_base64",
		`{"kind":"job","size":2,"data":"YWJj"}`:                               "size: is 2, and the data has 3 bytes",
		`{"kind":"Job","data":"YWJj"}`:                                        `cannot be stored: kind "Job" must have 1 to 16 letters from a to z`,
		`{"kind":"job","format":-1,"data":"YWJj"}`:                            "format must be between 0 and 2147483647, is -1",
		`{"kind":"job","data":"?"}`:                                           "data: must be a string in base64",
		`{"kind":"job","name":"` + strings.Repeat("x", 2000) + `","data":""}`: "name must have at most 1024 bytes, has 2000",
	} {
		if _, err := statejson.Parse([]byte(line)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Go ") || strings.Contains(err.Error(), "json:") {
			t.Errorf("%.80s: error %v, want %s", line, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"stream","tenant":"blue","transform":"t","name":"n","format":3,"changed_ms":-1,"size":3,"data":"YWJj"}`))
	f.Add([]byte(`{"kind":"job","tenant_base64":"/w==","name_base64":"YYA=","format":0,"changed_ms":5,"size":0,"data":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := statejson.Parse(b)
		if err != nil {
			return
		}
		line, err := statejson.Append(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := statejson.Parse(line)
		if err != nil || again.Key != r.Key || again.Format != r.Format || !again.Changed.Equal(r.Changed) || !bytes.Equal(again.Data, r.Data) {
			t.Fatalf("%s: %+v, %v, and before %+v", line, again, err, r)
		}
	})
}
