package host_test

import (
	"bytes"
	"fmt"
	"slices"
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

// TestStreamAppend has tasks of a stream append their outputs.
func TestStreamAppend(t *testing.T) {
	s := hostile(t, nil).Stream("a")
	room := make([]byte, 0, 64)
	out, err := s.RunAppend(t.Context(), "hostile.echo", append(room, "> "...), []byte("x"))
	if err != nil || string(out) != "> x" || &out[0] != &room[:1][0] {
		t.Errorf("%q, err %v, want it behind the arrow, in place", out, err)
	}
	if out, err := s.SubmitAppend(t.Context(), "hostile.echo", []byte("> "), []byte("y")).Wait(); err != nil || string(out) != "> y" {
		t.Errorf("%q, err %v", out, err)
	}
}

// TestRunBatchInto gives the results of each batch to the next, which is longer or shorter,
// and some of whose tasks fail.
func TestRunBatchInto(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{
		"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "shared": host.IsolationShared,
	} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t, func(cfg *host.Config) { cfg.Defaults.Isolation, cfg.Defaults.BreakAfter = isolation, -1 })
			c := h.Client("", host.PriorityNormal)
			var results []host.Result
			for round, tasks := range []int{130, 3, 0, 200, 64, 65} {
				inputs := make([][]byte, tasks)
				for i := range inputs {
					inputs[i] = fmt.Appendf(nil, "%d of round %d", i, round)
				}
				if tasks > 2 {
					inputs[tasks/2] = []byte("!")
				}
				before := slices.Clone(results)
				results = c.RunBatchInto(t.Context(), "hostile.trap", results, inputs)
				if len(results) != tasks {
					t.Fatalf("%d results of %d tasks", len(results), tasks)
				}
				for i, r := range results {
					switch {
					case i == tasks/2 && tasks > 2:
						if host.KindOf(r.Err) != host.KindTrap || r.Output != nil {
							t.Errorf("round %d, task %d: %q, err %v, want its trap", round, i, r.Output, r.Err)
						}
					case r.Err != nil || !bytes.Equal(r.Output, inputs[i]):
						t.Errorf("round %d, task %d: %q, err %v", round, i, r.Output, r.Err)
					case i < len(before) && cap(before[i].Output) >= len(r.Output) && &r.Output[0] != &before[i].Output[:1][0]:
						t.Errorf("round %d, task %d: has new memory", round, i)
					}
				}
			}
			results = c.RunBatchInto(t.Context(), "nothing", results, make([][]byte, 2))
			for _, r := range results {
				if host.KindOf(r.Err) != host.KindUnknownTransform || r.Output != nil {
					t.Errorf("%q, err %v, want that there is no such transform", r.Output, r.Err)
				}
			}
		})
	}
}
