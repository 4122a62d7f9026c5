package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
)

func TestBatchHarmsNoNeighbour(t *testing.T) {
	for _, c := range []struct {
		name      string
		isolation host.Isolation
		retried   uint64
	}{{"pristine", host.IsolationPristine, 0}, {"frame", host.IsolationFrame, 3}, {"shared", host.IsolationShared, 3}} {
		t.Run(c.name, func(t *testing.T) {
			h := hostile(t, func(cfg *host.Config) {
				cfg.Defaults.RunTimeout, cfg.Defaults.Isolation = time.Second, c.isolation
			})
			batchHarmsNoNeighbour(t, h)
			if got := h.Stats().FramesRetried; got != c.retried {
				t.Errorf("%d frames retried, want %d", got, c.retried)
			}
			if got := h.RunBatch(t.Context(), "hostile.echo", nil); got == nil || len(got) != 0 {
				t.Errorf("%v for nothing", got)
			}
		})
	}
}

func batchHarmsNoNeighbour(t *testing.T, h *host.Host) {
	for transform, kind := range map[string]host.Kind{
		"hostile.trap": host.KindTrap, "hostile.spin": host.KindTimeout, "hostile.badutf8": host.KindFailed, "hostile.fewer": host.KindABI,
	} {
		inputs := make([][]byte, 200)
		for i := range inputs {
			inputs[i] = []byte(strconv.Itoa(i))
		}
		inputs[70] = []byte("!")
		for i, r := range h.RunBatch(t.Context(), transform, inputs) {
			if i == 70 {
				if host.KindOf(r.Err) != kind {
					t.Errorf("%s: the bad item: %q, err %v", transform, r.Output, r.Err)
				}
			} else if r.Err != nil || !bytes.Equal(r.Output, inputs[i]) {
				t.Errorf("%s: item %d: %q, err %v", transform, i, r.Output, r.Err)
			}
		}
	}
}

func TestBatchSplitsByBytes(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) { cfg.Defaults.MaxInput, cfg.Defaults.Isolation = 4<<10, host.IsolationFrame })
	inputs := [][]byte{make([]byte, 3000), make([]byte, 3000), make([]byte, 5000), make([]byte, 10)}
	for i, r := range h.RunBatch(t.Context(), "hostile.echo", inputs) {
		if i == 2 {
			if host.KindOf(r.Err) != host.KindInvalidArgument {
				t.Errorf("the item that is too large: err %v", r.Err)
			}
		} else if r.Err != nil || len(r.Output) != len(inputs[i]) {
			t.Errorf("item %d: %d bytes, err %v", i, len(r.Output), r.Err)
		}
	}
}

// transformStats are those of one transform.
func transformStats(t *testing.T, h *host.Host, name string) host.TransformStats {
	t.Helper()
	for _, p := range h.Stats().Plugins {
		for _, tr := range p.Transforms {
			if tr.Name == name {
				return tr
			}
		}
	}
	t.Fatalf("no transform %s", name)
	return host.TransformStats{}
}

// queueUp starts a host with one worker, has it learn that the transform is quick, and
// occupies the worker until free is called.
func queueUp(t *testing.T, isolation host.Isolation, transform string) (h *host.Host, free func()) {
	t.Helper()
	h = hostile(t, func(cfg *host.Config) {
		cfg.Workers, cfg.Defaults.RunTimeout, cfg.Defaults.BreakAfter = 1, time.Minute, -1
		cfg.Defaults.Isolation, cfg.Defaults.BatchTarget = isolation, time.Second
	})
	for range 100 {
		if _, err := h.Run(t.Context(), transform, []byte("fine")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	spinning := h.Submit(ctx, "hostile.fill", []byte("!"))
	return h, func() {
		cancel()
		<-spinning.Done()
	}
}

// TestTasksOfABatchAreApart has tasks that wait done by one another's goroutines, of
// which some trap, some are cancelled while they wait, and some are refused.
func TestTasksOfABatchAreApart(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{
		"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "shared": host.IsolationShared,
	} {
		t.Run(name, func(t *testing.T) {
			const tasks = 200
			h, free := queueUp(t, isolation, "hostile.trap")
			gone, cancel := context.WithCancel(t.Context())
			errs := make([]error, tasks)
			outs := make([]string, tasks)
			var all sync.WaitGroup
			for i := range tasks {
				ctx, input := t.Context(), fmt.Sprint(i)
				switch i % 20 {
				case 7:
					input = "!"
				case 13:
					ctx = gone
				}
				one := func(run func() ([]byte, error)) {
					out, err := run()
					outs[i], errs[i] = string(out), err
				}
				if i%2 == 0 {
					all.Go(func() { one(h.Submit(ctx, "hostile.trap", []byte(input)).Wait) })
				} else {
					all.Go(func() {
						one(func() ([]byte, error) {
							dst := append(make([]byte, 0, 2+i%4), "> "...) // with room, and without
							return h.Client("", host.PriorityNormal).RunAppend(ctx, "hostile.trap", dst, []byte(input))
						})
					})
				}
			}
			for h.Stats().QueueDepth < tasks {
				runtime.Gosched()
			}
			cancel()
			free()
			all.Wait()
			for i := range tasks {
				switch kind := host.KindOf(errs[i]); {
				case i%20 == 7:
					if kind != host.KindTrap {
						t.Errorf("task %d: err %v, want its trap", i, errs[i])
					}
				case i%20 == 13:
					if kind != host.KindCancelled {
						t.Errorf("task %d: err %v, want that it was cancelled", i, errs[i])
					}
				case errs[i] != nil || outs[i] != []string{"", "> "}[i%2]+fmt.Sprint(i):
					t.Errorf("task %d: %q, err %v", i, outs[i], errs[i])
				}
			}
			s := transformStats(t, h, "hostile.trap")
			if s.Joined == 0 || s.OK != 100+tasks*9/10 || s.Errors[host.KindTrap] != tasks/20 || s.Errors[host.KindCancelled] != tasks/20 {
				t.Errorf("stats %+v", s)
			}
			if retried := h.Stats().FramesRetried; (retried > 0) != (isolation != host.IsolationPristine) {
				t.Errorf("%d frames were retried", retried)
			}
		})
	}
}

// TestOneOfAFrameGivesUp has a task in a frame that does not return, and whose caller
// waits no longer than that.
func TestOneOfAFrameGivesUp(t *testing.T) {
	h, free := queueUp(t, host.IsolationShared, "hostile.spin")
	ctx, cancel := context.WithCancel(t.Context())
	var waiting []*host.Pending
	for i := range 20 {
		if i == 5 {
			waiting = append(waiting, h.Submit(ctx, "hostile.spin", []byte("!")))
			continue
		}
		waiting = append(waiting, h.Submit(t.Context(), "hostile.spin", []byte("fine")))
	}
	free()
	for transformStats(t, h, "hostile.spin").Wait.Count < 100+20 { // until all are in the frame
		runtime.Gosched()
	}
	cancel()
	for i, p := range waiting {
		out, err := p.Wait()
		switch {
		case i == 5:
			if host.KindOf(err) != host.KindCancelled || !errors.Is(err, context.Canceled) {
				t.Errorf("err %v, want that it was cancelled", err)
			}
		case err != nil || string(out) != "fine":
			t.Errorf("task %d: %q, err %v", i, out, err)
		}
	}
	if got := h.Stats().FramesRetried; got != 1 {
		t.Errorf("%d frames were retried, want 1", got)
	}
}

// TestBatchesFitInAFrame has inputs of which few fit.
func TestBatchesFitInAFrame(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) {
		cfg.Workers, cfg.Defaults.MaxInput, cfg.Defaults.MaxOutput = 1, 10<<10, 10<<10
		cfg.Defaults.Isolation, cfg.Defaults.RunTimeout = host.IsolationShared, time.Minute
	})
	input := []byte(strings.Repeat("x", 3000))
	for range 100 {
		if _, err := h.Run(t.Context(), "hostile.echo", input); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	spinning := h.Submit(ctx, "hostile.spin", []byte("!"))
	var waiting []*host.Pending
	for range 50 {
		waiting = append(waiting, h.Submit(t.Context(), "hostile.echo", input))
	}
	cancel()
	<-spinning.Done()
	for i, p := range waiting {
		if out, err := p.Wait(); err != nil || len(out) != len(input) {
			t.Errorf("task %d: %d bytes, err %v", i, len(out), err)
		}
	}
	if s := transformStats(t, h, "hostile.echo"); s.Joined == 0 || h.Stats().FramesRetried != 0 {
		t.Errorf("stats %+v, %d frames were retried", s, h.Stats().FramesRetried)
	}
}

// TestRows has callers of Run, or of Submit, wait for the worker: those that can share no
// crossing are in a row only if Submit's are.
func TestRows(t *testing.T) {
	for _, c := range []struct {
		name        string
		isolation   host.Isolation
		run, submit int
		joined      bool
	}{
		{"Run, pristine", host.IsolationPristine, 20, 0, false},
		{"Run with Submit behind, pristine", host.IsolationPristine, 1, 1, false},
		{"Submit, pristine", host.IsolationPristine, 0, 20, true},
		{"Run, shared", host.IsolationShared, 20, 0, true},
		{"Submit, shared", host.IsolationShared, 0, 20, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, free := queueUp(t, c.isolation, "hostile.echo")
			var all sync.WaitGroup
			for range c.run {
				all.Go(func() {
					if _, err := h.Run(t.Context(), "hostile.echo", nil); err != nil {
						t.Error(err)
					}
				})
			}
			for h.Stats().QueueDepth < c.run {
				runtime.Gosched()
			}
			for range c.submit {
				p := h.Submit(t.Context(), "hostile.echo", nil)
				all.Go(func() {
					if _, err := p.Wait(); err != nil {
						t.Error(err)
					}
				})
			}
			free()
			all.Wait()
			s := transformStats(t, h, "hostile.echo")
			if tasks := uint64(100 + c.run + c.submit); (s.Joined > 0) != c.joined || s.OK != tasks || s.Latency.Count != tasks {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestBatchHasAllWorkers has a batch whose frames do not return, until all workers have one.
func TestBatchHasAllWorkers(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) {
		cfg.Workers, cfg.Defaults.Isolation, cfg.Defaults.RunTimeout = 3, host.IsolationShared, time.Minute
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []host.Result)
	go func() { done <- h.RunBatch(ctx, "hostile.spin", slices.Repeat([][]byte{[]byte("!")}, 64*3)) }()
	for h.Stats().Active < 3 {
		runtime.Gosched()
	}
	cancel()
	for i, r := range <-done {
		if host.KindOf(r.Err) != host.KindCancelled {
			t.Errorf("task %d: err %v, want that it was cancelled", i, r.Err)
		}
	}
}

// TestRunWaitsForNobodyElse has a task behind one of Run's that does not end.
func TestRunWaitsForNobodyElse(t *testing.T) {
	h, free := queueUp(t, host.IsolationPristine, "hostile.spin")
	ran := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), "hostile.spin", []byte("fine"))
		ran <- err
	}()
	for h.Stats().QueueDepth < 1 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow := h.Client("other", host.PriorityNormal).Submit(ctx, "hostile.spin", []byte("!"))
	free()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	for transformStats(t, h, "hostile.spin").Wait.Count < 100+2 { // until it is under way
		runtime.Gosched()
	}
	cancel()
	if _, err := slow.Wait(); host.KindOf(err) != host.KindCancelled {
		t.Errorf("err %v, want that it was cancelled", err)
	}
}

// TestCallersGoAsTheirFrameEnds has callers give up at about the time that a crossing of
// several tasks ends. Under the race detector it sees what is used of a task afterwards.
func TestCallersGoAsTheirFrameEnds(t *testing.T) {
	h, free := queueUp(t, host.IsolationShared, "hostile.trap")
	free()
	var all sync.WaitGroup
	for g := range 24 {
		all.Go(func() {
			for i := range 400 {
				ctx, cancel := context.WithCancel(t.Context())
				in := fmt.Sprint(g, "-", i)
				p := h.Submit(ctx, "hostile.trap", []byte(in))
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					if (g+i)%3 == 0 {
						for range (7*g + 13*i) % 30 {
							runtime.Gosched()
						}
						cancel()
					}
				}()
				out, err := p.Wait()
				if err == nil && string(out) != in {
					t.Errorf("%q for %q", out, in)
				}
				if err != nil && host.KindOf(err) != host.KindCancelled {
					t.Errorf("%q: %v", in, err)
				}
				<-gone
				cancel()
			}
		})
	}
	all.Wait()
}

// endsAfter is a context that is done from when it has been asked for so long on.
type endsAfter struct {
	context.Context //nolint:containedctx // it is one

	left atomic.Int64
	over chan struct{}
	once sync.Once
}

func (c *endsAfter) Done() <-chan struct{} { return c.over }

func (c *endsAfter) Err() error {
	if c.left.Add(-1) >= 0 {
		return nil
	}
	c.once.Do(func() { close(c.over) })
	return context.Canceled
}

// TestCallerGoesAsItsFrameFails has a caller give up at every moment at which the host looks
// at its context, with a task in the batch that traps: no other has that trap as its error.
func TestCallerGoesAsItsFrameFails(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) {
		cfg.Defaults.Isolation, cfg.Defaults.BreakAfter = host.IsolationFrame, -1
	})
	inputs := [][]byte{[]byte("a"), []byte("!"), []byte("b")}
	for looks, left := int64(0), int64(-1); left < 0; looks++ {
		ctx := &endsAfter{Context: t.Context(), over: make(chan struct{})}
		ctx.left.Store(looks)
		for i, r := range h.RunBatch(ctx, "hostile.trap", inputs) {
			kind := host.KindOf(r.Err)
			if i == 1 && kind == host.KindTrap || kind == host.KindCancelled {
				continue
			}
			if i == 1 || r.Err != nil || !bytes.Equal(r.Output, inputs[i]) {
				t.Errorf("after %d looks, task %d: %q, err %v", looks, i, r.Output, r.Err)
			}
		}
		left = ctx.left.Load()
	}
}
