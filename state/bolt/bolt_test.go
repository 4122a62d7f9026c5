package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB, dir string, opt bolt.Options) *bolt.Store {
	tb.Helper()
	s, err := bolt.Open(tb.Context(), dir, opt)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func shut(tb testing.TB, s *bolt.Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// subject is a store in a directory of its own, whose records are kept by a codec.
func subject(opt bolt.Options) statetest.Subject {
	return statetest.Subject{
		New: func(tb testing.TB) state.Store { return open(tb, tb.TempDir(), opt) },
		Again: func(tb testing.TB, s state.Store) state.Store {
			dir := s.(*bolt.Store).Dir()
			shut(tb, s.(*bolt.Store))
			return open(tb, dir, opt)
		},
		Plant: func(tb testing.TB, s state.Store, key, value []byte) state.Store {
			dir := s.(*bolt.Store).Dir()
			shut(tb, s.(*bolt.Store))
			plant(tb, dir, key, value)
			return open(tb, dir, opt)
		},
	}
}

func plant(tb testing.TB, dir string, key, value []byte) {
	tb.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
	if err != nil {
		tb.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("resonhost state 1")).Put(key, value) })
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
}

func TestStore(t *testing.T) { statetest.Run(t, subject(bolt.Options{})) }

func TestSealedStore(t *testing.T) {
	keys, err := state.ParseKeys([]byte(state.NewKey()))
	if err != nil {
		t.Fatal(err)
	}
	statetest.Run(t, subject(bolt.Options{Codec: state.Codec{Cipher: keys}}))
}

func TestSecondOwner(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	_, err := bolt.Open(t.Context(), dir, bolt.Options{})
	owned := (*state.OwnerError)(nil)
	if !errors.Is(err, state.ErrInUse) || !errors.As(err, &owned) {
		t.Fatalf("a second owner: error %v", err)
	}
	host, _ := os.Hostname()
	if owned.Where != dir || owned.Owner.PID != os.Getpid() || owned.Owner.Host != host || owned.Owner.Since.IsZero() {
		t.Errorf("the owner is %+v", owned)
	}
	statetest.Save(t, s, statetest.Change("a", "1")) // which the attempt does not disturb
	shut(t, s)
	s = open(t, dir, bolt.Options{})
	statetest.Want(t, s, statetest.Change("a", "1"))
	shut(t, s)
}

// TestBoltHasIt opens a directory whose file a tool of bbolt's has open.
func TestBoltHasIt(t *testing.T) {
	dir := t.TempDir()
	shut(t, open(t, dir, bolt.Options{}))
	db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = bolt.Open(t.Context(), dir, bolt.Options{})
	if !errors.Is(err, state.ErrInUse) {
		t.Errorf("error %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	shut(t, open(t, dir, bolt.Options{}))
}
