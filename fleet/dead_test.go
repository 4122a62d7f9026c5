package fleet_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/natstest"
)

// TestGivenUp has each host that takes a frame die. The frame becomes a dead letter with the reason, and is answered.
func TestGivenUp(t *testing.T) {
	urls := natstest.Start(t).URL()
	cfg := small(urls, "a")
	cfg.MaxDeliver = 1
	f := open(t, cfg)
	work(t, f, hostile(t, time.Minute)).Close(t.Context()) // has made the consumers
	s := submit(t, f, "")
	n := send(t, s, f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(2, 10))...)
	_, js := jet(t, urls)
	c, err := js.Consumer(t.Context(), "RESONHOST_default_TASKS", "worker")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.Fetch(1, jetstream.FetchMaxWait(10*time.Second)) // a host that dies
	if err != nil {
		t.Fatal(err)
	}
	<-batch.Messages()
	w := work(t, f, hostile(t, time.Minute))
	for _, o := range replies(t, s, n)[0].Outcomes {
		if o.Failure == nil || o.Failure.Kind != host.KindHost || o.Failure.Message != "the frame was given up, and is a dead letter: it was given to hosts 1 times, and none has answered" {
			t.Errorf("%+v", o.Failure)
		}
	}
	empty(t, w)
	letters := deadLetters(t, urls, 1)
	if h := letters[0].Headers(); h.Get(fleet.HeaderReason) != "it was given to hosts 1 times, and none has answered" || h.Get(fleet.HeaderDeliveries) != "1" || h.Get(fleet.HeaderFrame) != s.Name()+".0" {
		t.Errorf("%v", h)
	}
	if _, err := fleet.ParseFrame(letters[0].Data()); err != nil {
		t.Error(err)
	}
}

// deadLetters returns the n dead letters that there are.
func deadLetters(tb testing.TB, urls string, n int) (list []jetstream.Msg) {
	tb.Helper()
	_, js := jet(tb, urls)
	c, err := js.OrderedConsumer(tb.Context(), "RESONHOST_default_DEAD", jetstream.OrderedConsumerConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	for range n {
		msg, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, msg)
	}
	if dead, err := js.Stream(tb.Context(), "RESONHOST_default_DEAD"); err != nil || dead.CachedInfo().State.Msgs != uint64(n) {
		tb.Errorf("there are other than %d dead letters, error %v", n, err)
	}
	return list
}

// TestGarbage sends what is no frame to the hosts. It becomes dead letters, and what comes with it is done.
func TestGarbage(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	frames := f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(10, 10))
	good, err := frames[0].Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	huge := bytes.Clone(good)
	copy(huge[24:], "\xff\xff\xff\xff")
	_, js := jet(t, urls)
	reasons := []string{
		"malformed: it is no frame", "malformed: it is no frame", "malformed: the frame is cut off",
		"malformed: the frame has 4294967295 tasks, and 1 to 64 are allowed", "malformed: the header Nats-Msg-Id is no ID of a frame",
	}
	for i, data := range [][]byte{nil, bytes.Repeat([]byte{0xff}, f.MaxMessage()-100), good[:len(good)-1], huge, good} {
		msg := nats.NewMsg("resonhost.default.task.any")
		msg.Data = data
		switch i {
		case 3:
			msg.Header.Set(nats.MsgIdHdr, "bad.0")
		case 4:
			msg.Header.Set(nats.MsgIdHdr, "not an ID")
		}
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	s, bad := submit(t, f, ""), submit(t, f, "bad")
	n := send(t, s, frames...)
	w := work(t, f, hostile(t, time.Minute))
	echoed(t, frames, replies(t, s, n))
	send(t, bad, frames...)
	if a := replies(t, bad, 1)[0]; a.Outcomes[0].Failure == nil || !strings.Contains(a.Outcomes[0].Failure.Message, reasons[3]) {
		t.Errorf("what has an ID is answered: %+v", a)
	}
	empty(t, w)
	for _, l := range deadLetters(t, urls, len(reasons)) {
		at := slices.Index(reasons, l.Headers().Get(fleet.HeaderReason))
		if at < 0 {
			t.Fatalf("%v", l.Headers())
		}
		reasons[at] = ""
	}
	empty(t, w)
	if got := w.Stats(); got.Dead != 5 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
}

// TestDeadFull has more garbage than the dead letters have room for. The oldest go, and what comes with it is done.
func TestDeadFull(t *testing.T) {
	urls := natstest.Start(t).URL()
	var log logged
	cfg := small(urls, "a")
	cfg.Logger = log.logger()
	f := open(t, cfg)
	_, js := jet(t, urls)
	dead, err := js.Stream(t.Context(), "RESONHOST_default_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	bounds := dead.CachedInfo().Config
	bounds.MaxBytes = 12 << 10
	if _, err := js.UpdateStream(t.Context(), bounds); err != nil {
		t.Fatal(err)
	}
	garbage(t, js, 12)
	s := submit(t, f, "")
	frames := f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(10, 10))
	n := send(t, s, frames...)
	w := work(t, f, hostile(t, time.Minute))
	echoed(t, frames, replies(t, s, n))
	empty(t, w)
	if got := w.Stats(); got.Dead != 12 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
	info, err := dead.Info(t.Context())
	if err != nil || info.State.LastSeq != 12 || info.State.Msgs < 1 || info.State.Msgs > 2 {
		t.Errorf("%+v, error %v", info, err)
	}
	if n, want := w.Stats().DeadDropped, info.State.FirstSeq-1; n != want {
		t.Errorf("%d dead letters were dropped, %d are counted", want, n)
	}
	if n := log.count("the dead letters have no room"); n != 1 {
		t.Errorf("the log was told %d times", n)
	}
}

// TestDeadRefused has no dead letters stored at all. A host that cannot store one goes on with other frames.
func TestDeadRefused(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	_, js := jet(t, urls)
	if err := js.DeleteStream(t.Context(), "RESONHOST_default_DEAD"); err != nil {
		t.Fatal(err)
	}
	garbage(t, js, 3) // as many as the host takes at a time
	s := submit(t, f, "")
	frames := f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(10, 10))
	n := send(t, s, frames...)
	w := work(t, f, hostile(t, time.Minute))
	echoed(t, frames, replies(t, s, n))
	eventually(t, "garbage that is left", func() bool { return w.Stats().Failed >= 3 })
}

// garbage sends n messages of 4 KiB that are no frames.
func garbage(tb testing.TB, js jetstream.JetStream, n int) {
	tb.Helper()
	for range n {
		if _, err := js.Publish(tb.Context(), "resonhost.default.task.any", make([]byte, 4<<10)); err != nil {
			tb.Fatal(err)
		}
	}
}
