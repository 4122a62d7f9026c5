package fleet_test

import (
	"testing"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
	"github.com/resonhost/resonhost/resonance"
)

// cascadeDoc is a task of cascade in JSON.
const cascadeDoc = `{"awarenessLevel": 0.8, "phiValue": 0.618, "detail": "summary"}`

// BenchmarkCascade does tasks of cascade in the embedded host, by frames of the fleet, and by a message a task. ns/op is of a task.
func BenchmarkCascade(b *testing.B) {
	h := hosted.Start(b, host.Config{Plugins: []host.Source{{Name: "cascade", WASM: guesttest.Build(b, guesttest.Cascade)}}})
	f := open(b, fleet.Config{URLs: natstest.Start(b).URL(), Name: "a"})
	work(b, f, h)
	t, err := h.Lookup("cascade")
	if err != nil {
		b.Fatal(err)
	}
	input, _, err := resonance.Codecs().Translate(t, []byte(cascadeDoc))
	if err != nil {
		b.Fatal(err)
	}
	inputs := make([][]byte, fleet.MaxTasks)
	tasks := make([]fleet.Task, fleet.MaxTasks)
	for i := range inputs {
		inputs[i], tasks[i].Input = input, input
	}
	b.Run("embedded", func(b *testing.B) {
		for n := 0; n < b.N; n += len(inputs) {
			for _, r := range h.RunBatch(b.Context(), "cascade", inputs) {
				if r.Err != nil {
					b.Fatal(r.Err)
				}
			}
		}
	})
	for _, c := range []struct {
		name string
		size int
	}{{"frames", fleet.MaxTasks}, {"messages", 1}} {
		b.Run(c.name, func(b *testing.B) {
			frames := f.Client("", host.PriorityNormal).Frames("cascade", tasks[:c.size])
			s := submit(b, f, "")
			done := make(chan struct{})
			go func() {
				defer close(done)
				for n := 0; n < b.N; n += c.size {
					if r, err := s.Next(b.Context()); err != nil || r.Err != nil {
						b.Error(err, r.Err)
						return
					}
				}
			}()
			for n := 0; n < b.N; n += c.size {
				send(b, s, frames...)
			}
			<-done
		})
	}
}
