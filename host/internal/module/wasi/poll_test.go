package wasi_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/sys"

	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// event is what poll_oneoff writes.
type event struct {
	userdata uint64
	errno    uint16
	typ      uint16
	nbytes   uint64
	flags    uint64
}

const (
	subscriptions = 4096
	events        = 16384
	nevents       = 32768
)

// poll calls poll_oneoff for subscriptions made before.
func (g *guest) poll(n uint64) []event {
	g.tb.Helper()
	for i := range g.bytes()[events:nevents] {
		g.bytes()[events+i] = 0xee
	}
	if e := g.call("poll_oneoff", subscriptions, events, n, nevents); e != success {
		g.tb.Fatalf("errno %d", e)
	}
	got := make([]event, g.get32(nevents))
	for i := range got {
		at := uint32(events + 32*i)
		got[i] = event{g.get64(at), uint16(g.get32(at + 8)), uint16(g.get32(at+8) >> 16), g.get64(at + 16), g.get64(at + 24)}
		if g.get32(at+12) != 0 {
			g.tb.Errorf("padding of event %d is %#x", i, g.get32(at+12))
		}
	}
	return got
}

func TestPoll(t *testing.T) {
	g := forward(t, &wasi.System{})
	clock := func(at int, id uint32, timeout uint64, flags uint32) {
		g.subscribeClock(subscriptions+uint32(at)*48, uint64(at)+100, id, timeout, flags)
	}
	stream := func(at int, typ byte, fd uint32) {
		g.subscribeStream(subscriptions+uint32(at)*48, uint64(at)+100, typ, fd)
	}
	for _, c := range []struct {
		name  string
		count uint64
		do    func(now uint64)
		slept uint64 // how far the clock goes, in nanoseconds
		want  []event
	}{
		{"a sleep", 1, func(uint64) { clock(0, 1, 5000, 0) }, 5000, []event{{userdata: 100}}},
		{"no time", 1, func(uint64) { clock(0, 0, 0, 0) }, 0, []event{{userdata: 100}}},
		{"the shorter of two", 2, func(uint64) { clock(0, 1, 9000, 0); clock(1, 0, 5000, 0) }, 5000, []event{{userdata: 101}}},
		{"two at once", 3, func(uint64) { clock(0, 1, 5000, 0); clock(1, 0, 5001, 0); clock(2, 0, 5000, 0) }, 5000, []event{{userdata: 100}, {userdata: 102}}},
		{"a time", 1, func(now uint64) { clock(0, 1, now+7000, 1) }, 7000, []event{{userdata: 100}}},
		{"a time of the wall clock", 1, func(now uint64) { clock(0, 0, now-wasi.MonotonicEpoch+wasi.Epoch+7000, 1) }, 7000, []event{{userdata: 100}}},
		{"a time that has passed", 1, func(uint64) { clock(0, 1, 5, 1) }, 0, []event{{userdata: 100}}},
		{"no such clock", 2, func(uint64) { clock(0, 1, 9000, 0); clock(1, 3, 9000, 0) }, 0, []event{{userdata: 101, errno: einval}}},
		{"no such flag", 1, func(uint64) { clock(0, 1, 9000, 2) }, 0, []event{{userdata: 100, errno: einval}}},
		{"streams", 4, func(uint64) { clock(0, 1, 9000, 0); stream(1, 1, 0); stream(2, 2, 1); stream(3, 2, 2) }, 0, []event{
			{userdata: 101, typ: 1, flags: 1}, {userdata: 102, typ: 2, nbytes: 65536}, {userdata: 103, typ: 2, nbytes: 65536},
		}},
		{"no such streams", 3, func(uint64) { stream(0, 1, 1); stream(1, 2, 0); stream(2, 2, negative) }, 0, []event{
			{userdata: 100, typ: 1, errno: ebadf}, {userdata: 101, typ: 2, errno: ebadf}, {userdata: 102, typ: 2, errno: ebadf},
		}},
	} {
		before := g.time(1) + wasi.Step
		c.do(uint64(before))
		got := g.poll(c.count)
		if slept := uint64(g.time(1) - before); slept != c.slept || !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v after %d ns, want %+v after %d", c.name, got, slept, c.want, c.slept)
		}
	}
}

// TestPollInput has a guest wait for input that is there.
func TestPollInput(t *testing.T) {
	g := forward(t, &wasi.System{Input: []byte("abc")})
	g.subscribeStream(subscriptions, 7, 1, 0)
	if got, want := g.poll(1), (event{userdata: 7, typ: 1, nbytes: 3}); len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestPollInPlace has events overwrite subscriptions.
func TestPollInPlace(t *testing.T) {
	g := forward(t, &wasi.System{})
	const n = 64
	for i := range uint32(n) {
		g.subscribeStream(subscriptions+48*i, uint64(i), 2, 1)
	}
	if e := g.call("poll_oneoff", subscriptions, subscriptions+16, n, nevents); e != success || g.get32(nevents) != n {
		t.Fatalf("errno %d, %d events", e, g.get32(nevents))
	}
	for i := range uint32(n) {
		if got := g.get64(subscriptions + 16 + 32*i); got != uint64(i) {
			t.Errorf("event %d has user data %d", i, got)
		}
	}
}

func TestRealSleep(t *testing.T) {
	g := forward(t, &wasi.System{RealClock: true})
	for range 2 {
		g.subscribeClock(subscriptions, 1, 1, uint64(2*time.Millisecond), 0)
		begin := time.Now()
		if got := g.poll(1); len(got) != 1 || time.Since(begin) < 2*time.Millisecond {
			t.Errorf("%d events after %v", len(got), time.Since(begin))
		}
	}

	var asked time.Duration
	g.Sleep = func(_ context.Context, d time.Duration) error {
		asked = d
		return nil
	}
	g.subscribeClock(subscriptions, 1, 1, 1<<64-1, 0)
	if g.poll(1); asked != 1<<63-1 {
		t.Errorf("Sleep was asked for %v", asked)
	}
	asked = 0
	g.subscribeClock(subscriptions, 1, 1, 0, 0)
	if g.poll(1); asked != 0 {
		t.Errorf("Sleep was asked for %v", asked)
	}

	// An error of the hook ends the call.
	cause := errors.New("enough")
	g.Sleep = func(context.Context, time.Duration) error { return cause }
	g.subscribeClock(subscriptions, 1, 1, 5, 0)
	if _, err := g.try("poll_oneoff", subscriptions, events, 1, nevents); !errors.Is(err, cause) {
		t.Errorf("err %v, want %v", err, cause)
	}

	// So does the context.
	g.Sleep = nil
	ctx, cancel := context.WithTimeout(g.ctx, 5*time.Millisecond)
	defer cancel()
	g.ctx = ctx
	g.subscribeClock(subscriptions, 1, 1, uint64(time.Hour), 0)
	_, err := g.try("poll_oneoff", subscriptions, events, 1, nevents)
	exit := (*sys.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != sys.ExitCodeDeadlineExceeded {
		t.Errorf("err %v, want that of the deadline", err)
	}
}
