package fleet_test

import (
	"testing"
	"time"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/natstest"
)

// TestServerEnds has one of three servers end, and come again, while hosts work. Each task is answered once.
func TestServerEnds(t *testing.T) {
	c := natstest.StartCluster(t, 3)
	cfg := func(name string) fleet.Config {
		cfg := small(c.URL(), name)
		cfg.Replicas = 3
		return cfg
	}
	fa, fb := open(t, cfg("a")), open(t, cfg("b"))
	a, b := work(t, fa, hostile(t, time.Minute)), work(t, fb, hostile(t, time.Minute))
	s := submit(t, fa, "key")
	frames := fa.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(6000, 20))
	third := len(frames) / 3
	send(t, s, frames[:third]...)
	c.Servers[0].Stop()
	send(t, s, frames[third:2*third]...)
	c.Servers[0].Restart()
	send(t, s, frames[2*third:]...)
	echoed(t, frames, replies(t, s, len(frames)))
	empty(t, a)
	if n := a.Stats().Answered + b.Stats().Answered; n > uint64(len(frames)) {
		t.Errorf("%d of %d frames were answered", n, len(frames))
	}
}
