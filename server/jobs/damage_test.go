package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statetest"
)

// underWay stores a job that is under way, with 300,000 bytes of results.
func underWay(t *testing.T, kept state.Store) {
	t.Helper()
	s := stateStore(t, kept)
	job := jobs.Record{Owner: ann, Job: api.Job{ID: "j", State: api.JobRunning}}
	line := strings.Repeat("x", 99) + "\n"
	if err := errors.Join(s.Put(t.Context(), job), s.Append(t.Context(), "j", []byte(strings.Repeat(line, 3000))), s.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// contents returns all that a store has.
func contents(t *testing.T, s state.Store) map[state.Key]string {
	t.Helper()
	all := make(map[state.Key]string)
	if err := s.List(t.Context(), state.Filter{Data: true}, func(r state.Record) error { all[r.Key] = string(r.Data); return r.Err }); err != nil {
		t.Fatal(err)
	}
	return all
}

// unloadable is a store that fails to load one record.
type unloadable struct {
	state.Store

	key string // as it is shown
	err error
}

func (u *unloadable) Load(ctx context.Context, key state.Key) (state.Record, error) {
	if key.String() == u.key {
		return state.Record{}, u.err
	}
	return u.Store.Load(ctx, key)
}

// TestResultsNotLoaded starts on a job under way, one of whose segments cannot be loaded. It fails if that
// is the store's fault, and leaves the job out if it is the record's. Nothing that is stored is changed.
func TestResultsNotLoaded(t *testing.T) {
	b := start(t, jobs.Options{})
	for _, c := range []struct {
		err   error
		fails bool
	}{
		{fmt.Errorf("server: %w", state.ErrUnavailable), true},
		{context.DeadlineExceeded, true},
		{errors.New("disk"), true},
		{state.ErrNotFound, false},
		{&state.RecordError{Reason: "its sum is another", Err: state.ErrCorrupt}, false},
	} {
		for _, segment := range []string{"00000000", "00000002", "00000004"} {
			kept := state.NewMemory()
			underWay(t, kept)
			before := contents(t, kept)
			var log bytes.Buffer
			store := jobs.NewStateStore(&unloadable{kept, state.Key{Kind: state.KindOutput, Tenant: ann.Tenant, Name: "j/" + segment}.String(), c.err}, slog.New(slog.NewTextHandler(&log, nil)))
			m, err := jobs.New(t.Context(), b.host, codec.New(), jobs.Options{Store: store})
			if c.fails != (err != nil) || c.fails && (!errors.Is(err, c.err) || !strings.Contains(err.Error(), "results of the stored job j cannot be read")) {
				t.Errorf("%v: error %v", c.err, err)
			}
			if m != nil {
				if _, err := m.Get(ann, "j"); !errors.Is(err, jobs.ErrNotFound) || !strings.Contains(log.String(), "it is left out") {
					t.Errorf("%v: error %v of the job, log %s", c.err, err, &log)
				}
				m.Close(t.Context())
			}
			if !maps.Equal(before, contents(t, kept)) {
				t.Errorf("%v of segment %s: what is stored has changed", c.err, segment)
			}
		}
	}
}

// TestSegmentGone leaves out a job under way of whose segments one is not there, with what there is of it.
func TestSegmentGone(t *testing.T) {
	kept := state.NewMemory()
	underWay(t, kept)
	if err := kept.Save(t.Context(), []state.Change{{Record: state.Record{Key: state.Key{Kind: state.KindOutput, Tenant: ann.Tenant, Name: "j/00000001"}}, Delete: true}}); err != nil {
		t.Fatal(err)
	}
	before := contents(t, kept)
	if list, err := jobs.NewStateStore(kept, slog.New(slog.DiscardHandler)).All(t.Context()); len(list) > 0 || err != nil {
		t.Errorf("%+v, %v", list, err)
	}
	if !maps.Equal(before, contents(t, kept)) {
		t.Error("what is stored has changed")
	}
}

// TestFlippedKey flips each bit of the stored key of a job, one at a time. Its results stay, whatever the
// key is then.
func TestFlippedKey(t *testing.T) {
	dir := t.TempDir()
	file := func() string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, "*.db"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		return found[0]
	}
	open := func() (*bolt.Store, error) { return bolt.Open(t.Context(), dir, bolt.Options{}) }
	kept, err := open()
	if err != nil {
		t.Fatal(err)
	}
	underWay(t, kept)
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file())
	if err != nil {
		t.Fatal(err)
	}
	key := state.AppendKey(nil, state.Key{Kind: state.KindJob, Tenant: ann.Tenant, Name: "j"})
	damaged := 0
	for bit := range 8 * len(key) {
		flipped := bytes.Clone(key)
		flipped[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(file(), bytes.ReplaceAll(whole, key, flipped), 0o600); err != nil {
			t.Fatal(err)
		}
		kept, err := open()
		if err != nil {
			continue // the file as a whole is told to be damaged
		}
		damaged++
		list, err := jobs.NewStateStore(kept, slog.New(slog.DiscardHandler)).All(t.Context())
		if len(list) > 0 || err != nil {
			t.Errorf("bit %d: %+v, %v", bit, list, err)
		}
		if n := statetest.Records(t, kept); n != 6 {
			t.Errorf("bit %d of %q: %d records are left of 6", bit, key, n)
		}
		if err := kept.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if damaged < len(key) {
		t.Errorf("of %d bits, %d leave a file that is opened", 8*len(key), damaged)
	}
}

// TestFlippedIntoAnother flips a bit of the stored key of one job's results, so that they seem to be those of another,
// which is whole. That is deleted without them: who mends the bit has the job again.
func TestFlippedIntoAnother(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.db")
	open := func() *bolt.Store {
		t.Helper()
		kept, err := bolt.Open(t.Context(), dir, bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	rewrite := func(from, to []byte) {
		t.Helper()
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, bytes.ReplaceAll(whole, from, to), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept := open()
	s := stateStore(t, kept)
	results := strings.Repeat("1\n", 10)
	for id, lines := range map[string]string{"j": "", "k": results} { // they differ by one bit
		job := jobs.Record{Owner: ann, Job: api.Job{ID: id, State: api.JobDone, ResultBytes: int64(len(lines))}}
		begun := job
		begun.Job.State = api.JobRunning
		if err := errors.Join(s.Put(t.Context(), begun), s.Append(t.Context(), id, []byte(lines)), s.Put(t.Context(), job)); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	key := func(id string) []byte {
		return state.AppendKey(nil, state.Key{Kind: state.KindOutput, Tenant: ann.Tenant, Name: id + "/00000000"})
	}
	rewrite(key("k"), key("j"))
	kept = open()
	s = jobs.NewStateStore(kept, slog.New(slog.DiscardHandler))
	if list, err := s.All(t.Context()); err != nil || len(list) != 1 || list[0].Job.ID != "j" {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := errors.Join(s.Delete(t.Context(), "j"), kept.Close()); err != nil {
		t.Fatal(err)
	}
	rewrite(key("j"), key("k"))
	kept = open()
	defer kept.Close()
	if got := read(t, stateStore(t, kept), "k"); got != results {
		t.Errorf("results %q", got)
	}
}
