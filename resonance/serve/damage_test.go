package serve_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
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
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before := stored(t, file)
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
		if err := kept.Close(); err != nil {
			t.Fatal(err)
		}
		if n := stored(t, file); n != before {
			t.Errorf("bit %d of %q: %d records are left of %d", bit, key, n, before)
		}
	}
	if damaged < len(key) {
		t.Errorf("of %d bits, %d leave a file that is opened", 8*len(key), damaged)
	}
}

// stored counts the records of a file, those with damaged keys too.
func stored(t *testing.T, file string) (n int) {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err == nil {
		err = db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("resonhost state 1")).ForEach(func(_, _ []byte) error { n++; return nil })
		})
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}
