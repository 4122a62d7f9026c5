package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/state"
)

// stateStore returns jobs in a store, as a new process has them.
func stateStore(t *testing.T, s state.Store) *jobs.StateStore {
	t.Helper()
	store := jobs.NewStateStore(s, slog.New(slog.DiscardHandler))
	if _, err := store.All(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// read reads all results of a job.
func read(t *testing.T, s jobs.Store, id string) string {
	t.Helper()
	var all []byte
	for p := make([]byte, 10_000); ; {
		n, err := s.Read(t.Context(), id, int64(len(all)), p)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return string(all)
		}
		all = append(all, p[:n]...)
	}
}

// records counts what a store has.
func records(t *testing.T, s state.Store) int {
	t.Helper()
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Records
}

// TestStateStoreOutlives reads the results of a job by another process. Deleted, it leaves nothing.
func TestStateStoreOutlives(t *testing.T) {
	kept := state.NewMemory()
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300_000} {
		s := stateStore(t, kept)
		want := strings.Repeat("line\n", size)[:size]
		job := jobs.Record{Owner: ann, Job: api.Job{ID: "j", State: api.JobQueued}}
		for _, err := range []error{
			s.Put(t.Context(), job), s.Append(t.Context(), "j", []byte(want[:size/3])), s.Append(t.Context(), "j", []byte(want[size/3:])),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		job.Job.State, job.Job.ResultBytes = api.JobDone, int64(size)
		if err := s.Put(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		again := stateStore(t, kept)
		if got := read(t, again, "j"); got != want {
			t.Errorf("%d bytes of %d", len(got), size)
		}
		if err := again.Delete(t.Context(), "j"); err != nil {
			t.Error(err)
		}
		if n := records(t, kept); n != 0 {
			t.Errorf("%d records are left of %d bytes", n, size)
		}
	}
}

// TestJobsAfterACrash has a job fail whose process has ended, with the whole lines that were stored and
// one that says why.
func TestJobsAfterACrash(t *testing.T) {
	kept := state.NewMemory()
	s := stateStore(t, kept)
	job := jobs.Record{Owner: ann, Job: api.Job{ID: "j", State: api.JobRunning, Transform: "t.echo", Tasks: 9000}}
	lines := strings.Repeat(`{"n":0}`+"\n", 8000) + `{"error":{"status":400}}` + "\n" + strings.Repeat("x", 100_000)
	if err := errors.Join(s.Put(t.Context(), job), s.Append(t.Context(), "j", []byte(lines))); err != nil {
		t.Fatal(err)
	}
	b := start(t, jobs.Options{})
	for range 2 { // what the first has made of it, the second has as well
		m, err := jobs.New(t.Context(), b.host, codec.New(), jobs.Options{Store: jobs.NewStateStore(kept, slog.New(slog.DiscardHandler))})
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Get(ann, "j")
		if err != nil || got.State != api.JobFailed || got.Error.Kind != host.KindUnavailable || got.Done != 8001 || got.Failed != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		p := make([]byte, len(lines))
		n, over, err := m.Results(t.Context(), ann, "j", 0, p, true)
		text := string(p[:n])
		whole := lines[:strings.LastIndexByte(lines, '\n')+1]
		last, ok := strings.CutPrefix(text, whole)
		if !over || err != nil || !ok || strings.Count(last, "\n") != 1 || !strings.Contains(last, "the server ended") || int64(n) != got.ResultBytes {
			t.Errorf("%d bytes, %.300q behind %t, %t, %v; the job has %d", n, last, ok, over, err, got.ResultBytes)
		}
		m.Close(t.Context())
	}
}

// TestFlush has the results of a job under way outlive its process: what was flushed, also a second
// time, and no later than a segment that is full.
func TestFlush(t *testing.T) {
	kept := state.NewMemory()
	s := stateStore(t, kept)
	job := jobs.Record{Owner: ann, Job: api.Job{ID: "j", State: api.JobRunning, Tasks: 9000}}
	line := strings.Repeat("x", 999) + "\n"
	put := func(lines int) {
		t.Helper()
		if err := errors.Join(s.Append(t.Context(), "j", []byte(strings.Repeat(line, lines))), s.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	for _, lines := range []int{1, 2, 70, 0, 130} {
		put(lines)
		if err := s.Append(t.Context(), "j", []byte("half a line")); err != nil {
			t.Fatal(err)
		}
		want := read(t, s, "j")
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := stateStore(t, kept)
		if got := read(t, again, "j"); got != want[:strings.LastIndexByte(want, '\n')+1] {
			t.Errorf("%d bytes, want the whole lines of %d", len(got), len(want))
		}
		if err := s.Append(t.Context(), "j", []byte("\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Delete(t.Context(), "j"), s.Flush(t.Context())); err != nil {
		t.Error(err)
	}
	if n := records(t, kept); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// TestStateStoreFails appends nothing if the store fails, and goes on once it does not.
func TestStateStoreFails(t *testing.T) {
	kept := &faulty{Memory: state.NewMemory()}
	s := stateStore(t, kept)
	job := jobs.Record{Owner: ann, Job: api.Job{ID: "j", State: api.JobRunning}}
	if err := errors.Join(s.Put(t.Context(), job), s.Append(t.Context(), "j", []byte("a"))); err != nil {
		t.Fatal(err)
	}
	kept.fault = state.ErrUnavailable
	if err := s.Append(t.Context(), "j", bytes.Repeat([]byte("b"), 100_000)); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	kept.fault = nil
	if err := s.Append(t.Context(), "j", bytes.Repeat([]byte("c"), 100_000)); err != nil {
		t.Error(err)
	}
	if got := read(t, s, "j"); got != "a"+strings.Repeat("c", 100_000) {
		t.Errorf("%d bytes, %.10s", len(got), got)
	}
}

// faulty is a store that saves nothing while it has a fault.
type faulty struct {
	*state.Memory

	fault error
}

func (f *faulty) Save(ctx context.Context, changes []state.Change) error {
	if f.fault != nil {
		return f.fault
	}
	return f.Memory.Save(ctx, changes)
}

// TestStrangeJobs leaves out what is no job, tells of it by its key, and leaves it as it is. Segments
// without a job are deleted once all jobs can be read.
func TestStrangeJobs(t *testing.T) {
	kept := state.NewMemory()
	put := func(kind state.Kind, name string, format int, data string) {
		t.Helper()
		r := state.Record{Key: state.Key{Kind: kind, Tenant: ann.Tenant, Name: name}, Format: format, Changed: time.UnixMilli(1), Data: []byte(data)}
		if err := kept.Save(t.Context(), []state.Change{{Record: r}}); err != nil {
			t.Fatal(err)
		}
	}
	job := func(id string, resultBytes int64) string {
		b, err := json.Marshal(jobs.Record{Owner: ann, Job: api.Job{ID: id, State: api.JobDone, ResultBytes: resultBytes}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	put(state.KindJob, "good", 1, job("good", 0))
	strange := map[string]string{
		"text": "x", "other": job("good", 0), "long": job("long", 1), "large": strings.Repeat(" ", 64<<10) + job("large", 0),
		"state": strings.Replace(job("state", 0), "done", "gone", 1), "below": job("below", -1), "newer": job("newer", 0),
	}
	for name, data := range strange {
		format := 1
		if name == "newer" {
			format = 2
		}
		put(state.KindJob, name, format, data)
	}
	put(state.KindOutput, "text/00000000", 1, "results of a job that cannot be read")
	put(state.KindOutput, "gone/00000000", 1, "results of no job")
	put(state.KindOutput, "gone/0", 1, "nobody's")
	put(state.KindOutput, "good/7fffffff", 1, "results beyond those of the job")
	var log bytes.Buffer
	store := jobs.NewStateStore(kept, slog.New(slog.NewTextHandler(&log, nil)))
	list, err := store.All(t.Context())
	if err != nil || len(list) != 1 || list[0].Job.ID != "good" {
		t.Errorf("%+v, %v", list, err)
	}
	for name := range strange {
		if !strings.Contains(log.String(), "job/"+ann.Tenant+"/"+name+":") && !strings.Contains(log.String(), "/"+name+":") {
			t.Errorf("nothing tells of %s:\n%s", name, log.String())
		}
	}
	h := hosted.Start(t, host.Config{StartEmpty: true, State: state.NewMemory()})
	m, err := jobs.New(t.Context(), h, codec.New(), jobs.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if n := h.Stats().State.Unreadable[state.KindJob]; n != len(strange) {
		t.Errorf("%d jobs count as unreadable, want %d", n, len(strange))
	}
	m.Close(t.Context())
	if n := records(t, kept); n != 2+len(strange)+3 {
		t.Errorf("%d records are left", n)
	}
	if err := store.Delete(t.Context(), "good"); err != nil { // of those segments alone that there are
		t.Error(err)
	}
	if n := records(t, kept); n != len(strange)+3 {
		t.Errorf("%d records are left without the good job", n)
	}
	for name := range strange {
		if err := kept.Save(t.Context(), []state.Change{{Record: state.Record{Key: state.Key{Kind: state.KindJob, Tenant: ann.Tenant, Name: name}}, Delete: true}}); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := store.All(t.Context()); len(list) > 0 || err != nil {
		t.Errorf("%+v, %v", list, err)
	}
	if n := records(t, kept); n != 1 { // nobody's
		t.Errorf("%d records are left without any job", n)
	}
}

// FuzzStateStore has a store with any record and any segment: nothing panics, and what is listed can be
// read and deleted.
func FuzzStateStore(f *testing.F) {
	f.Add([]byte(`{"owner":{"tenant":"acme","principal":"ann"},"job":{"id":"j","state":"done","result_bytes":2}}`), []byte("{}"))
	f.Add([]byte(`{"owner":{"tenant":"acme"},"job":{"id":"j","state":"running"}}`), bytes.Repeat([]byte("{}\n"), 64<<10/3+1)[:64<<10])
	f.Add([]byte(`{"owner":{"tenant":"acme"},"job":{"id":"j","state":"running"}}`), bytes.Repeat([]byte("{     }\n"), 64<<10/8))
	f.Fuzz(func(t *testing.T, record, segment []byte) {
		kept := state.NewMemory()
		if err := kept.Save(t.Context(), []state.Change{
			{Record: state.Record{Key: state.Key{Kind: state.KindJob, Tenant: "acme", Name: "j"}, Format: 1, Changed: time.UnixMilli(1), Data: record}},
			{Record: state.Record{Key: state.Key{Kind: state.KindOutput, Tenant: "acme", Name: "j/00000000"}, Format: 1, Changed: time.UnixMilli(1), Data: segment}},
		}); err != nil {
			return // longer than a store keeps
		}
		s := jobs.NewStateStore(kept, slog.New(slog.DiscardHandler))
		list, err := s.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if got := read(t, s, r.Job.ID); int64(len(got)) != r.Job.ResultBytes {
				t.Errorf("%d bytes of %d", len(got), r.Job.ResultBytes)
			}
			if err := s.Delete(t.Context(), r.Job.ID); err != nil || records(t, kept) != 0 {
				t.Errorf("%d records are left, %v", records(t, kept), err)
			}
		}
	})
}
