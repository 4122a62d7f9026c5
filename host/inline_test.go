package host_test

import (
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

// gate is a native plugin whose tasks wait until they are let through.
type gate struct {
	*guest.Plugin
	entered chan string
	let     chan struct{}
}

const gateManifest = `{"name": "gate", "version": "1", "transforms": [
	{"name": "gate", "input": "text/plain", "output": "text/plain", "state_bytes": 1000}]}`

func newGate() *gate {
	g := &gate{entered: make(chan string), let: make(chan struct{})}
	g.Plugin = guest.New(gateManifest, func(t *guest.Task) error {
		g.entered <- string(t.Input)
		<-g.let
		if string(t.Input) == "bad" {
			return &abi.FieldError{Field: "input", Rule: "must not be bad"}
		}
		// Answers with all earlier inputs of its stream.
		t.NextState = append(append([]byte(nil), t.State...), t.Input...)
		t.Output = append(t.Output, t.NextState...)
		return nil
	})
	return g
}

// pass lets one task through and returns its input.
func (g *gate) pass() string {
	in := <-g.entered
	g.let <- struct{}{}
	return in
}

func inline(t *testing.T, change func(*host.Config)) (*host.Host, *gate) {
	t.Helper()
	g := newGate()
	cfg := host.Config{Mode: host.ModeInline, Native: []host.Native{g}}
	if change != nil {
		change(&cfg)
	}
	return hosted.Start(t, cfg), g
}

func TestInlineIsSingleThreaded(t *testing.T) {
	h, g := inline(t, nil)
	a := h.Submit(t.Context(), "gate", []byte("a"))
	b := h.Submit(t.Context(), "gate", []byte("b"))
	<-g.entered
	if s := h.Stats(); s.Workers != 1 || s.Active != 1 || s.QueueDepth != 1 {
		t.Errorf("stats %+v, want one of one worker active and a task queued", s)
	}
	g.let <- struct{}{}
	g.pass()
	for want, p := range map[string]*host.Pending{"a": a, "b": b} {
		if out, err := p.Wait(); err != nil || string(out) != want {
			t.Errorf("%q, err %v, want %s", out, err, want)
		}
	}
}
