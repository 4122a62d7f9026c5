package bolt_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
)

// TestBytesOfStreams holds records to what a changed stream may take: 1.3 times its state, and 64
// bytes for its name and all the rest. The file has whole pages, so after compaction it has up to 1.4
// times that what records take in a page: a record of 3,000 bytes has one to itself. Streams come in any
// order, and are saved in batches like a host's.
func TestBytesOfStreams(t *testing.T) {
	const streams, batch = 20_000, 1024
	for _, size := range []int{8, 100, 500, 1000, 3000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := open(t, t.TempDir(), bolt.Options{})
			defer shut(t, s)
			var changes []state.Change
			for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(streams) {
				changes = append(changes, state.Change{Record: state.Record{
					Key:  state.Key{Kind: state.KindStream, Transform: "count", Name: fmt.Sprint(i)},
					Data: make([]byte, size), Changed: time.Now(),
				}})
				if len(changes) == batch {
					if err := s.Save(t.Context(), changes); err != nil {
						t.Fatal(err)
					}
					changes = changes[:0]
				}
			}
			if err := s.Save(t.Context(), changes); err != nil {
				t.Fatal(err)
			}
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			st, err := s.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			key := state.AppendKey(nil, state.Key{Kind: state.KindStream, Transform: "count", Name: fmt.Sprint(streams)})
			record := float64(len(key) + state.Codec{}.Stored(size))
			if most := 1.3*float64(size) + 64; record > most {
				t.Errorf("a record has %v bytes, want %v", record, most)
			}
			const element = 16 // of bbolt's, in a page
			got, most := float64(st.FileBytes-st.FreeBytes)/streams, 1.4*(record+element)
			t.Logf("a record has %v bytes, and %.1f in the file", record, got)
			if got > most {
				t.Errorf("%.1f bytes a stream in the file, want %.1f", got, most)
			}
		})
	}
}
