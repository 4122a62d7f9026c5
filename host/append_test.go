package host_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
)

func TestRunAppend(t *testing.T) {
	bus := event.New(0)
	h := hostile(t, func(cfg *host.Config) { cfg.Events = bus })
	told := bus.Subscribe(0, event.KindTaskCompleted)
	defer told.Close()
	c := h.Client("", host.PriorityNormal)
	room := make([]byte, 0, 64)
	for _, input := range []string{"first", "", strings.Repeat("long", 100), "last"} {
		out, err := c.RunAppend(t.Context(), "hostile.echo", append(room, "> "...), []byte(input))
		if err != nil || string(out) != "> "+input {
			t.Errorf("%q, err %v, want it behind the arrow", out, err)
		}
		if inPlace := &out[0] == &room[:1][0]; inPlace != (len(input) < 60) {
			t.Errorf("of %d bytes, in place: %t", len(input), inPlace)
		}
		e, err := told.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Body.(event.TaskCompleted).Output; !bytes.Equal(got, []byte(input)) {
			t.Errorf("the event has the output %q, want %q", got, input)
		}
	}
	p := c.SubmitAppend(t.Context(), "hostile.echo", []byte("> "), []byte("x"))
	if out, err := p.Wait(); err != nil || string(out) != "> x" {
		t.Errorf("%q, err %v", out, err)
	}
	out, err := c.RunAppend(t.Context(), "hostile.badutf8", []byte("> "), []byte("!"))
	if host.KindOf(err) != host.KindFailed || out != nil {
		t.Errorf("%q, err %v, want that it failed", out, err)
	}
}
