package fleet_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/natstest"
)

// TestConsumer starts workers where the consumer is there, and not as a fleet needs it.
func TestConsumer(t *testing.T) {
	urls := natstest.Start(t).URL()
	_, js := jet(t, urls)
	for name, c := range map[string]struct {
		change func(*jetstream.ConsumerConfig)
		want   string
	}{
		"filter":  {func(c *jetstream.ConsumerConfig) { c.FilterSubject = "" }, "is not a fleet's"},
		"wait":    {func(c *jetstream.ConsumerConfig) { c.AckWait = time.Millisecond }, "waits 1ms for a sign of life, and must wait 1s or more"},
		"backoff": {func(c *jetstream.ConsumerConfig) { c.BackOff = []time.Duration{time.Second} }, "has a back-off, which stands for the time in which a host gives a sign of life"},
		"deliver": {func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }, "gives a frame 5 times and then hides it: hosts count, and it must give a frame without bound"},
		"most":    {func(c *jetstream.ConsumerConfig) { c.Metadata["resonhost_max_deliver"] = "-1" }, `says in resonhost_max_deliver that a frame is given "-1" times: it must be 1 to 100`},
		"idle":    {func(c *jetstream.ConsumerConfig) { c.InactiveThreshold = time.Hour }, "is forgotten after 1h0m0s without hosts"},
	} {
		cfg := small(urls, "a")
		cfg.Fleet, cfg.TaskBytes, cfg.ResultBytes = name, 1<<20, 1<<20
		f := open(t, cfg)
		want := jetstream.ConsumerConfig{
			Durable: "worker", FilterSubject: "resonhost." + name + ".task.any", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second,
			MaxDeliver: -1, Metadata: map[string]string{"resonhost_max_deliver": "5"},
		}
		c.change(&want)
		if _, err := js.CreateConsumer(t.Context(), "RESONHOST_"+name+"_TASKS", want); err != nil {
			t.Fatal(err)
		}
		w := f.NewWorker(hostile(t, time.Minute), fleet.WorkerOptions{})
		err := w.Start(t.Context())
		if e := (*fleet.StreamError)(nil); !errors.As(err, &e) || e.Reason != "the consumer worker "+c.want+": delete it (nats consumer rm), and it is made anew" {
			t.Errorf("%s: error %v", name, err)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestRestarts has hosts come and go under load. A frame that has come to one that goes is done by it, and none comes to a second one.
// The server may count a frame as given again that it sent when a pull had just ended, and that came to nobody.
func TestRestarts(t *testing.T) {
	cfg := small(natstest.Start(t).URL(), "a")
	cfg.AckWait = fleet.MaxAckWait // so that none comes again by itself
	f := open(t, cfg)
	h := hostile(t, time.Minute)
	s := submit(t, f, "")
	frames := f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(30_000, 10))
	n := send(t, s, frames...)
	var taken uint64
	for done := uint64(0); done < uint64(n)/2; {
		w := f.NewWorker(h, fleet.WorkerOptions{Frames: 8})
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a frame", func() bool { return w.Stats().Answered > 8 })
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		done += w.Stats().Answered
		taken += w.Stats().Taken
	}
	w := work(t, f, h)
	echoed(t, frames, replies(t, s, n))
	empty(t, w)
	if taken += w.Stats().Taken; taken != uint64(n) {
		t.Errorf("%d frames were taken %d times", n, taken)
	}
}
