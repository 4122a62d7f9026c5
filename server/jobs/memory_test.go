package jobs_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/state"
)

// TestStores holds each store to the contract: it reads at any offset what was appended in parts of any
// length.
func TestStores(t *testing.T) {
	kept := state.NewMemory()
	for name, s := range map[string]jobs.Store{"memory": jobs.NewMemoryStore(), "state": stateStore(t, kept)} {
		t.Run(name, func(t *testing.T) { testStore(t, s) })
	}
	if n := records(t, kept); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

func testStore(t *testing.T, s jobs.Store) {
	r := rand.New(rand.NewPCG(1, 2))
	isEmpty(t, s)
	job := jobs.Record{Owner: ann, Job: api.Job{ID: "j", State: api.JobRunning}}
	if err := s.Append(t.Context(), "j", []byte("x")); err == nil {
		t.Error("a job that there is not has results")
	}
	if err := s.Put(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	var want []byte
	for n := range 200 {
		part := bytes.Repeat([]byte{byte(n)}, r.IntN(1<<r.IntN(18)))
		want = append(want, part...)
		if err := s.Append(t.Context(), "j", part); err != nil {
			t.Fatal(err)
		}
		offset, p := r.IntN(len(want)+1), make([]byte, r.IntN(200<<10))
		got, err := s.Read(t.Context(), "j", int64(offset), p)
		if err != nil || got != min(len(p), len(want)-offset) || !bytes.Equal(p[:got], want[offset:offset+got]) {
			t.Fatalf("%d bytes at %d of %d, %v", got, offset, len(want), err)
		}
	}
	if _, err := s.Read(t.Context(), "j", -1, make([]byte, 1)); err == nil {
		t.Error("an offset below 0 is read")
	}
	job.Job.State, job.Job.ResultBytes = api.JobDone, int64(len(want))
	if err := s.Put(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, len(want)+1)
	if n, err := s.Read(t.Context(), "j", 0, p); err != nil || !bytes.Equal(p[:n], want) {
		t.Errorf("%d bytes of %d once it is over, %v", n, len(want), err)
	}
	if list, err := s.All(t.Context()); err != nil || len(list) != 1 || list[0].Owner != ann || list[0].Job.ID != "j" || list[0].Job.ResultBytes != int64(len(want)) {
		t.Errorf("%+v, %v", list, err)
	}
	for range 2 {
		if err := s.Delete(t.Context(), "j"); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Read(t.Context(), "j", 0, p); err == nil {
		t.Error("a job that was deleted is read")
	}
	isEmpty(t, s)
}

// TestMemoryStoreRoom has results take little more memory than their bytes, which is what the bounds
// of a manager count.
func TestMemoryStoreRoom(t *testing.T) {
	const count, size = 200, 64<<10 + 1
	s, parts := jobs.NewMemoryStore(), bytes.Repeat([]byte("x"), 1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range count {
		id := string(rune('a' + n))
		if err := s.Put(t.Context(), jobs.Record{Job: api.Job{ID: id}}); err != nil {
			t.Fatal(err)
		}
		for left := size; left > 0; left -= len(parts) {
			if err := s.Append(t.Context(), id, parts[:min(left, len(parts))]); err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(s)
	if each := (after.HeapAlloc - before.HeapAlloc) / count; each > size*3/2 {
		t.Errorf("results of %d bytes take %d", size, each)
	}
}
