package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/server/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const manifest = `{"name": "t", "version": "1", "transforms": [
	{"name": "t.echo", "input": "application/json", "output": "application/json"},
	{"name": "t.count", "input": "application/json", "output": "application/json", "state_bytes": 1024},
	{"name": "t.wait", "input": "application/json", "output": "application/json"},
	{"name": "t.large", "input": "application/json", "output": "application/json"}
]}`

// bench is a host with a transform that waits, and a manager of jobs.
type bench struct {
	t    testing.TB
	host *host.Host
	*jobs.Manager

	waits   chan struct{} // has one for each task of t.wait that runs
	release chan struct{} // is closed to end them
}

var ann, bob = jobs.Owner{Tenant: "ann"}, jobs.Owner{Tenant: "bob", Principal: "b"}

func start(t testing.TB, o jobs.Options) *bench {
	t.Helper()
	b := &bench{t: t, waits: make(chan struct{}, 10_000), release: make(chan struct{})}
	echo := func(task *guest.Task) error {
		if strings.Contains(string(task.Input), "fail") {
			return errors.New("it fails")
		}
		task.Output = append(task.Output, task.Input...)
		return nil
	}
	count := func(task *guest.Task) error {
		task.NextState = append(append([]byte(nil), task.State...), '1')
		task.Output = append(task.Output, task.NextState...)
		return nil
	}
	wait := func(task *guest.Task) error {
		b.waits <- struct{}{}
		<-b.release
		task.Output = append(task.Output, '1')
		return nil
	}
	large := func(task *guest.Task) error {
		task.Output = append(task.Output, '"')
		task.Output = append(append(task.Output, strings.Repeat("x", 10_000)...), '"')
		return nil
	}
	b.host = hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(manifest, echo, count, wait, large)}})
	m, err := jobs.New(t.Context(), b.host, codec.New(), o)
	if err != nil {
		t.Fatal(err)
	}
	b.Manager = m
	t.Cleanup(func() {
		b.let()
		if lost := m.Close(context.Background()); lost != 0 {
			t.Errorf("%d jobs were lost", lost)
		}
	})
	return b
}

// let has tasks of t.wait end.
func (b *bench) let() {
	select {
	case <-b.release:
	default:
		close(b.release)
	}
}

func (b *bench) submit(s jobs.Spec) api.Job {
	b.t.Helper()
	j, err := b.Submit(b.t.Context(), s)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *bench) wait(o jobs.Owner, id string) api.Job {
	b.t.Helper()
	j, err := b.Wait(b.t.Context(), o, id)
	if err != nil || !j.State.Over() {
		b.t.Fatalf("%+v, %v", j, err)
	}
	return j
}

// results reads all results of a job that is over.
func (b *bench) results(o jobs.Owner, id string) string {
	b.t.Helper()
	var all []byte
	p := make([]byte, 100)
	for {
		n, over, err := b.Results(b.t.Context(), o, id, int64(len(all)), p, true)
		if err != nil {
			b.t.Fatal(err)
		}
		if all = append(all, p[:n]...); over {
			return string(all)
		}
	}
}

// input has that many lines.
func input(n int) []byte {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "{\"n\":%d}\n", i)
	}
	return []byte(text.String())
}

// TestJob has a job of many tasks, of which one fails.
func TestJob(t *testing.T) {
	b := start(t, jobs.Options{})
	in := "1\n\n\"fail\"\n[2]"
	j := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: []byte(in), Priority: host.PriorityBulk})
	if len(j.ID) != 26 || j.Tasks != 3 || j.InputBytes != int64(len(in)) || j.Priority != "bulk" || j.Created.IsZero() {
		t.Errorf("%+v", j)
	}
	got := b.wait(ann, j.ID)
	if got.State != api.JobDone || got.Done != 3 || got.Failed != 1 || got.Error != nil || !got.Expires.Equal(got.Ended.Add(time.Hour)) || got.Started.IsZero() {
		t.Errorf("%+v", got)
	}
	text := b.results(ann, j.ID)
	lines := strings.Split(text, "\n")
	failure := api.Failure{}
	if len(lines) != 4 || lines[0] != "1" || json.Unmarshal([]byte(lines[1]), &failure) != nil || lines[2] != "[2]" {
		t.Fatalf("%q", lines)
	}
	if failure.Error.Kind != host.KindFailed || failure.Error.Line != 3 || got.ResultBytes != int64(len(text)) {
		t.Errorf("%+v; %d bytes of %d", failure, got.ResultBytes, len(text))
	}
	for _, other := range []jobs.Owner{bob, {Tenant: "ann", Principal: "x"}, {}} {
		if _, err := b.Get(other, j.ID); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("%+v sees it: %v", other, err)
		}
		if _, err := b.Cancel(t.Context(), other, j.ID); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("%+v cancels it: %v", other, err)
		}
		if list := b.List(other); len(list) != 0 {
			t.Errorf("%+v has %+v", other, list)
		}
	}
	if list := b.List(ann, api.JobDone); len(list) != 1 || list[0].ID != j.ID || len(b.List(ann, api.JobQueued)) != 0 {
		t.Errorf("%+v", list)
	}
	if _, err := b.Submit(t.Context(), jobs.Spec{Transform: "t.echos"}); host.KindOf(err) != host.KindUnknownTransform {
		t.Errorf("err %v", err)
	}
}

// TestStreams has a job whose tasks are those of one stream.
func TestStreams(t *testing.T) {
	b := start(t, jobs.Options{})
	for range 2 {
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.count", Input: input(2), Stream: "s"})
		b.wait(ann, j.ID)
	}
	j := b.submit(jobs.Spec{Owner: ann, Transform: "t.count", Input: []byte(`{"user":"s"}`), StreamField: "user"})
	b.wait(ann, j.ID)
	if got := b.results(ann, j.ID); got != "11111\n" {
		t.Errorf("%s: the stream did not go on", got)
	}
}

// TestCancel cancels jobs that wait, that run and that are over.
func TestCancel(t *testing.T) {
	b := start(t, jobs.Options{Running: 1})
	running := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(3)})
	<-b.waits
	queued := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
	for range 2 {
		got, err := b.Cancel(t.Context(), ann, queued.ID)
		if err != nil || got.State != api.JobCancelled || got.Error == nil || got.Error.Kind != host.KindCancelled {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if text := b.results(ann, queued.ID); !strings.HasPrefix(text, `{"error":{"status":503,"detail":"the job was cancelled","kind":"cancelled"`) {
		t.Errorf("%s", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := b.Cancel(ctx, ann, running.ID); err != nil || got.State.Over() { // native code cannot be stopped
		t.Errorf("%+v, %v", got, err)
	}
	b.let()
	if got := b.wait(ann, running.ID); got.State != api.JobCancelled {
		t.Errorf("%+v", got)
	}
	done := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
	b.wait(ann, done.ID)
	if got, err := b.Cancel(t.Context(), ann, done.ID); err != nil || got.State != api.JobDone {
		t.Errorf("%+v, %v", got, err)
	}
	for _, id := range []string{queued.ID, running.ID, done.ID} {
		if err := b.Remove(t.Context(), ann, id); err != nil {
			t.Error(err)
		}
		if _, err := b.Get(ann, id); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("err %v", err)
		}
	}
}

// TestTimeout has a job that takes longer than it may. The clock stands still until its first task
// waits.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, jobs.Options{})
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(2), Timeout: time.Millisecond})
		<-b.waits
		time.AfterFunc(500*time.Millisecond, b.let) // long after Close has begun; native code cannot be stopped
		if got := b.wait(ann, j.ID); got.State != api.JobFailed || got.Error.Kind != host.KindTimeout || got.Done > 1 {
			t.Errorf("%+v", got)
		}
	})
}

// TestBounds has more jobs and bytes than there may be.
func TestBounds(t *testing.T) {
	b := start(t, jobs.Options{MaxJobs: 16, MaxBytes: 1 << 20, Age: time.Hour})
	refused := func(s jobs.Spec, what string) {
		t.Helper()
		if _, err := b.Submit(t.Context(), s); host.KindOf(err) != host.KindQueueFull || !strings.Contains(err.Error(), what) {
			t.Errorf("err %v, want queue_full by %s", err, what)
		}
	}
	large := []byte(strings.Repeat("\n", 512<<10) + "1")
	wait := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: large})
	<-b.waits
	refused(jobs.Spec{Owner: ann, Transform: "t.echo", Input: large}, "--max-job-bytes")
	refused(jobs.Spec{Owner: bob, Transform: "t.echo", Input: large}, "--max-job-bytes")
	b.let()
	b.wait(ann, wait.ID)
	// The results of a job that has too many are kept as far as they go.
	full := b.submit(jobs.Spec{Owner: ann, Transform: "t.large", Input: input(200)})
	got := b.wait(ann, full.ID)
	if got.State != api.JobFailed || got.Error.Kind != host.KindQueueFull || got.Done == 0 || got.Done >= 200 || got.ResultBytes > 1<<20 {
		t.Errorf("%+v", got)
	}
	text := b.results(ann, full.ID)
	if n := strings.Count(text, "\n"); n != got.Done+1 || int64(len(text)) != got.ResultBytes || !strings.Contains(text, "--max-job-bytes") {
		t.Errorf("%d lines, %d bytes of %+v", n, len(text), got)
	}
	if err := b.Remove(t.Context(), ann, full.ID); err != nil {
		t.Error(err)
	}
	var list []string
	for range 11 {
		list = append(list, b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}).ID)
	}
	refused(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}, "--max-jobs")
	b.submit(jobs.Spec{Owner: bob, Transform: "t.echo", Input: input(1)}) // has less than its share
	for _, id := range list {
		b.wait(ann, id)
		if err := b.Remove(t.Context(), ann, id); err != nil {
			t.Error(err)
		}
	}
	b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
}

// TestKept has results that are kept, more than half of what there may be. Jobs still have
// tasks follow each other without a wait for results to be written.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, jobs.Options{MaxBytes: 1 << 20})
		if got := b.wait(bob, b.submit(jobs.Spec{Owner: bob, Transform: "t.large", Input: input(60)}).ID); got.State != api.JobDone || got.ResultBytes < 1<<19 {
			t.Fatalf("%+v", got)
		}
		var asked atomic.Int64
		pace := func() (time.Duration, func(), error) {
			asked.Add(1)
			return 0, nil, nil
		}
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(10), Pace: pace})
		synctest.Wait()
		if n := asked.Load(); n < 3 { // one is asked for that does not begin
			t.Errorf("%d tasks are under way, want 2 at least", n-1)
		}
		b.let()
		b.wait(ann, j.ID)
	})
}

// TestAge has jobs that are forgotten.
func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := held("")
		s.slow = time.Second
		b := start(t, jobs.Options{Store: s})
		for range 100 {
			b.wait(ann, b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}).ID)
		}
		time.Sleep(time.Hour)
		begin := time.Now()
		if list := b.List(ann); len(list) != 0 || !time.Now().Equal(begin) {
			t.Errorf("%d jobs are seen after %v: who asks does not wait for the store", len(list), time.Since(begin))
		}
		time.Sleep(2 * time.Minute)
		isEmpty(t, s)
	})
}

// TestTurns has a tenant with one job come before another's backlog.
func TestTurns(t *testing.T) {
	b := start(t, jobs.Options{Running: 2})
	blocking := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(1)})
	<-b.waits
	var backlog []string
	for range 100 {
		backlog = append(backlog, b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}).ID)
	}
	// ann has her half; the other half is bob's at once. Inline tasks run one at a time, so his
	// job only begins.
	j := b.submit(jobs.Spec{Owner: bob, Transform: "t.echo", Input: input(1)})
	for {
		got, err := b.Get(bob, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.State != api.JobQueued {
			break
		}
		time.Sleep(time.Millisecond)
	}
	for _, id := range backlog {
		if got, err := b.Get(ann, id); err != nil || got.State != api.JobQueued {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	b.let()
	for _, id := range append(backlog, blocking.ID) {
		b.wait(ann, id)
	}
}

// TestFollow reads results while they come.
func TestFollow(t *testing.T) {
	b := start(t, jobs.Options{})
	j := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(2)})
	<-b.waits
	p := make([]byte, 10)
	if n, over, err := b.Results(t.Context(), ann, j.ID, 0, p, false); n != 0 || over || err != nil {
		t.Errorf("%d, %t, %v", n, over, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.Results(ctx, ann, j.ID, 0, p, true); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v", err)
	}
	go b.let()
	if got := b.results(ann, j.ID); got != "1\n1\n" {
		t.Errorf("%q", got)
	}
	if n, over, err := b.Results(t.Context(), ann, j.ID, 1<<40, p, true); n != 0 || !over || err != nil {
		t.Errorf("%d, %t, %v", n, over, err)
	}
}

// TestClose drains: jobs go on as long as they may, and what is lost is told.
func TestClose(t *testing.T) {
	store := jobs.NewMemoryStore()
	b := start(t, jobs.Options{Running: 2, Store: store})
	done := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
	b.wait(ann, done.ID)
	lost := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(2)})
	<-b.waits
	queued := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	time.AfterFunc(500*time.Millisecond, b.let) // long after Close has begun; native code cannot be stopped
	if n := b.Close(ctx); n != 2 {
		t.Errorf("%d jobs were lost, want 2", n)
	}
	for _, id := range []string{lost.ID, queued.ID} {
		if got := b.wait(ann, id); got.State != api.JobFailed || got.Error.Kind != host.KindUnavailable {
			t.Errorf("%+v", got)
		}
	}
	if _, err := b.Submit(t.Context(), jobs.Spec{Owner: ann, Transform: "t.echo"}); host.KindOf(err) != host.KindUnavailable {
		t.Errorf("err %v", err)
	}
	// Another process has what the store kept, and a job that was cut off by a crash has failed.
	crashed := jobs.Record{Owner: ann, Job: api.Job{ID: "crashed", State: api.JobRunning, Transform: "t.echo"}}
	if err := store.Put(t.Context(), crashed); err != nil {
		t.Fatal(err)
	}
	again, err := jobs.New(t.Context(), b.host, codec.New(), jobs.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(t.Context())
	if list := again.List(ann); len(list) != 4 {
		t.Errorf("%+v", list)
	}
	if got, err := again.Get(ann, "crashed"); err != nil || got.State != api.JobFailed || got.Expires.Before(time.Now()) {
		t.Errorf("%+v, %v", got, err)
	}
	p := make([]byte, 100)
	if n, over, err := again.Results(t.Context(), ann, done.ID, 0, p, true); string(p[:n]) != "{\"n\":0}\n" || !over || err != nil {
		t.Errorf("%q, %t, %v", p[:n], over, err)
	}
}

// TestMany has thousands of jobs of several tenants at once, of which many are cancelled and removed
// while they wait, run and end.
func TestMany(t *testing.T) {
	b := start(t, jobs.Options{})
	var all sync.WaitGroup
	var done, cancelled atomic.Int64
	for w := range 8 {
		all.Go(func() {
			o := jobs.Owner{Tenant: fmt.Sprint("tenant", w%4)}
			for i := range 300 {
				j, err := b.Submit(t.Context(), jobs.Spec{Owner: o, Transform: "t.echo", Input: input(3)})
				if err != nil {
					t.Error(err)
					return
				}
				if i%3 == 0 {
					var both sync.WaitGroup
					for range 2 {
						both.Go(func() {
							if _, err := b.Cancel(t.Context(), o, j.ID); err != nil {
								t.Error(err)
							}
						})
					}
					both.Wait()
				}
				got := b.wait(o, j.ID)
				switch text := b.results(o, j.ID); {
				case got.State == api.JobDone && text == string(input(3)):
					done.Add(1)
				case got.State == api.JobCancelled && strings.HasSuffix(text, "}\n") && strings.Contains(text, `"kind":"cancelled"`):
					cancelled.Add(1)
				default:
					t.Errorf("%+v: %s", got, text)
				}
				if i%2 == 0 {
					if err := b.Remove(t.Context(), o, j.ID); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if done.Load() < 1600 || done.Load()+cancelled.Load() != 2400 {
		t.Errorf("%d done, %d cancelled", done.Load(), cancelled.Load())
	}
	left := 0
	for w := range 4 {
		left += len(b.List(jobs.Owner{Tenant: fmt.Sprint("tenant", w)}))
	}
	if left != 1200 {
		t.Errorf("%d jobs are left", left)
	}
	held := 0.0
	for _, c := range b.Collectors() {
		held += gauge(t, c, "resonhost_job_bytes")
	}
	want := 0.0
	for w := range 4 {
		for _, j := range b.List(jobs.Owner{Tenant: fmt.Sprint("tenant", w)}) {
			want += 1024 + float64(j.ResultBytes)
		}
	}
	if held != want {
		t.Errorf("%v bytes are held, want %v", held, want)
	}
}

// gauge returns the value of a metric, 0 if the collector has another.
func gauge(t *testing.T, c prometheus.Collector, name string) float64 {
	t.Helper()
	ch := make(chan prometheus.Metric, 100)
	c.Collect(ch)
	close(ch)
	for m := range ch {
		out := new(dto.Metric)
		if err := m.Write(out); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(m.Desc().String(), `fqName: "`+name+`"`) {
			return out.GetGauge().GetValue()
		}
	}
	return 0
}
