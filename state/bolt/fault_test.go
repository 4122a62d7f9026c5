package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statetest"
)

// TestFull saves beyond the most that the file may have: what was saved stays, and once there is
// room the rest is saved.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{MaxBytes: 1 << 20})
	statetest.Save(t, s, statetest.Change("a", "1"))
	big := statetest.Change("big", strings.Repeat("x", 2<<20))
	for range 3 {
		if err := s.Save(t.Context(), []state.Change{big, statetest.Change("a", "2")}); state.FaultOf(err) != state.FaultFull {
			t.Fatalf("error %v", err)
		}
		statetest.Want(t, s, statetest.Change("a", "1"))
		statetest.Save(t, s, statetest.Change("b", "1"))
	}
	shut(t, s)
	s = open(t, dir, bolt.Options{})
	statetest.Want(t, s, statetest.Change("a", "1"))
	statetest.Save(t, s, big)
	statetest.Want(t, s, big)
	shut(t, s)
}

// TestCutOffWhileOpen cuts the file off while it is mapped: calls have errors, the process goes on,
// and opened anew the file is refused until it is mended.
func TestCutOffWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	for i := range 50 {
		statetest.Save(t, s, statetest.Change(strconv.Itoa(i), strings.Repeat("x", 10000)))
	}
	name := filepath.Join(dir, "state.db")
	whole, err := os.ReadFile(name)
	if err == nil {
		err = os.Truncate(name, 8<<10)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = s.List(t.Context(), state.Filter{Data: true}, func(state.Record) error { return nil })
	if !errors.Is(err, state.ErrCorrupt) || !strings.HasSuffix(err.Error(), "is corrupt: it was damaged while it was open, and must be opened anew") {
		t.Errorf("list: error %v", err)
	}
	if cause := runtime.Error(nil); !errors.As(err, &cause) {
		t.Errorf("the error does not wrap what was recovered: %v", err)
	}
	if err := s.Save(t.Context(), []state.Change{statetest.Change("a", "1")}); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("save: error %v", err)
	}
	shut(t, s)
	if _, err := s.Load(t.Context(), statetest.Key("1")); !errors.Is(err, state.ErrClosed) {
		t.Errorf("load of a closed store: error %v", err)
	}
	if _, err := bolt.Open(t.Context(), dir, bolt.Options{}); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("opened anew: error %v", err)
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, bolt.Options{})
	statetest.Want(t, s, statetest.Change("1", strings.Repeat("x", 10000)))
	statetest.Save(t, s, statetest.Change("a", "1"))
	shut(t, s)
}

// TestLeftHalfMade opens a directory in which a file was being made when its process ended.
func TestLeftHalfMade(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // before there was a file, and while it was compacted
		if err := os.WriteFile(filepath.Join(dir, "state.db.new"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, bolt.Options{})
		statetest.Save(t, s, statetest.Change("a", "1"))
		shut(t, s)
		if _, err := os.Stat(filepath.Join(dir, "state.db.new")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what was half made is there: %v", err)
		}
	}
	s := open(t, dir, bolt.Options{})
	statetest.Want(t, s, statetest.Change("a", "1"))
	shut(t, s)
}

// TestOpenEnds opens with a context that is over.
func TestOpenEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := bolt.Open(ctx, dir, bolt.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	shut(t, open(t, dir, bolt.Options{}))
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	for i := range 200 {
		statetest.Save(t, s, statetest.Change(strconv.Itoa(i), strings.Repeat("x", 20000)))
	}
	for i := range 199 {
		statetest.Save(t, s, state.Change{Record: state.Record{Key: statetest.Key(strconv.Itoa(i))}, Delete: true})
	}
	plantedKey := state.AppendKey(nil, statetest.Key("damaged"))
	shut(t, s)
	plant(t, dir, plantedKey, []byte("no record"))
	s = open(t, dir, bolt.Options{})
	before, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.FreeBytes < 1<<20 {
		t.Errorf("%d bytes are free of %d", before.FreeBytes, before.FileBytes)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := s.Stats(t.Context())
	if err != nil || after.FileBytes > before.FileBytes/10 || after.Usage != before.Usage || after.Damaged != 1 {
		t.Errorf("stats %+v, %v, before %+v", after, err, before)
	}
	statetest.Want(t, s, statetest.Change("199", strings.Repeat("x", 20000)))
	statetest.Save(t, s, statetest.Change("new", "1"))
	if _, err := bolt.Open(t.Context(), dir, bolt.Options{}); !errors.Is(err, state.ErrInUse) {
		t.Errorf("a second owner after the compaction: error %v", err)
	}
	shut(t, s)
	s = open(t, dir, bolt.Options{})
	statetest.Want(t, s, statetest.Change("new", "1"))
	shut(t, s)
	if err := s.Compact(t.Context()); !errors.Is(err, state.ErrClosed) {
		t.Errorf("a closed store: error %v", err)
	}
}

// BenchmarkOpen opens a file of 100,000 records of 200 bytes and lists it. The figure is in the documentation of Open.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir, bolt.Options{})
	const records = 100_000
	batch := make([]state.Change, 0, 10_000)
	for i := range records {
		batch = append(batch, statetest.Change(fmt.Sprintf("stream-%d", i*7919%records), string(bytes.Repeat([]byte("s"), 200))))
		if len(batch) == cap(batch) {
			statetest.Save(b, s, batch...)
			batch = batch[:0]
		}
	}
	st, err := s.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	shut(b, s)
	for b.Loop() {
		s := open(b, dir, bolt.Options{})
		n := 0
		if err := s.List(b.Context(), state.Filter{}, func(state.Record) error { n++; return nil }); err != nil || n != records {
			b.Fatal(n, err)
		}
		b.StopTimer()
		shut(b, s)
		b.StartTimer()
	}
	b.ReportMetric(float64(st.FileBytes-st.FreeBytes)/records, "file-B/record")
}

// BenchmarkSave saves all of 100,000 records of 100 bytes in batches as a host does, sorted by key.
func BenchmarkSave(b *testing.B) {
	s := open(b, b.TempDir(), bolt.Options{})
	defer shut(b, s)
	const records, batch = 100_000, 1024
	changes := make([]state.Change, records)
	for i := range changes {
		changes[i].Record = state.Record{
			Key: state.Key{Kind: state.KindStream, Transform: "count", Name: fmt.Sprintf("%06d", i)}, Data: make([]byte, 100), Changed: time.Now(),
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for some := range slices.Chunk(changes, batch) {
			if err := s.Save(b.Context(), some); err != nil {
				b.Fatal(err)
			}
		}
	}
}
