package invoke_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/invoke"
)

const manifest = `{"name": "t", "version": "1", "transforms": [
	{"name": "t.count", "input": "application/json", "output": "application/json", "state_bytes": 64},
	{"name": "t.text", "input": "application/json", "output": "text/plain"},
	{"name": "t.of", "input": "text/plain", "output": "application/json", "state_bytes": 64},
	{"name": "t.own", "input": "application/vnd.t", "output": "application/vnd.t"}
]}`

// count answers with how many tasks of its stream there were, as digits.
func count(t *guest.Task) error {
	t.NextState = append(append([]byte(nil), t.State...), '1')
	t.Output = append(t.Output, t.NextState...)
	return nil
}

// garble answers with what is no text.
func garble(t *guest.Task) error {
	t.Output = append(t.Output, 0xff)
	return nil
}

func start(t *testing.T) *host.Host {
	t.Helper()
	return hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(manifest, count, garble, count, count)}}) //nolint:gocritic // three of its transforms do the same
}

func TestFind(t *testing.T) {
	h := start(t)
	if _, err := invoke.Find(h, codec.New(), "t.frob"); host.KindOf(err) != host.KindUnknownTransform {
		t.Errorf("err %v, want unknown_transform", err)
	}
	if _, err := invoke.Find(h, codec.New(), "t.own"); err == nil || err.Error() != "t.own has no JSON form: no codec for application/vnd.t and application/vnd.t" {
		t.Errorf("err %v", err)
	}
}

// TestTextHasNoStream has a text be refused whose stream a member is to name: it has none, and the task would lose its order.
func TestTextHasNoStream(t *testing.T) {
	text, err := invoke.Find(start(t), codec.New(), "t.of")
	if err != nil {
		t.Fatal(err)
	}
	for doc, want := range map[string]string{
		"\n\"y\"": "s: cannot be the key of the stream, as a text has no members; a single task over HTTP names its stream in a header",
		`1`:       "document: must be a string",
	} {
		if _, err := text.Decode([]byte(doc), "s"); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", doc, err, want)
		}
	}
	if _, err := text.Decode([]byte(`"y"`), ""); err != nil {
		t.Error(err)
	}
}

// TestStreams has tasks in the stream that their document names, in another, and in none.
func TestStreams(t *testing.T) {
	h := start(t)
	counter, err := invoke.Find(h, codec.New(), "t.count")
	if err != nil {
		t.Fatal(err)
	}
	c := h.Client("", host.PriorityNormal)
	for _, s := range []struct{ doc, field, stream, want string }{
		{`{"user": "a"}`, "user", "a", "1"},
		{`{"user": "a"}`, "user", "a", "11"},
		{`{"user": "b"}`, "user", "b", "1"},
		{`{"user": "a"}`, "", "", "1"},
		{`{}`, "user", "", "1"},
	} {
		task, err := counter.Decode([]byte(s.doc), s.field)
		if err != nil || task.Stream() != s.stream {
			t.Fatalf("%s: stream %q, want %q; err %v", s.doc, task.Stream(), s.stream, err)
		}
		out, err := task.Submit(t.Context(), c).Wait()
		if err == nil {
			out, err = task.Encode(out)
		}
		if err != nil || string(out) != s.want {
			t.Errorf("%s: %s, want %s; err %v", s.doc, out, s.want, err)
		}
	}
	task := invoke.Payload(counter.Transform, []byte("not JSON")).InStream("a")
	out, err := task.Run(t.Context(), c)
	if err != nil || string(out) != "111" || task.Added() != 0 {
		t.Errorf("%s, want the stream to go on; err %v", out, err)
	}
	if _, err := task.InStream("").Run(t.Context(), c); host.KindOf(err) != host.KindInvalidArgument {
		t.Errorf("an empty key: err %v", err)
	}
	field := (*abi.FieldError)(nil)
	if _, err := counter.Decode([]byte(`{"user": 1}`), "user"); !errors.As(err, &field) || field.Field != "user" {
		t.Errorf("a key that is none: err %v", err)
	}
	before := failures(h, "t.count", host.KindInvalidArgument)
	if _, err := counter.Decode([]byte(`{`), ""); !errors.As(err, &field) {
		t.Errorf("a document that is cut off: err %v", err)
	}
	if n := failures(h, "t.count", host.KindInvalidArgument); n != before+1 {
		t.Errorf("%d failures are counted after %d, want one more", n, before)
	}
}

// failures is how many tasks of a transform the host has counted as failed in a way.
func failures(h *host.Host, transform string, k host.Kind) (n uint64) {
	for _, p := range h.Stats().Plugins {
		for i := range p.Transforms {
			if p.Transforms[i].Name == transform {
				n += p.Transforms[i].Errors[k]
			}
		}
	}
	return n
}

// TestEncode has an output that is not of its media type.
func TestEncode(t *testing.T) {
	h := start(t)
	text, err := invoke.Find(h, codec.New(), "t.text")
	if err != nil {
		t.Fatal(err)
	}
	task, err := text.Decode([]byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := task.Run(t.Context(), h.Client("", host.PriorityNormal))
	if err != nil {
		t.Fatal(err)
	}
	_, err = task.Encode(out)
	e := (*host.Error)(nil)
	if !errors.As(err, &e) || e.Kind != host.KindABI || e.Plugin != "t" || e.Version != "1" || len(e.Hash) != 64 {
		t.Errorf("err %+v, want abi, of the plugin", err)
	}
	if shape := api.Of("t.text", err); shape.Field != "" || strings.Contains(shape.Detail, "document") {
		t.Errorf("%+v: an output is no field of the caller's", shape)
	}
	if same, err := invoke.Payload(text.Transform, nil).Encode(out); err != nil || !bytes.Equal(same, out) {
		t.Errorf("%q, err %v: a payload's output is what the caller gets", same, err)
	}
}

// TestPanics has codecs with a defect: it ends the task.
func TestPanics(t *testing.T) {
	h := start(t)
	for _, c := range []struct {
		name   string
		decode func([]byte) (codec.Call, error)
	}{
		{"decode", func([]byte) (codec.Call, error) { panic(strings.Repeat("x", 1000)) }},
		{"encode", func([]byte) (codec.Call, error) {
			return codec.Call{Encode: func([]byte) ([]byte, error) { panic(errors.New(strings.Repeat("x", 1000))) }}, nil
		}},
	} {
		codecs := codec.New()
		codecs.Register("application/vnd.t", "application/vnd.t", codec.Func(c.decode))
		own, err := invoke.Find(h, codecs, "t.own")
		if err != nil {
			t.Fatal(err)
		}
		task, err := own.Decode([]byte("{}"), "")
		if err == nil {
			_, err = task.Encode(nil)
		}
		e := (*host.Error)(nil)
		if !errors.As(err, &e) || e.Kind != host.KindHost || e.Transform != "t.own" || !strings.Contains(e.Stack, "TestPanics") {
			t.Fatalf("%s: err %v, want one of kind host with the stack", c.name, err)
		}
		value, _, _ := strings.Cut(e.Stack, "\n")
		if e.Message != "the codec for application/vnd.t and application/vnd.t panicked" || !strings.HasPrefix(value, "panic: xxx") || len(value) > 300 {
			t.Errorf("%s: %s; the stack begins with %s", c.name, e.Message, value)
		}
	}
}

// TestAdded has what a task holds beside its document: what a codec makes of that, or what is left
// of it without the stream's key.
func TestAdded(t *testing.T) {
	h := start(t)
	codecs := codec.New()
	codecs.Register("application/vnd.t", "application/vnd.t", codec.Func(func([]byte) (codec.Call, error) {
		return codec.Call{Payload: []byte("abc")}, nil
	}))
	for _, c := range []struct {
		transform, doc, field string
		want                  int
	}{
		{"t.count", `{"a": 1}`, "", 0},
		{"t.count", `{"a": 1, "user": "u"}`, "user", len(`{"a": 1, "user": "u"}`)},
		{"t.count", `{"a": 1}`, "user", 0},
		{"t.own", `{}`, "", 3},
	} {
		tr, err := invoke.Find(h, codecs, c.transform)
		if err != nil {
			t.Fatal(err)
		}
		task, err := tr.Decode([]byte(c.doc), c.field)
		if err != nil || task.Added() != c.want {
			t.Errorf("%s of %s: %d bytes, err %v, want %d", c.transform, c.doc, task.Added(), err, c.want)
		}
	}
}
