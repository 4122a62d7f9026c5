package fleet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
)

// nextLink is what the transform chain makes of a state and an input.
func nextLink(link, input []byte) []byte {
	sum := sha256.Sum256(append(append([]byte(nil), link...), input...))
	return sum[:]
}

// chain starts a host whose transform keeps in the state of a stream what depends on all of its inputs, and answers that. It
// answers an error, and an input that has it keep a state that is too large for a message.
func chain(tb testing.TB, format int, reads string) *host.Host {
	tb.Helper()
	manifest := fmt.Sprintf(`{"name": "chain", "version": "%d", "transforms": [{"name": "chain", "input": "text/plain", "output": "application/octet-stream",
		"state_bytes": 1048576, "state_version": %[1]d, "state_reads": [%s]}]}`, format, reads)
	return hosted.Start(tb, host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(manifest, func(t *guest.Task) error {
		switch string(t.Input) {
		case "fail":
			return errors.New("it was told to")
		case "large":
			t.NextState = make([]byte, 1<<20)
			return nil
		}
		t.NextState = nextLink(t.State, t.Input)
		t.Output = append(t.Output, t.NextState...)
		return nil
	})}})
}

// TestStates has frames of streams done by three hosts, of which two die and come again while they have some. Each answer is what one host
// would have given that did all tasks in order.
func TestStates(t *testing.T) {
	urls := natstest.Start(t).URL()
	cfg := small(urls, "a")
	cfg.MaxDeliver = fleet.MaxDeliverMost
	fa := open(t, cfg)
	s := submit(t, fa, "key")
	const tasks, streams = 2000, 40
	list := make([]fleet.Task, tasks)
	for i := range list {
		list[i] = fleet.Task{Stream: fmt.Sprint("stream ", i%streams), Input: fmt.Append(nil, i)}
		if i%streams == 7 {
			list[i].Input = []byte("fail")
		}
	}
	var frames []*fleet.Frame
	client := fa.Client("ann", host.PriorityNormal)
	for from := 0; from < tasks; from += 100 { // so that a partition has many
		for _, f := range client.Frames("chain", list[from:from+100]) {
			for i := range f.At {
				f.At[i] += from
			}
			frames = append(frames, f)
		}
	}
	a := work(t, fa, chain(t, 0, ""))
	dead, kill := context.WithCancel(t.Context())
	kill()
	sent := 0
	for round, name := range []string{"b", "c", "b", "c"} {
		a.SetDraining(round%2 == 0) // so that the other has some for certain
		w := open(t, small(urls, name)).NewWorker(chain(t, 0, ""), fleet.WorkerOptions{})
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent += send(t, s, frames[sent:sent+len(frames)/5]...)
		eventually(t, "frames of a host that dies", func() bool { return round%2 == 1 || w.Stats().Taken > 3 })
		_ = w.Close(dead)
	}
	a.SetDraining(false)
	answers := replies(t, s, sent+send(t, s, frames[sent:]...))
	got := make([]fleet.Outcome, tasks)
	for n, f := range frames {
		for i, at := range f.At {
			got[at] = answers[n].Outcomes[i]
		}
	}
	links := make(map[string][]byte)
	for i := range list {
		stream, input := list[i].Stream, list[i].Input
		if string(input) == "fail" {
			if got[i].Failure == nil {
				t.Errorf("task %d has no error", i)
			}
			continue
		}
		if links[stream] = nextLink(links[stream], input); !bytes.Equal(got[i].Output, links[stream]) {
			t.Fatalf("task %d of %s: %x, failure %+v; want %x", i, stream, got[i].Output, got[i].Failure, links[stream])
		}
	}
}

// TestStatesOfOthers has states that a host cannot go on from: those of another format go to a host that reads them, and one that is too large fails
// its own stream alone.
func TestStatesOfOthers(t *testing.T) {
	urls := natstest.Start(t).URL()
	cfg := small(urls, "old")
	cfg.MaxDeliver = 3
	fold := open(t, cfg)
	older := work(t, fold, chain(t, 1, ""))
	s := submit(t, fold, "")
	client := fold.Client("ann", host.PriorityNormal)
	task := func(stream, input string) fleet.Task { return fleet.Task{Stream: stream, Input: []byte(input)} }
	do := func(tasks ...fleet.Task) (outcomes []fleet.Outcome) {
		t.Helper()
		for _, f := range client.Frames("chain", tasks) {
			send(t, s, f)
			r, err := s.Next(t.Context())
			if err == nil {
				err = r.Err
			}
			if err != nil {
				t.Fatal(err)
			}
			outcomes = append(outcomes, r.Answer.Outcomes...)
		}
		return outcomes
	}
	want := func(o fleet.Outcome, link []byte) {
		t.Helper()
		if o.Failure != nil || !bytes.Equal(o.Output, link) {
			t.Errorf("%x, failure %+v; want %x", o.Output, o.Failure, link)
		}
	}
	first := nextLink(nil, []byte("1"))
	want(do(task("s", "1"))[0], first)
	large := do(task("s", "large"), task("s", "2"))
	if large[0].Failure != nil || large[1].Failure != nil { // the last state is what counts
		t.Errorf("%+v", large)
	}
	if o := do(task("s", "large"))[0]; o.Failure == nil || o.Failure.Kind != host.KindHost {
		t.Errorf("a state that is too large: %+v", o)
	}
	link := nextLink(make([]byte, 1<<20), []byte("2"))
	link = nextLink(link, []byte("3"))
	want(do(task("s", "3"))[0], link)

	older.SetDraining(true)
	f := open(t, small(urls, "new"))
	newer := f.NewWorker(chain(t, 2, ""), fleet.WorkerOptions{})
	if err := newer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := do(task("s", "4"))[0]
	if o.Failure == nil || o.Failure.Kind != host.KindStateUnreadable {
		t.Errorf("a version that does not read the state: %+v", o)
	}
	if err := newer.Close(t.Context()); err != nil {
		t.Error(err)
	}
	work(t, open(t, small(urls, "both")), chain(t, 2, "1"))
	want(do(task("s", "4"))[0], nextLink(link, []byte("4")))
	empty(t, older)
}

// TestHostThatWasStopped has a host go on with a frame that another has done meanwhile: neither its answer nor its state counts.
func TestHostThatWasStopped(t *testing.T) {
	urls := natstest.Start(t).URL()
	fa, fb := open(t, small(urls, "a")), open(t, small(urls, "b"))
	began, let := make(chan struct{}, 9), make(chan struct{})
	stopping := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(
		`{"name": "chain", "version": "0", "transforms": [{"name": "chain", "input": "text/plain", "output": "application/octet-stream", "state_bytes": 64}]}`,
		func(t *guest.Task) error {
			began <- struct{}{}
			<-let
			t.NextState, t.Output = []byte("of a host that was stopped"), append(t.Output, "stopped"...)
			return nil
		})}})
	a := work(t, fa, stopping)
	release := sync.OnceFunc(func() { close(let) })
	t.Cleanup(release)
	s := submit(t, fb, "")
	client := fb.Client("ann", host.PriorityNormal)
	send(t, s, client.Frames("chain", []fleet.Task{{Stream: "s", Input: []byte("1")}})...)
	<-began
	a.Freeze() // as a process that was stopped gives no sign of life
	work(t, fb, chain(t, 0, ""))
	link := nextLink(nil, []byte("1"))
	next := func(link []byte) {
		t.Helper()
		r, err := s.Next(t.Context())
		if err != nil || !bytes.Equal(r.Answer.Outcomes[0].Output, link) || r.Answer.Host != "b" {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	next(link)
	release()
	eventually(t, "the host that was stopped to find the frame done", func() bool { return a.Stats().Duplicates == 1 })
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	send(t, s, client.Frames("chain", []fleet.Task{{Stream: "s", Input: []byte("2")}})...)
	next(nextLink(link, []byte("2")))
}

// TestCallOfAStream has a call with a stream, which no client sends: the host's own states are not the fleet's.
func TestCallOfAStream(t *testing.T) {
	urls := natstest.Start(t).URL()
	work(t, open(t, small(urls, "a")), chain(t, 0, ""))
	nc, _ := jet(t, urls)
	data := stored(t, &fleet.Frame{Transform: "chain", Tasks: []fleet.Task{{Stream: "s", Input: []byte("1")}}})
	reply, err := nc.RequestWithContext(t.Context(), "resonhost.default.call", data)
	if err != nil {
		t.Fatal(err)
	}
	a, err := fleet.ParseAnswer(reply.Data)
	if err != nil || a.Outcomes[0].Failure == nil || a.Outcomes[0].Failure.Kind != host.KindInvalidArgument {
		t.Errorf("%+v, %v", a, err)
	}
}
