package jobs_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/server/jobs"
)

// TestMemoryStore reads at any offset what was appended in parts of any length.
func TestMemoryStore(t *testing.T) {
	s, r := jobs.NewMemoryStore(), rand.New(rand.NewPCG(1, 2))
	if err := s.Put(t.Context(), jobs.Record{Job: api.Job{ID: "j"}}); err != nil {
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
