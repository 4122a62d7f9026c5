package fleet_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/natstest"
)

// keptResults returns how many messages the stream of results has, by subject.
func keptResults(tb testing.TB, js jetstream.JetStream) map[string]uint64 {
	tb.Helper()
	s, err := js.Stream(tb.Context(), "RESONHOST_default_RESULTS")
	if err != nil {
		tb.Fatal(err)
	}
	info, err := s.Info(tb.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		tb.Fatal(err)
	}
	return info.State.Subjects
}

// TestFreed has many times as many answers as there is room for. Those that were read make room for others.
func TestFreed(t *testing.T) {
	urls := natstest.Start(t).URL()
	cfg := small(urls, "a")
	cfg.ResultBytes = 1 << 20
	f := open(t, cfg)
	w := work(t, f, hostile(t, time.Minute))
	s := submit(t, f, "")
	frames := f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(6400, 1000))
	send(t, s, frames...)
	echoed(t, frames, replies(t, s, len(frames)))
	empty(t, w)
	s.Close()
	_, js := jet(t, urls)
	if left := keptResults(t, js); len(left) > 0 {
		t.Errorf("%d answers are left", len(left))
	}
}

// TestKept has answers that are not deleted: those under a key, and those that were not read.
func TestKept(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	w := work(t, f, hostile(t, time.Minute))
	keyed, unread := submit(t, f, "key"), submit(t, f, "")
	frames := f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(640, 10))
	send(t, unread, frames...)
	echoed(t, frames, replies(t, keyed, send(t, keyed, frames...)))
	empty(t, w)
	if _, err := unread.Next(t.Context()); err != nil {
		t.Error(err)
	}
	keyed.Close()
	unread.Close()
	_, js := jet(t, urls)
	if left := keptResults(t, js); len(left) != 2*len(frames)-1 {
		t.Errorf("%d answers of %d frames are left", len(left), 2*len(frames))
	}
}

// TestLostRun has a frame that was begun by a host that died with a part of its answer published. That part goes.
func TestLostRun(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) { o.MaxPayload = 64 << 10 })
	f := open(t, small(s.URL(), "a"))
	_, js := jet(t, s.URL())
	for _, subject := range []string{"key.0.lost.0", "key.0.lost.1", "key.1.lost.0"} {
		if _, err := js.Publish(t.Context(), "resonhost.default.piece."+subject, bytes.Repeat([]byte{'x'}, 100)); err != nil {
			t.Fatal(err)
		}
	}
	w := work(t, f, hostile(t, time.Minute))
	sub := submit(t, f, "key")
	tasks := slices.Repeat([]fleet.Task{{Input: []byte("!")}}, fleet.MaxTasks)
	replies(t, sub, send(t, sub, f.Client("", host.PriorityNormal).Frames("hostile.longmessage", tasks)...))
	empty(t, w)
	pieces := 0
	for subject := range keptResults(t, js) {
		if strings.Contains(subject, "piece.key.0.lost") {
			t.Errorf("%s is left", subject)
		}
		if strings.Contains(subject, ".piece.") {
			pieces++
		}
	}
	if pieces < 3 {
		t.Errorf("%d pieces are left: the answer's and another frame's must be", pieces)
	}
}

// TestFreedLost has a frame answered whose acknowledgement was lost. Its answer and those behind it are deleted all the same.
func TestFreedLost(t *testing.T) {
	nats := natstest.Start(t)
	work(t, open(t, small(nats.URL(), "a")), hostile(t, time.Minute))
	addr, lose := losing(t, strings.TrimPrefix(nats.URL(), "nats://"), "resonhost.default.task")
	f := open(t, small("nats://"+addr, "client"))
	s := submit(t, f, "")
	client := f.Client("", host.PriorityNormal)
	for gaveUp := false; !gaveUp; { // else it has heard of the second try before the answer
		ctx, cancel := context.WithCancel(t.Context())
		sent := make(chan error)
		lose()
		go func() {
			_, err := s.Send(ctx, client.Frames("hostile.echo", inputs(1, 10))[0])
			sent <- err
		}()
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancel()
		gaveUp = <-sent != nil
	}
	for range send(t, s, client.Frames("hostile.echo", inputs(640, 10))...) {
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, js := jet(t, nats.URL())
	eventually(t, "answers that are deleted", func() bool { return len(keptResults(t, js)) == 0 })
}
