package fleet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
)

// hostile starts a host with a guest that echoes, and does something else at an input that begins with '!'.
func hostile(tb testing.TB, timeout time.Duration) *host.Host {
	tb.Helper()
	return hosted.Start(tb, host.Config{
		Plugins:  []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(tb, "hostile")}},
		Defaults: host.PluginConfig{RunTimeout: timeout, BreakAfter: -1}, Workers: 2,
	})
}

// work starts a worker of a host, which is closed when the test has ended.
func work(tb testing.TB, f *fleet.Fleet, h *host.Host) *fleet.Worker {
	tb.Helper()
	w := f.NewWorker(h, fleet.WorkerOptions{})
	tb.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	if err := w.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return w
}

// small is a fleet whose hosts count as dead soon.
func small(urls, name string) fleet.Config {
	return fleet.Config{URLs: urls, Name: name, AckWait: time.Second, TaskBytes: 64 << 20, ResultBytes: 64 << 20}
}

// eventually waits until something holds. The bound is for what never will, also on a machine with much else to do.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Minute); !holds(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// submit begins a submission, which is closed when the test has ended.
func submit(tb testing.TB, f *fleet.Fleet, key string) *fleet.Submission {
	tb.Helper()
	s, err := f.Client("ann", host.PriorityNormal).Submit(tb.Context(), key, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// inputs are n different ones of about size bytes.
func inputs(n, size int) []fleet.Task {
	tasks := make([]fleet.Task, n)
	for i := range tasks {
		tasks[i].Input = append(fmt.Appendf(nil, "%07d ", i), bytes.Repeat([]byte{'x'}, size)...)
	}
	return tasks
}

// send sends frames, and returns their number.
func send(tb testing.TB, s *fleet.Submission, frames ...*fleet.Frame) int {
	tb.Helper()
	for _, f := range frames {
		if _, err := s.Send(tb.Context(), f); err != nil {
			tb.Fatal(err)
		}
	}
	return len(frames)
}

// replies reads n answers, and returns them in the order of their frames. None may come twice.
func replies(tb testing.TB, s *fleet.Submission, n int) []*fleet.Answer {
	tb.Helper()
	list := make([]*fleet.Answer, n)
	for range n {
		r, err := s.Next(tb.Context())
		if err == nil {
			err = r.Err
		}
		if err != nil {
			tb.Fatal(err)
		}
		if list[r.Number] != nil {
			tb.Fatalf("frame %d is answered twice", r.Number)
		}
		list[r.Number] = r.Answer
	}
	return list
}

// echoed fails a test unless answers have the inputs of frames.
func echoed(tb testing.TB, frames []*fleet.Frame, answers []*fleet.Answer) {
	tb.Helper()
	for i, f := range frames {
		for j, task := range f.Tasks {
			if o := answers[i].Outcomes[j]; o.Failure != nil || !bytes.Equal(o.Output, task.Input) {
				tb.Fatalf("task %d of frame %d: %.40q, failure %+v", j, i, o.Output, o.Failure)
			}
		}
	}
}

// empty waits until no frame is left.
func empty(tb testing.TB, w *fleet.Worker) {
	tb.Helper()
	eventually(tb, "an empty queue", func() bool {
		q, err := w.Queue(tb.Context())
		return err == nil && q.Waiting == 0 && q.UnderWay == 0 && q.Bytes == 0
	})
}

// TestTwoHosts has two hosts do many frames: each task is answered once, as one host would.
func TestTwoHosts(t *testing.T) {
	urls := natstest.Start(t).URL()
	fa, fb := open(t, small(urls, "a")), open(t, small(urls, "b"))
	s := submit(t, fa, "")
	client := fa.Client("ann", host.PriorityNormal)
	frames := client.Frames("hostile.echo", inputs(1000, 200))
	frames = append(frames, client.Frames("hostile.trap", []fleet.Task{{Input: []byte("good")}, {Input: []byte("!")}})...)
	n := send(t, s, frames...)
	a, b := work(t, fa, hostile(t, time.Minute)), work(t, fb, hostile(t, time.Minute))
	answers := replies(t, s, n)
	echoed(t, frames[:n-1], answers)
	last := answers[n-1].Outcomes
	if string(last[0].Output) != "good" || last[1].Failure == nil || last[1].Failure.Kind != host.KindTrap || last[1].Failure.Plugin != "hostile" {
		t.Errorf("a trap among others: %+v", last)
	}
	empty(t, a)
	sa, sb := a.Stats(), b.Stats()
	if sa.Answered+sb.Answered != uint64(n) || sa.Taken+sb.Taken != uint64(n) || sa.Redelivered+sb.Redelivered+sa.Duplicates+sb.Duplicates != 0 {
		t.Errorf("%d frames, host a %+v, host b %+v", n, sa, sb)
	}
}

// TestHostDies has a host die with frames in its hands. Another does them, and each is answered once.
func TestHostDies(t *testing.T) {
	urls := natstest.Start(t).URL()
	fa, fb := open(t, small(urls, "a")), open(t, small(urls, "b"))
	dying := fa.NewWorker(hostile(t, time.Hour), fleet.WorkerOptions{})
	if err := dying.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := submit(t, fb, "")
	n := send(t, s, fb.Client("", host.PriorityNormal).Frames("hostile.spin", []fleet.Task{{Input: []byte("!")}})...)
	eventually(t, "a frame under way", func() bool { return dying.Stats().UnderWay == 1 })
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	if err := dying.Close(dead); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := dying.Stats(); got.Answered+got.Failed != 0 {
		t.Errorf("a host that died: %+v", got)
	}
	w := work(t, fb, hostile(t, 50*time.Millisecond))
	answers := replies(t, s, n)
	if a := answers[0]; a.Host != "b" || a.Outcomes[0].Failure == nil || a.Outcomes[0].Failure.Kind != host.KindTimeout {
		t.Errorf("%+v", a)
	}
	empty(t, w)
	if got := w.Stats(); got.Redelivered != 1 || got.Answered != 1 {
		t.Errorf("%+v", got)
	}
}

// TestSlowHost has a frame take several times as long as a host has to show a sign of life. It is not given to another.
func TestSlowHost(t *testing.T) {
	urls := natstest.Start(t).URL()
	fa, fb := open(t, small(urls, "a")), open(t, small(urls, "b"))
	a := work(t, fa, hostile(t, 2500*time.Millisecond))
	s := submit(t, fa, "")
	n := send(t, s, fa.Client("", host.PriorityNormal).Frames("hostile.spin", []fleet.Task{{Input: []byte("!")}})...)
	eventually(t, "a frame under way", func() bool { return a.Stats().UnderWay == 1 })
	b := work(t, fb, hostile(t, time.Minute))
	replies(t, s, n)
	empty(t, a)
	if sa, sb := a.Stats(), b.Stats(); sa.Answered != 1 || sa.Progress < 5 || sb.Taken != 0 {
		t.Errorf("host a %+v, host b %+v", sa, sb)
	}
}

// TestDuplicates submits the same frames under the same key: at once, after the server has forgotten their IDs, and by hand.
func TestDuplicates(t *testing.T) {
	one := natstest.Start(t)
	f := open(t, small(one.URL(), "a"))
	frames := f.Client("ann", host.PriorityNormal).Frames("hostile.echo", inputs(100, 10))
	first, second := submit(t, f, "key"), submit(t, f, "key")
	n := send(t, first, frames...)
	send(t, second, frames...)
	w := work(t, f, hostile(t, time.Minute))
	echoed(t, frames, replies(t, first, n))
	echoed(t, frames, replies(t, second, n))
	echoed(t, frames, func() []*fleet.Answer {
		later := submit(t, f, "key")
		send(t, later, frames...)
		return replies(t, later, n)
	}())
	empty(t, w) // a frame is counted once its answer is stored, which who waits for it may read before
	if got := w.Stats(); got.Taken != uint64(n) || got.Answered != uint64(n) {
		t.Errorf("%d frames: %+v", n, got)
	}
	one.Stop()
	one.Restart() // after which it takes a frame again that was done
	_, js := jet(t, one.URL())
	data, err := frames[0].Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	msg := nats.NewMsg("resonhost.default.task.any")
	msg.Data = data
	msg.Header.Set("Resonhost-Again", "1")
	ack, err := js.PublishMsg(t.Context(), msg, jetstream.WithMsgID("key.0"))
	if err != nil || ack.Duplicate {
		t.Fatalf("%+v, error %v", ack, err)
	}
	eventually(t, "a duplicate", func() bool { return w.Stats().Duplicates == 1 })
	empty(t, w)
	other := submit(t, f, "key")
	send(t, other, f.Client("ann", host.PriorityNormal).Frames("hostile.echo", inputs(1, 20))...)
	if r, err := other.Next(t.Context()); err != nil || !errors.Is(r.Err, fleet.ErrKeyReused) {
		t.Errorf("%+v, error %v", r, err)
	}
}

// TestLate submits a frame whose deadline is over. It is answered, and none of its tasks runs.
func TestLate(t *testing.T) {
	f := open(t, small(natstest.Start(t).URL(), "a"))
	h := hostile(t, time.Minute)
	w := work(t, f, h)
	s := submit(t, f, "")
	frames := f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(3, 10))
	frames[0].Deadline = time.Now().Add(-time.Millisecond)
	for _, o := range replies(t, s, send(t, s, frames...))[0].Outcomes {
		r := o.Result()
		if host.KindOf(r.Err) != host.KindTimeout || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("%+v", r)
		}
	}
	if got := w.Stats(); got.Expired != 1 {
		t.Errorf("%+v", got)
	}
	for _, p := range h.Stats().Plugins {
		for _, tr := range p.Transforms {
			if tr.OK > 0 {
				t.Errorf("%s has run", tr.Name)
			}
		}
	}
}

// TestElsewhere submits a frame that no host can do. It goes from one to the next. The last answers it, and it is a dead letter.
func TestElsewhere(t *testing.T) {
	urls := natstest.Start(t).URL()
	cfg := small(urls, "a")
	cfg.MaxDeliver = 3
	f := open(t, cfg)
	w := work(t, f, hostile(t, time.Minute))
	s := submit(t, f, "")
	answers := replies(t, s, send(t, s, f.Client("", host.PriorityNormal).Frames("frob", inputs(1, 10))...))
	if r := answers[0].Outcomes[0].Result(); !errors.Is(r.Err, host.ErrUnknownTransform) {
		t.Errorf("%v", r.Err)
	}
	empty(t, w)
	if got := w.Stats(); got.Taken != 3 || got.Redelivered != 2 || got.Failed != 2 || got.Answered != 1 || got.Dead != 1 {
		t.Errorf("%+v", got)
	}
	if h := deadLetters(t, urls, 1)[0].Headers(); h.Get(fleet.HeaderDeliveries) != "3" || len(h.Values(fleet.HeaderHistory)) != 2 {
		t.Errorf("%v", h)
	}
}

// TestMemoryFull has a host whose memory budget has no room for a task leave it to another. If there is none, its client learns that memory was short.
func TestMemoryFull(t *testing.T) {
	urls := natstest.Start(t).URL()
	cfg := small(urls, "a")
	cfg.MaxDeliver = 3
	f := open(t, cfg)
	h := hosted.Start(t, host.Config{
		Plugins:      []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}},
		MemoryBudget: 6 << 20, Workers: 1, // an instance has 4 MiB, and grows
		Defaults: host.PluginConfig{MemoryLimit: 64 << 20, RunTimeout: time.Minute},
	})
	w := work(t, f, h)
	s := submit(t, f, "")
	grow := []fleet.Task{{Input: []byte("!")}}
	answers := replies(t, s, send(t, s, f.Client("", host.PriorityNormal).Frames("hostile.grow", grow)...))
	if r := answers[0].Outcomes[0].Result(); host.KindOf(r.Err) != host.KindMemoryFull || !errors.Is(r.Err, host.ErrMemoryBudget) {
		t.Errorf("submitted: %v", r.Err)
	}
	empty(t, w)
	if got := w.Stats(); got.Taken != 3 || got.Redelivered != 2 || got.Dead != 1 {
		t.Errorf("%+v", got)
	}
	if _, err := f.Client("", host.PriorityNormal).Run(t.Context(), "hostile.grow", grow[0].Input); host.KindOf(err) != host.KindMemoryFull || !errors.Is(err, host.ErrMemoryBudget) {
		t.Errorf("called: %v", err)
	}
}

// TestLateHost has a host that can do a frame come 5 s after one that cannot. The frame is done.
func TestLateHost(t *testing.T) {
	urls := natstest.Start(t).URL()
	cfg := small(urls, "a")
	cfg.MaxDeliver = fleet.DefaultMaxDeliver
	fa := open(t, cfg)
	w := work(t, fa, hosted.Start(t, host.Config{Plugins: []host.Source{{Name: "upper", WASM: guesttest.HandWritten(t, "upper")}}, Workers: 1}))
	s := submit(t, fa, "")
	frames := fa.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(1, 10))
	n := send(t, s, frames...)
	eventually(t, "a frame that is left three times", func() bool { return w.Stats().Failed == 3 })
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	work(t, open(t, small(urls, "b")), hostile(t, time.Minute))
	echoed(t, frames, replies(t, s, n))
}

// TestFull submits more than the fleet has room for. The client is told, and goes on once there is room.
func TestFull(t *testing.T) {
	cfg := small(natstest.Start(t).URL(), "a")
	cfg.TaskBytes = 64 << 10
	f := open(t, cfg)
	s := submit(t, f, "")
	frames := f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(640, 200))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	sent := 0
	var err error
	for err == nil {
		if _, err = s.Send(ctx, frames[sent]); err == nil {
			sent++
		}
	}
	if !errors.Is(err, fleet.ErrFull) || sent == 0 || sent > 5 {
		t.Fatalf("%d frames, error %v", sent, err)
	}
	work(t, f, hostile(t, time.Minute))
	for range sent {
		if r, err := s.Next(t.Context()); err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	s = submit(t, f, "")
	echoed(t, frames, replies(t, s, send(t, s, frames...)))
}

// logged is what was logged.
type logged struct {
	mu    sync.Mutex
	lines []byte // guarded by mu
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, b...)
	return len(b), nil
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.lines, []byte(text))
}

// TestPieces has answers that are larger than a message.
func TestPieces(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) { o.MaxPayload = 64 << 10 })
	f := open(t, small(s.URL(), "a"))
	work(t, f, hostile(t, time.Minute))
	sub := submit(t, f, "key")
	tasks := slices.Repeat([]fleet.Task{{Input: []byte("!")}}, fleet.MaxTasks)
	frames := f.Client("", host.PriorityNormal).Frames("hostile.longmessage", tasks)
	for _, sub := range []*fleet.Submission{sub, submit(t, f, "key")} {
		size := 0
		for _, o := range replies(t, sub, send(t, sub, frames...))[0].Outcomes {
			size += len(o.Failure.Message)
		}
		if size <= 2*f.MaxMessage() {
			t.Errorf("all answers have %d bytes", size)
		}
	}
	if _, err := sub.Send(t.Context(), f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(1, 64<<10))[0]); err == nil ||
		!strings.Contains(err.Error(), "a message of NATS has room for 61440 (max_payload)") {
		t.Errorf("a task that no message has room for: error %v", err)
	}
}

// TestCalls has a client call hosts.
func TestCalls(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	c := f.Client("ann", host.PriorityUrgent)
	if _, err := c.Run(t.Context(), "hostile.echo", nil); host.KindOf(err) != host.KindUnavailable || !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("without a host: error %v", err)
	}
	w := work(t, f, hostile(t, 500*time.Millisecond))
	if out, err := c.Run(t.Context(), "hostile.echo", []byte("a")); err != nil || string(out) != "a" {
		t.Errorf("%q, error %v", out, err)
	}
	batch := make([][]byte, 100)
	for i := range batch {
		batch[i] = fmt.Append(nil, i)
	}
	for i, r := range c.RunBatch(t.Context(), "hostile.echo", batch) {
		if r.Err != nil || !bytes.Equal(r.Output, batch[i]) {
			t.Errorf("%q, error %v", r.Output, r.Err)
		}
	}
	if _, err := c.Run(t.Context(), "frob", nil); !errors.Is(err, host.ErrUnknownTransform) {
		t.Errorf("an unknown transform: error %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Run(ctx, "hostile.spin", []byte("!")); host.KindOf(err) != host.KindTimeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a deadline: error %v", err)
	}
	ended := make(chan error, 20)
	for range cap(ended) {
		go func() {
			_, err := c.Run(t.Context(), "hostile.spin", []byte("!"))
			ended <- err
		}()
	}
	for range cap(ended) {
		if err := <-ended; host.KindOf(err) != host.KindTimeout {
			t.Errorf("error %v", err)
		}
	}
	if got := w.Stats(); got.Busy == 0 || got.Calls < 20 {
		t.Errorf("%+v", got)
	}
}
