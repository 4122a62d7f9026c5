package host_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// TestStreamsKeepTheirOrder runs a thousand streams of two hundred tasks each, which
// count: in each stream every success has one more before it than the last, whatever
// fails between them.
func TestStreamsKeepTheirOrder(t *testing.T) {
	const producers, perProducer = 8, 125
	rounds := 200
	if raceEnabled {
		rounds = 20
	}
	h := hosted.Start(t, host.Config{
		Plugins:  []host.Source{{Name: "count", WASM: guesttest.Build(t, "./testdata/guests/count")}},
		Defaults: host.PluginConfig{BreakAfter: -1, RunTimeout: time.Hour},
	})
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			var want [perProducer]uint64
			check := func(round int, pending []*host.Pending) {
				for i, task := range pending {
					out, err := task.Wait()
					switch input := orderInput(p, i, round); {
					case input == "fail":
						if host.KindOf(err) != host.KindFailed {
							t.Errorf("stream %d.%d, task %d: err %v, want that it failed", p, i, round, err)
						}
					case input == "exit":
						if host.KindOf(err) != host.KindExit {
							t.Errorf("stream %d.%d, task %d: err %v, want that it exited", p, i, round, err)
						}
					case err != nil || len(out) != 8 || binary.LittleEndian.Uint64(out) != want[i]:
						t.Errorf("stream %d.%d, task %d: %x, err %v, want %d", p, i, round, out, err, want[i])
					default:
						want[i]++
					}
				}
			}
			var before []*host.Pending
			for round := range rounds {
				now := make([]*host.Pending, perProducer)
				for i := range now {
					now[i] = h.Stream(fmt.Sprint(p, ".", i)).Submit(t.Context(), "count", []byte(orderInput(p, i, round)))
				}
				check(round-1, before)
				before = now
			}
			check(rounds-1, before)
		})
	}
	all.Wait()
	if s := h.Stats(); s.Streams != producers*perProducer || s.QueueDepth != 0 {
		t.Errorf("%d streams, %d tasks wait", s.Streams, s.QueueDepth)
	}
}

// orderInput has one task in twenty fail, and one in ten thousand end its instance.
func orderInput(producer, stream, round int) string {
	n := round*997 + stream*8 + producer
	switch {
	case n%10_000 == 7777:
		return "exit"
	case n*7919%20 == 3:
		return "fail"
	}
	return "go on"
}
