package fleet_test

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/natstest"
)

// TestUnreadable has a host that cannot read frames, as one of another version. The reason is told for each task.
func TestUnreadable(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	nc, _ := jet(t, urls)
	answer := fleet.Answer{Host: "old", Outcomes: []fleet.Outcome{{Failure: &fleet.Failure{Kind: host.KindInvalidArgument, Message: "the frame is of version 2"}}}}
	var data atomic.Pointer[[]byte]
	reply := func() {
		b := answer.Append(nil)
		data.Store(&b)
	}
	reply()
	if _, err := nc.Subscribe("resonhost.default.call", func(m *nats.Msg) { _ = m.Respond(*data.Load()) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	c := f.Client("", host.PriorityNormal)
	for i, r := range c.RunBatch(t.Context(), "hostile.echo", make([][]byte, 3)) {
		if r.Err == nil || !strings.Contains(r.Err.Error(), "the frame is of version 2") {
			t.Errorf("task %d: error %v", i, r.Err)
		}
	}
	answer.Digest[0] = 1
	reply()
	if r := c.RunBatch(t.Context(), "hostile.echo", make([][]byte, 1)); !errors.Is(r[0].Err, fleet.ErrKeyReused) {
		t.Errorf("an answer to another frame: error %v", r[0].Err)
	}
}

// TestFailures has a failure tell of an error what the host that did the task would, to a caller on another machine.
func TestFailures(t *testing.T) {
	field := &abi.FieldError{Field: "a.b", Rule: "must be: a number"}
	whole := &host.Error{Kind: host.KindMemoryFull, Transform: "t", Plugin: "p", Version: "1", Hash: "ab", Message: "full", Err: host.ErrMemoryBudget}
	for name, c := range map[string]struct {
		err   error
		want  fleet.Failure
		cause error
	}{
		"host":  {whole, fleet.Failure{Kind: host.KindMemoryFull, Message: "full", Transform: "t", Plugin: "p", Version: "1", Hash: "ab"}, host.ErrMemoryBudget},
		"field": {field, fleet.Failure{Kind: host.KindInvalidArgument, Message: "a.b: must be: a number", Field: "a.b", Transform: "t"}, nil},
		"within": {
			&host.Error{Kind: host.KindABI, Transform: "t", Message: "broke", Err: field},
			fleet.Failure{Kind: host.KindABI, Message: "broke", Transform: "t"}, nil,
		},
		"codec": {errors.New("no JSON"), fleet.Failure{Kind: host.KindInvalidArgument, Message: "no JSON", Transform: "t"}, nil},
	} {
		got := fleet.FailureOf("t", c.err)
		if *got != c.want {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
		e := got.Error()
		if here, there := api.Of("t", c.err), api.Of("t", e); here != there {
			t.Errorf("%s: the host says %+v, and the caller %+v", name, here, there)
		}
		if c.cause != nil && !errors.Is(e, c.cause) {
			t.Errorf("%s: %v is no %v", name, e, c.cause)
		}
		if at := (*abi.FieldError)(nil); c.want.Field != "" && (!errors.As(e, &at) || at.Error() != field.Error()) {
			t.Errorf("%s: the field's error is %v", name, at)
		}
	}
}

// TestClaimedSize has an answer that says that it is large, and is not. What it says takes no memory.
func TestClaimedSize(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	_, js := jet(t, urls)
	if _, err := js.Publish(t.Context(), "resonhost.default.piece.key.0.run.0", []byte("short")); err != nil {
		t.Fatal(err)
	}
	msg := nats.NewMsg("resonhost.default.result.key.0")
	for name, value := range map[string]string{"Run": "run", "Pieces": "512", "Size": "536870912", "Sum": "0"} {
		msg.Header.Set("Resonhost-"+name, value)
	}
	if _, err := js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	s := submit(t, f, "key")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	send(t, s, f.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(1, 1))...)
	r, err := s.Next(t.Context())
	if err != nil || r.Err == nil || !strings.HasPrefix(r.Err.Error(), "piece 1 of an answer") {
		t.Errorf("%+v, error %v", r, err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 128<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}
