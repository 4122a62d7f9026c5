package serve_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statetest"
)

// TestFlippedKey flips each bit of the stored key of a network's head, one at a time. What else there is
// of the network stays, whatever the key is then.
func TestFlippedKey(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.db")
	kept, err := bolt.Open(t.Context(), dir, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := live(t, kept, serve.Options{}, nil, tick.New())
	a.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "abc"}`, nil)
	a.do(http.StatusCreated, http.MethodPost, "/v1/networks/abc/nodes", `{}`, nil)
	a.end()
	before := statetest.Records(t, kept)
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Behind the key of the head comes its record; behind that of a part, the rest of that key.
	key := state.AppendKey(nil, state.Key{Kind: state.KindNetwork, Name: "abc"})
	head := append(bytes.Clone(key), "RS\x01"...)
	if before < 2 || !bytes.Contains(whole, head) {
		t.Fatalf("%d records, and no head", before)
	}
	damaged := 0
	for bit := range 8 * len(key) {
		flipped := bytes.Clone(head)
		flipped[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(file, bytes.ReplaceAll(whole, head, flipped), 0o600); err != nil {
			t.Fatal(err)
		}
		kept, err := bolt.Open(t.Context(), dir, bolt.Options{})
		if err != nil {
			continue // the file as a whole is told to be damaged
		}
		damaged++
		b := live(t, kept, serve.Options{}, nil, tick.New())
		b.end() // which saves
		if n := statetest.Records(t, kept); n != before {
			t.Errorf("bit %d of %q: %d records are left of %d", bit, key, n, before)
		}
		if err := kept.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if damaged < len(key) {
		t.Errorf("of %d bits, %d leave a file that is opened", 8*len(key), damaged)
	}
}

// TestFlippedIntoAnother flips a bit of the stored keys of one network, so that they are among those of another, which is
// healthy and saves. Nothing is deleted: who mends the bit has the network again.
func TestFlippedIntoAnother(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.db")
	opened := func() *bolt.Store {
		kept, err := bolt.Open(t.Context(), dir, bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	kept := opened()
	a := live(t, kept, serve.Options{}, nil, tick.New())
	for _, id := range []string{"abc", "abc.1"} { // "." and "/" differ by one bit
		a.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "`+id+`"}`, nil)
		a.do(http.StatusCreated, http.MethodPost, "/v1/networks/"+id+"/nodes", `{}`, nil)
	}
	a.end()
	before := statetest.Records(t, kept)
	var keys [][]byte
	err := kept.List(t.Context(), state.Filter{Prefix: "abc.1"}, func(r state.Record) error {
		keys = append(keys, state.AppendKey(nil, r.Key))
		return nil
	})
	if err := errors.Join(err, kept.Close()); err != nil || len(keys) < 2 {
		t.Fatalf("%d keys, error %v", len(keys), err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for _, key := range keys {
		stored := append(bytes.Clone(key), "RS\x01"...)
		flipped := bytes.Replace(stored, []byte("abc.1"), []byte("abc/1"), 1)
		if err := os.WriteFile(file, bytes.ReplaceAll(whole, stored, flipped), 0o600); err != nil {
			t.Fatal(err)
		}
		kept, err := bolt.Open(t.Context(), dir, bolt.Options{})
		if err != nil {
			continue // the file as a whole is told to be damaged
		}
		damaged++
		b := live(t, kept, serve.Options{}, nil, tick.New())
		b.do(http.StatusOK, http.MethodGet, "/v1/networks/abc", "", nil)
		b.end() // which saves
		if n := statetest.Records(t, kept); n != before {
			t.Errorf("%q: %d records are left of %d", key, n, before)
		}
		if err := kept.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if damaged == 0 {
		t.Error("no file is opened")
	}
}
