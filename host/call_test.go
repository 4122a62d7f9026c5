package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
)

// words is a Runner that is no host's: it splits a text.
type words struct{ output string }

func (w words) Run(_ context.Context, transform string, input []byte) ([]byte, error) {
	if w.output != "" {
		return []byte(w.output), nil
	}
	var text string
	if err := json.Unmarshal(input, &text); err != nil {
		return nil, &host.Error{Kind: host.KindInvalidArgument, Transform: transform, Message: err.Error(), Err: err}
	}
	return json.Marshal(strings.Fields(text))
}

type never string

var errNever = errors.New("never")

func (never) Validate() error { return errNever }

type text string

func (t text) AppendBinary(b []byte) ([]byte, error) { return append(b, t...), nil }

func (t *text) UnmarshalBinary(b []byte) error {
	if string(b) == "?" {
		return errors.New("a question")
	}
	*t = text(b)
	return nil
}

func (t text) Validate() error {
	if t == "" {
		return &abi.FieldError{Field: "text", Rule: "must not be empty"}
	}
	return nil
}

func TestCall(t *testing.T) {
	h := hostile(t, nil)
	out, err := host.Call[text](t.Context(), h, "hostile.echo", text("hello"))
	if err != nil || out != "hello" {
		t.Errorf("%q, err %v", out, err)
	}
	_, err = host.Call[text](t.Context(), h, "hostile.echo", text(""))
	if want := "hostile.echo: invalid_argument: text: must not be empty"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
	if f := (*abi.FieldError)(nil); !errors.As(err, &f) {
		t.Errorf("%v has no field", err)
	}
	_, err = host.Call[text](t.Context(), h, "hostile.echo", text("?"))
	if e := (*host.Error)(nil); !errors.As(err, &e) || e.Kind != host.KindABI || e.Plugin != "hostile" || e.Version == "" || e.Hash == "" {
		t.Errorf("err %+v, want abi, of the plugin", err)
	}
}

func TestCallJSON(t *testing.T) {
	got, err := host.CallJSON[[]string](t.Context(), words{}, "split", "a b")
	if err != nil || len(got) != 2 || got[1] != "b" {
		t.Errorf("%q, err %v", got, err)
	}
	if _, err := host.CallJSON[int](t.Context(), words{}, "split", "a b"); host.KindOf(err) != host.KindABI || !strings.Contains(err.Error(), "output is not a int") {
		t.Errorf("err %v, want that the output is none", err)
	}
	for name, c := range map[string]struct {
		in   any
		want error
	}{
		"refused":    {never("x"), errNever},
		"unencoded":  {func() {}, nil},
		"of another": {1, nil},
	} {
		_, err := host.CallJSON[[]string](t.Context(), words{}, "split", c.in)
		if e := (*host.Error)(nil); !errors.As(err, &e) || e.Kind != host.KindInvalidArgument || e.Transform != "split" || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: err %v", name, err)
		}
	}
}
