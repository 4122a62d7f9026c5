package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func say(i int) event.Broadcast {
	return event.Broadcast{Topic: "t", Payload: json.RawMessage(fmt.Sprint(i))}
}

// drain takes n events, and returns the payloads of broadcasts.
func drain(t *testing.T, s *event.Subscription, n int) (got []string) {
	t.Helper()
	for range n {
		e, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(e.Body.(event.Broadcast).Payload))
	}
	return got
}

func TestASlowSubscriberLosesTheOldest(t *testing.T) {
	b := event.New(0)
	slow, fast := b.Subscribe(3), b.Subscribe(100)
	defer fast.Close()
	for i := range 10 {
		b.Publish(say(i))
	}
	if got := fmt.Sprint(drain(t, slow, 3)); got != "[7 8 9]" {
		t.Errorf("the slow one got %s, want the last three", got)
	}
	if got := len(drain(t, fast, 10)); got != 10 || fast.Dropped() != 0 {
		t.Errorf("the fast one got %d and lost %d", got, fast.Dropped())
	}
	if slow.Dropped() != 7 {
		t.Errorf("dropped %d, want 7", slow.Dropped())
	}
	slow.Close()
	slow.Close()
	if _, err := slow.Next(t.Context()); !errors.Is(err, event.ErrClosed) {
		t.Errorf("err %v, want ErrClosed", err)
	}
	if s := b.Stats(); s != (event.Stats{Published: 10, Dropped: 7, Subscribers: 1}) {
		t.Errorf("stats %+v", s)
	}
}

func TestAClosedSubscriptionGivesWhatItHolds(t *testing.T) {
	b := event.New(0)
	s := b.Subscribe(0)
	b.Publish(say(1))
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Publish(say(2))
	drain(t, s, 1)
	if _, err := s.Next(t.Context()); !errors.Is(err, event.ErrClosed) {
		t.Errorf("err %v, want ErrClosed", err)
	}
	if got := b.Stats().Late; got != 1 {
		t.Errorf("%d late, want 1", got)
	}
	if _, err := b.Subscribe(0).Next(t.Context()); !errors.Is(err, event.ErrClosed) {
		t.Errorf("subscribed to a closed bus: err %v", err)
	}
	b.Handle(0, func(context.Context, event.Event) { t.Error("handled") })
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestKinds(t *testing.T) {
	b := event.New(2)
	b.Publish(event.TaskCompleted{Transform: "nobody asked"})
	s := b.Subscribe(0, event.KindTaskCompleted, event.KindNodeCreated)
	b.Publish(say(0))
	b.Publish(event.NodeCreated{ID: "a"})
	b.Publish(event.TaskCompleted{Transform: "cascade"})
	b.Publish(event.NodesProgressed{})
	for _, want := range []event.Kind{event.KindNodeCreated, event.KindTaskCompleted} {
		e, err := s.Next(t.Context())
		if err != nil || e.Body.Kind() != want {
			t.Errorf("got %v, err %v, want %v", e, err, want)
		}
	}
	if b.Wants(event.KindNodesProgressed) || !b.Wants(event.KindTaskCompleted) || !b.Wants(event.KindBroadcast) {
		t.Error("wants what nobody subscribes to, or not what somebody does")
	}
	s.Close()
	if b.Wants(event.KindTaskCompleted) {
		t.Error("wants what nobody subscribes to any more")
	}
	b.Publish(say(2))
	history := b.History()
	if len(history) != 2 || history[0].Body.Kind() != event.KindNodeCreated || history[1].Seq != 4 {
		t.Errorf("history %v, want the last two that are kept", history)
	}
	if got := b.History(event.KindBroadcast); len(got) != 1 || got[0].Body.(event.Broadcast).Topic != "t" {
		t.Errorf("history of broadcasts %v", got)
	}
}

func TestNobodysBus(t *testing.T) {
	var b *event.Bus
	b.Publish(say(1))
	if b.Wants(event.KindBroadcast) || b.History() != nil || b.Stats() != (event.Stats{}) || b.Close(t.Context()) != nil {
		t.Error("a nil bus does something")
	}
	for _, s := range []*event.Subscription{b.Subscribe(0), b.Handle(0, func(context.Context, event.Event) { t.Error("handled") })} {
		if _, err := s.Next(t.Context()); !errors.Is(err, event.ErrClosed) || s.Dropped() != 0 {
			t.Errorf("err %v, want ErrClosed", err)
		}
		s.Close()
	}
}

type strange struct{ kind event.Kind }

func (s strange) Kind() event.Kind { return s.kind }

func TestNoEvents(t *testing.T) {
	b := event.New(0)
	s := b.Subscribe(0)
	none := b.Subscribe(0, 64, 63)
	b.Publish(nil)
	b.Publish(strange{64})
	b.Publish(strange{63})
	b.Publish(say(1))
	s.Close()
	none.Close()
	drain(t, s, 1)
	for _, s := range []*event.Subscription{s, none} {
		if e, err := s.Next(t.Context()); err == nil {
			t.Errorf("got %+v", e)
		}
	}
	if got := b.History(64); len(got) != 0 || b.Wants(64) || b.Stats().Published != 1 {
		t.Errorf("history %v, stats %+v", got, b.Stats())
	}
}

// TestBytesAreBounded has events that are large, and one that is too large.
func TestBytesAreBounded(t *testing.T) {
	b := event.New(0)
	s, tasks := b.Subscribe(0, event.KindBroadcast), b.Subscribe(0, event.KindTaskCompleted)
	large := make([]byte, event.MaxBytes/4)
	for range 10 {
		b.Publish(event.Broadcast{Payload: large})
		b.Publish(event.TaskCompleted{Output: large})
	}
	for _, s := range []*event.Subscription{s, tasks} {
		if s.Dropped() != 6 {
			t.Errorf("dropped %d, want all but four", s.Dropped())
		}
	}
	if got := len(b.History()); got != 4 {
		t.Errorf("a history of %d, want 4", got)
	}
	b.Publish(say(1))
	if s.Dropped() != 7 {
		t.Errorf("dropped %d, want 7", s.Dropped())
	}
	b.Publish(event.Broadcast{Payload: make([]byte, event.MaxBytes+1)})
	if s.Dropped() != 11 {
		t.Errorf("dropped %d, want all but the last", s.Dropped())
	}
	drain(t, s, 1)
	for i := range 3 {
		b.Publish(say(i))
	}
	s.Close()
	if got := fmt.Sprint(drain(t, s, 3)); got != "[0 1 2]" {
		t.Errorf("got %s, want what came after", got)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	s := event.New(0).Subscribe(0)
	defer s.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := s.Next(ctx); !errors.Is(err, cause) {
		t.Errorf("err %v, want the cause", err)
	}
}

func TestHandlersEndWithTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := event.New(0)
		var got []uint64
		b.Handle(0, func(_ context.Context, e event.Event) {
			time.Sleep(time.Second)
			got = append(got, e.Seq)
		})
		for i := range 3 {
			b.Publish(say(i))
		}
		if err := b.Close(t.Context()); err != nil || fmt.Sprint(got) != "[1 2 3]" {
			t.Errorf("err %v, handled %v, want all three", err, got)
		}
	})
}

func TestHandlersAreInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := event.New(0)
		handled := 0
		b.Handle(0, func(ctx context.Context, _ event.Event) {
			handled++
			<-ctx.Done()
		})
		for i := range 3 {
			b.Publish(say(i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || handled != 1 {
			t.Errorf("err %v, handled %d", err, handled)
		}
		if got := b.Stats().Dropped; got != 2 {
			t.Errorf("dropped %d, want the two that were not handled", got)
		}
	})
}

// TestHammer has publishers, readers that share a subscription, and subscriptions that
// come and go.
func TestHammer(t *testing.T) {
	const publishers, each = 8, 2000
	b := event.New(16)
	shared := b.Subscribe(publishers * each)
	var readers, others sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[uint64]int)
	for range 4 {
		readers.Go(func() {
			for {
				e, err := shared.Next(context.Background())
				if err != nil {
					return
				}
				mu.Lock()
				seen[e.Seq]++
				mu.Unlock()
			}
		})
	}
	for p := range publishers {
		others.Go(func() {
			for i := range each {
				b.Publish(say(p*each + i))
				if i%100 == 0 {
					s := b.Subscribe(4, event.KindBroadcast)
					b.Publish(say(i))
					s.Close()
				}
			}
		})
	}
	others.Wait()
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	readers.Wait()
	total := int(b.Stats().Published)
	if total != publishers*(each+each/100) {
		t.Errorf("published %d", total)
	}
	if len(seen)+int(shared.Dropped()) != total {
		t.Errorf("%d seen and %d dropped of %d", len(seen), shared.Dropped(), total)
	}
	for seq, n := range seen {
		if n != 1 {
			t.Fatalf("event %d came %d times", seq, n)
		}
	}
}

func ExampleBus() {
	bus := event.New(0)
	news := bus.Subscribe(16, event.KindBroadcast)
	bus.Publish(event.Broadcast{Topic: "greeting", Payload: json.RawMessage(`"hello"`)})
	e, err := news.Next(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Seq, e.Body.(event.Broadcast).Topic)
	news.Close()
	// Output: 1 greeting
}

func TestJSON(t *testing.T) {
	e := event.Event{Seq: 7, Time: time.Unix(0, 0).UTC(), Body: event.NodeChanged{ID: "a", Change: event.NodeStopped}}
	got, err := json.Marshal(e)
	want := `{"seq":7,"time":"1970-01-01T00:00:00Z","kind":"node.changed","body":{"id":"a","change":"stopped"}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, err %v, want %s", got, err, want)
	}
	got, err = json.Marshal(event.Event{})
	want = `{"seq":0,"time":"0001-01-01T00:00:00Z","kind":"unknown","body":null}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, err %v, want %s", got, err, want)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{0, 1, 8} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			bus := event.New(0)
			for range subscribers {
				b.Cleanup(bus.Subscribe(0).Close)
			}
			var body event.Body = event.NodeChanged{ID: "a", Change: event.NodeStopped}
			b.ReportAllocs()
			for b.Loop() {
				bus.Publish(body)
			}
		})
	}
}

func names(kinds []event.Kind) string {
	list := []string{}
	for _, k := range kinds {
		list = append(list, k.String())
	}
	return fmt.Sprint(list)
}

// TestResume has subscriptions that begin where others ended: with what is kept, and told what is not.
func TestResume(t *testing.T) {
	b := event.New(3)
	for i := range 5 {
		b.Publish(say(i))
	}
	b.Publish(event.NodeCreated{ID: "a"}) // the history has 3, 4 and this
	all := []event.Kind{event.KindBroadcast, event.KindNodeCreated}
	for _, c := range []struct {
		sel  event.Selection
		seqs []uint64
		lost string
	}{
		{event.Selection{Kinds: all, Resume: true, After: 4}, []uint64{5, 6}, "[]"},
		{event.Selection{Kinds: all, Resume: true, After: 3}, []uint64{4, 5, 6}, "[]"},
		{event.Selection{Kinds: all, Resume: true, After: 2}, []uint64{4, 5, 6}, "[broadcast]"},
		{event.Selection{Kinds: all[1:], Resume: true}, []uint64{6}, "[]"},
		{event.Selection{Kinds: all, Resume: true, After: 6}, nil, "[]"},
		{event.Selection{Kinds: all, Resume: true, After: 7}, nil, "[node.created broadcast]"},
		{event.Selection{Resume: true, After: 6}, nil, "[nodes.progressed tick.completed task.completed state.saved]"},
		{event.Selection{Kinds: all}, nil, "[]"},
		{event.Selection{Kinds: all, Resume: true, Match: func(b event.Body) event.Body {
			if _, ok := b.(event.NodeCreated); ok {
				return b
			}
			return nil
		}}, []uint64{6}, "[broadcast]"},
	} {
		s, lost := b.Select(c.sel)
		var got []uint64
		s.Close()
		for {
			e, missed, err := s.Take()
			if err != nil {
				break
			}
			if missed != 0 {
				t.Errorf("%+v: missed %d before %d", c.sel, missed, e.Seq)
			}
			got = append(got, e.Seq)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.seqs) || names(lost) != c.lost {
			t.Errorf("%+v: got %v, lost %v; want %v, lost %s", c.sel, got, lost, c.seqs, c.lost)
		}
	}
	if s, lost := event.New(-1).Select(event.Selection{Resume: true}); len(lost) != 5 {
		s.Close()
		t.Errorf("a new bus has lost %v", lost)
	}
	none := event.New(-1)
	none.Publish(say(0))
	if s, lost := none.Select(event.Selection{Kinds: all, Resume: true}); names(lost) != "[broadcast]" {
		s.Close()
		t.Errorf("a bus without a history has lost %v", lost)
	}
}

// TestTake tells of what was dropped, where it was.
func TestTake(t *testing.T) {
	b := event.New(-1)
	s, _ := b.Select(event.Selection{Buffer: 3, Bytes: 1 << 10, Match: func(body event.Body) event.Body {
		said := body.(event.Broadcast)
		said.Topic = "seen"
		return said
	}})
	defer s.Close()
	for i := range 5 {
		b.Publish(say(i))
	}
	want := func(payload string, missed uint64) {
		t.Helper()
		select {
		case <-s.Ready():
		case <-t.Context().Done():
		}
		e, n, err := s.Take()
		if err != nil || e.Body == nil {
			t.Fatalf("got %+v, err %v", e, err)
		}
		if body := e.Body.(event.Broadcast); string(body.Payload) != payload || body.Topic != "seen" || n != missed {
			t.Errorf("got %s of %s after %d missed, want %s after %d", body.Payload, body.Topic, n, payload, missed)
		}
	}
	want("2", 2)
	want("3", 0)
	large := json.RawMessage(fmt.Sprintf("%1000d", 7))
	b.Publish(event.Broadcast{Payload: large})
	b.Publish(event.Broadcast{Payload: large}) // more bytes than it holds
	want(string(large), 2)
	if e, n, err := s.Take(); e.Body != nil || n != 0 || err != nil || s.Dropped() != 4 {
		t.Errorf("took %+v after %d missed, err %v, dropped %d; want nothing, and 4 dropped", e, n, err, s.Dropped())
	}
}
