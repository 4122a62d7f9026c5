package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

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
