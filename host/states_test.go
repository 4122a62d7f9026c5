package host_test

import (
	"testing"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

const growingManifest = `{"name": "grow", "version": "2.0.0", "transforms": [
	{"name": "grow", "input": "text/plain", "output": "text/plain", "state_bytes": 8, "state_version": 2, "state_reads": [1]}]}`

// growing returns a native plugin whose transform appends inputs to its state, which is its output.
func growing() host.Native {
	return guest.New(growingManifest, func(t *guest.Task) error {
		t.NextState = append(append(t.NextState, t.State...), t.Input...)
		t.Output = append(t.Output, t.NextState...)
		return nil
	})
}

// TestStatesOfTheirOwner has streams whose states their owner keeps.
func TestStatesOfTheirOwner(t *testing.T) {
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{growing()}})
	client := h.Client("acme", host.PriorityNormal)
	run := func(c *host.Client, key, input, want string) {
		t.Helper()
		if out, err := c.Stream(key).Run(t.Context(), "grow", []byte(input)); err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", input, out, err, want)
		}
	}
	states := host.NewStates()
	states.Set(host.StreamState{Tenant: "acme", Transform: "grow", Key: "s", State: []byte("ab"), Format: 1})
	mine := client.WithStates(states)
	run(client, "s", "x", "x")
	run(mine, "s", "c", "abc")
	run(mine, "s", "d", "abcd")
	run(mine, "other", "e", "e")
	run(client.WithStates(host.NewStates()), "s", "f", "f")
	run(client, "s", "y", "xy")
	if got := states.Of("acme", "grow", "s"); string(got.State) != "abcd" || got.Format != 2 {
		t.Errorf("%+v", got)
	}
	if got := states.Of("acme", "grow", "none"); len(got.State) != 0 {
		t.Errorf("%+v", got)
	}
	if n := h.Stats().Streams; n != 1 || states.Unreadable() != 0 {
		t.Errorf("the host has %d streams, and %d tasks could not read their states", n, states.Unreadable())
	}
	if _, err := mine.Stream("s").Run(t.Context(), "grow", []byte("too long")); err == nil {
		t.Error("a state that is too long has no error")
	}
	run(mine, "s", "e", "abcde") // as a task that fails leaves it
}

// TestUnreadableStatesOfTheirOwner has states that the version that serves does not read.
func TestUnreadableStatesOfTheirOwner(t *testing.T) {
	for _, c := range []struct {
		rule host.StateRule
		of   host.StreamState
		want int
	}{
		{host.StateRefuse, host.StreamState{State: []byte("ab"), Format: 3}, 1},
		{host.StateRefuse, host.StreamState{State: []byte("ab"), Format: 1}, 0},
		{host.StateRefuse, host.StreamState{State: []byte("123456789"), Format: 2}, 1},
		{host.StateReset, host.StreamState{State: []byte("ab"), Format: 3}, 0},
	} {
		h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{growing()}, Defaults: host.PluginConfig{StateRule: c.rule}})
		states := host.NewStates()
		c.of.Transform, c.of.Key = "grow", "s"
		states.Set(c.of)
		for range 2 { // the second reads what the first has left
			if _, err := h.Client("", host.PriorityNormal).WithStates(states).Stream("s").Run(t.Context(), "grow", []byte("c")); err != nil {
				t.Error(err)
			}
		}
		if got := states.Unreadable(); got != c.want {
			t.Errorf("%+v: %d could not be read, want %d", c, got, c.want)
		}
	}
}
