package fleet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/natstest"
)

// keyedTasks are n tasks of a number of streams, in turn.
func keyedTasks(n, streams int) []fleet.Task {
	tasks := inputs(n, 10)
	for i := range tasks {
		tasks[i].Stream = fmt.Sprintf("stream %d", i%streams)
	}
	return tasks
}

// TestFramesOfStreams makes frames of tasks of many streams: tasks of a stream are in frames of one partition, in their order.
func TestFramesOfStreams(t *testing.T) {
	f := open(t, small(natstest.Start(t).URL(), "a"))
	tasks := append(keyedTasks(3000, 50), inputs(100, 10)...)
	last, found := make(map[string]int), 0
	for _, frame := range f.Client("ann", host.PriorityNormal).Frames("hostile.echo", tasks) {
		for i, task := range frame.Tasks {
			at := frame.At[i]
			if !bytes.Equal(tasks[at].Input, task.Input) || task.Stream != "" && last[task.Stream] > at {
				t.Fatalf("task %d is out of order", at)
			}
			last[task.Stream] = at
			found++
		}
	}
	if found != len(tasks) {
		t.Errorf("%d of %d tasks", found, len(tasks))
	}
	s := submit(t, f, "")
	_, err := s.Send(t.Context(), &fleet.Frame{Transform: "hostile.echo", Tasks: keyedTasks(50, 50)})
	if e := (*abi.FieldError)(nil); !errors.As(err, &e) {
		t.Errorf("a frame of several partitions: error %v", err)
	}
}

// TestOrder has frames of few streams done by two hosts, of which one dies and comes again a few times. The answers of each stream come in the order of
// their frames.
func TestOrder(t *testing.T) {
	urls := natstest.Start(t).URL()
	cfg := small(urls, "a")
	cfg.MaxDeliver = fleet.MaxDeliverMost
	fa, fb := open(t, cfg), open(t, small(urls, "b"))
	a := work(t, fa, hostile(t, time.Minute))
	a.SetDraining(true)
	s := submit(t, fa, "key")
	client := fa.Client("", host.PriorityNormal)
	var streams []string // of frames
	for i := range 300 {
		stream := fmt.Sprintf("stream %d", i%5)
		streams = append(streams, stream)
		send(t, s, client.Frames("hostile.echo", []fleet.Task{{Stream: stream, Input: fmt.Append(nil, i)}})...)
	}
	h := hostile(t, time.Minute)
	dead, kill := context.WithCancel(t.Context())
	kill()
	for round := range 4 {
		b := fb.NewWorker(h, fleet.WorkerOptions{})
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "frames of a host that dies", func() bool { return b.Stats().Taken > 5 })
		_ = b.Close(dead)
		a.SetDraining(round%2 == 1) // it has some, too
	}
	a.SetDraining(false)
	last := make(map[string]uint64)
	for range streams {
		r, err := s.Next(t.Context())
		if err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
		if out := string(r.Answer.Outcomes[0].Output); out != fmt.Sprint(r.Number) {
			t.Errorf("frame %d: %q, %v", r.Number, out, r.Answer.Outcomes[0].Failure)
		}
		if stream := streams[r.Number]; last[stream] > r.Number {
			t.Errorf("frame %d came after %d of the same stream", r.Number, last[stream])
		} else {
			last[stream] = r.Number
		}
	}
	empty(t, a)
}

// TestOrderUndoable has a frame that no host can do before one of the same partition. It soon is a dead letter, and makes way.
func TestOrderUndoable(t *testing.T) {
	f := open(t, small(natstest.Start(t).URL(), "a"))
	w := work(t, f, hostile(t, time.Minute))
	s := submit(t, f, "")
	client := f.Client("", host.PriorityNormal)
	behind := client.Frames("hostile.echo", keyedTasks(1000, 1000)) // of all partitions
	begun := time.Now()
	send(t, s, client.Frames("hostile.absent", keyedTasks(1, 1))...)
	list := replies(t, s, 1+send(t, s, behind...))
	if failure := list[0].Outcomes[0].Failure; failure == nil || failure.Kind != host.KindUnknownTransform {
		t.Errorf("%+v", failure)
	}
	if waited := time.Since(begun); waited > 15*time.Second { // where a frame without streams waits 21 s
		t.Errorf("frames behind it waited %v", waited)
	}
	empty(t, w)
}
