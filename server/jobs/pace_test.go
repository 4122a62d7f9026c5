package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/jobs"
)

// hourly is a pace of a line an hour, of which the first begins at once.
type hourly struct {
	withdrawn chan struct{}
	asked     atomic.Int64
	undone    atomic.Int64
}

func newHourly() *hourly { return &hourly{withdrawn: make(chan struct{})} }

func (h *hourly) next() (time.Duration, func(), error) {
	select {
	case <-h.withdrawn:
		return 0, nil, &auth.Error{Kind: api.KindUnauthorized, Detail: "withdrawn"}
	default:
	}
	if h.asked.Add(1) == 1 {
		return 0, nil, nil
	}
	return time.Hour, func() { h.undone.Add(1) }, nil
}

func (h *hourly) spec(o jobs.Owner) jobs.Spec {
	return jobs.Spec{Owner: o, Transform: "t.echo", Input: input(3), Pace: h.next, Withdrawn: h.withdrawn}
}

// echoes does tasks elsewhere: each is answered by itself.
func echoes(ctx context.Context, p *jobs.Part) error {
	for line := range bytes.Lines(p.Input) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := p.Out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// places are where jobs have their tasks done.
var places = map[string]jobs.Elsewhere{"here": nil, "elsewhere": echoes}

// TestElsewhere has the tasks of jobs done elsewhere. Each part has its place in the job.
func TestElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parts []string
		b := start(t, jobs.Options{Elsewhere: func(ctx context.Context, p *jobs.Part) error {
			parts = append(parts, fmt.Sprintf("%s %s %d %q", p.Spec.Owner.Tenant, p.Spec.Transform, p.Line, p.Input))
			if bytes.Contains(p.Input, []byte("fail")) {
				p.Failed(p.Line, errors.New("told to"))
				return &host.Error{Kind: host.KindUnavailable, Transform: p.Spec.Transform, Message: "nobody is there"}
			}
			return echoes(ctx, p)
		}})
		asked := 0
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: []byte("1\n\n2\n\n3\n4\n"), Pace: func() (time.Duration, func(), error) {
			if asked++; asked%2 == 0 { // after one at first, and then after two
				return time.Minute, nil, nil
			}
			return 0, nil, nil
		}})
		if got := b.wait(ann, j.ID); got.State != api.JobDone || got.Failed != 0 {
			t.Errorf("%+v", got)
		}
		j = b.submit(jobs.Spec{Owner: bob, Transform: "t.echo", Input: []byte("\"fail\"\n")})
		if got := b.wait(bob, j.ID); got.State != api.JobFailed || got.Failed != 1 || got.Error.Kind != host.KindUnavailable {
			t.Errorf("%+v", got)
		}
		want := []string{`ann t.echo 1 "1\n\n"`, `ann t.echo 3 "2\n\n3\n"`, `ann t.echo 6 "4\n"`, `bob t.echo 1 "\"fail\"\n"`}
		if !slices.Equal(parts, want) {
			t.Errorf("%q, want %q", parts, want)
		}
	})
}

// TestPace has jobs that wait for their pace let others run, and go on where they were.
func TestPace(t *testing.T) {
	for name, elsewhere := range places {
		t.Run(name, func(t *testing.T) { testPace(t, elsewhere) })
	}
}

func testPace(t *testing.T, elsewhere jobs.Elsewhere) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, jobs.Options{Running: 2, Elsewhere: elsewhere})
		begin := time.Now()
		var slow []api.Job
		for _, o := range []jobs.Owner{ann, bob} {
			for range 2 {
				slow = append(slow, b.submit(newHourly().spec(o)))
			}
		}
		synctest.Wait()
		other := jobs.Owner{Tenant: "carol"}
		for _, o := range []jobs.Owner{other, ann} {
			if got := b.wait(o, b.submit(jobs.Spec{Owner: o, Transform: "t.echo", Input: input(1)}).ID); got.State != api.JobDone || time.Since(begin) > time.Minute {
				t.Errorf("%+v after %v", got, time.Since(begin))
			}
		}
		resting := 0.0
		for _, c := range b.Collectors() {
			resting += gauge(t, c, "resonhost_jobs_resting")
		}
		if resting != 4 {
			t.Errorf("%v jobs rest, want 4", resting)
		}
		for i, j := range slow {
			o := []jobs.Owner{ann, bob}[i/2]
			got := b.wait(o, j.ID)
			if text := b.results(o, j.ID); got.State != api.JobDone || got.Done != 3 || text != string(input(3)) {
				t.Errorf("%+v: %s", got, text)
			}
		}
		if took := time.Since(begin); took != 2*time.Hour {
			t.Errorf("they took %v, want 2h", took)
		}
	})
}

// TestPaceEnds ends jobs that wait for their pace, which give their places back.
func TestPaceEnds(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration
		end     func(b *bench, h *hourly, id string)
		state   api.JobState
		kind    host.Kind
	}{
		"cancelled": {0, func(b *bench, _ *hourly, id string) { _, _ = b.Cancel(b.t.Context(), ann, id) }, api.JobCancelled, host.KindCancelled},
		"withdrawn": {0, func(_ *bench, h *hourly, _ string) { close(h.withdrawn) }, api.JobFailed, api.KindUnauthorized},
		"timed out": {time.Minute, func(*bench, *hourly, string) { time.Sleep(time.Minute) }, api.JobFailed, host.KindTimeout},
		"lost": {0, func(b *bench, _ *hourly, _ string) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if lost := b.Close(ctx); lost != 1 {
				b.t.Errorf("%d jobs were lost", lost)
			}
		}, api.JobFailed, host.KindUnavailable},
	} {
		for place, elsewhere := range places {
			t.Run(name+" "+place, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, h := start(t, jobs.Options{Elsewhere: elsewhere}), newHourly()
					begin, spec := time.Now(), h.spec(ann)
					spec.Timeout = c.timeout
					j := b.submit(spec)
					synctest.Wait()
					c.end(b, h, j.ID)
					got := b.wait(ann, j.ID)
					if got.State != c.state || got.Error == nil || got.Error.Kind != c.kind || got.Done != 1 || time.Since(begin) > time.Minute {
						t.Errorf("%+v after %v", got, time.Since(begin))
					}
					if n := h.undone.Load(); n != 1 {
						t.Errorf("%d places were given back, want 1", n)
					}
				})
			})
		}
	}
}

// TestPaceUnderWay keeps a job at its tasks while some are under way: their number is not the pace's
// to bound.
func TestPaceUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, jobs.Options{})
		var n atomic.Int64
		pace := func() (time.Duration, func(), error) {
			if n.Add(1) > 3 {
				return 0, nil, errors.New("the end")
			}
			return time.Second, func() {}, nil
		}
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(4), Pace: pace})
		<-b.waits
		time.Sleep(time.Minute)
		if n.Load() != 4 {
			t.Errorf("the pace was asked %d times while the first task is under way, want 4", n.Load())
		}
		b.let()
		if got := b.wait(ann, j.ID); got.Done != 3 || got.Error == nil {
			t.Errorf("%+v", got)
		}
	})
}
