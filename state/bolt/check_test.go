package bolt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statetest"
)

func checkBytes(b []byte) (string, error) {
	return bolt.Check(context.Background(), bytes.NewReader(b), int64(len(b)))
}

// small makes a file with pages of 1 KiB that has branches, long values, and free pages. It returns
// the file and the number of its records.
func small(tb testing.TB) (file []byte, records int) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "state.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 1 << 10})
	if err != nil {
		tb.Fatal(err)
	}
	for round := range 4 {
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("resonhost state 1"))
			if err != nil {
				return err
			}
			for i := range 40 {
				c := statetest.Change(strconv.Itoa(i), strings.Repeat("x", round*7+i%11*30))
				if i == 30 {
					c.Data = bytes.Repeat([]byte("long"), 2000)
				}
				v, err := state.Codec{}.Append(nil, &c.Record)
				if err != nil {
					return err
				}
				if err := b.Put(state.AppendKey(nil, c.Key), v); err != nil {
					return err
				}
			}
			return b.Delete(state.AppendKey(nil, statetest.Key(strconv.Itoa(round))))
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	if file, err = os.ReadFile(path); err != nil {
		tb.Fatal(err)
	}
	return file[:pages(file)<<10], 39
}

// pages is how many pages of a file are in use, by its meta pages.
func pages(file []byte) int64 {
	const end, transaction = 16 + 40, 16 + 48
	at := 0
	if binary.NativeEndian.Uint64(file[1<<10+transaction:]) > binary.NativeEndian.Uint64(file[transaction:]) {
		at = 1 << 10
	}
	return int64(binary.NativeEndian.Uint64(file[at+end:]))
}

// resum puts the sums of both meta pages right, so that what a damaged file says is followed.
func resum(file []byte) {
	for _, at := range []int{16, 1<<10 + 16} {
		if len(file) < at+64 {
			return
		}
		sum := fnv.New64a()
		_, _ = sum.Write(file[at : at+56])
		binary.NativeEndian.PutUint64(file[at+56:], sum.Sum64())
	}
}

// use opens a file that passed the check as a store, reads everything, and writes. It returns how
// many records there were, those that cannot be read among them.
func use(tb testing.TB, file []byte) int {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.db"), file, 0o600); err != nil {
		tb.Fatal(err)
	}
	s := open(tb, dir, bolt.Options{})
	defer shut(tb, s)
	records := 0
	var changes []state.Change
	err := s.List(tb.Context(), state.Filter{Data: true}, func(r state.Record) error {
		records++
		if r.Key.Check() == nil {
			changes = append(changes, state.Change{Record: state.Record{Key: r.Key, Data: []byte("new")}, Delete: records%3 == 0})
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	statetest.Save(tb, s, changes...)
	for i := range changes {
		changes[i].Delete = true
	}
	statetest.Save(tb, s, statetest.Change("large", strings.Repeat("y", 30000)))
	statetest.Save(tb, s, changes...)
	statetest.Want(tb, s, statetest.Change("large", strings.Repeat("y", 30000)))
	return records
}

func TestCheckAccepts(t *testing.T) {
	file, records := small(t)
	if warning, err := checkBytes(file); warning != "" || err != nil {
		t.Errorf("warning %q, error %v", warning, err)
	}
	if got := use(t, file); got != records {
		t.Errorf("%d records, want %d", got, records)
	}
}

// TestCutOff cuts a file at each length: it is refused before bbolt maps it.
func TestCutOff(t *testing.T) {
	file, _ := small(t)
	for n := range file {
		if n%64 > 1 && n > 4096 {
			continue
		}
		if _, err := checkBytes(file[:n]); !errors.Is(err, state.ErrCorrupt) {
			t.Fatalf("cut off at %d of %d: error %v", n, len(file), err)
		}
	}
	for _, n := range []int{0, 1, 1024, 4096, len(file) - 1} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state.db"), file[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := bolt.Open(t.Context(), dir, bolt.Options{}); !errors.Is(err, state.ErrCorrupt) || !strings.HasPrefix(err.Error(), filepath.Join(dir, "state.db")+": is corrupt: ") {
			t.Errorf("cut off at %d: error %v", n, err)
		}
	}
}

// TestFlippedBits flips single bits. The file is refused, or all its records are there, or told to
// be damaged.
func TestFlippedBits(t *testing.T) {
	file, records := small(t)
	refused, used := 0, 0
	for at := range file {
		if at >= 2<<10 && at%1024 >= 48 && at%97 != 0 || testing.Short() && at%3 != 0 { // the heads of pages, and some of the rest
			continue
		}
		for bit := range 8 {
			file[at] ^= 1 << bit
			warning, err := checkBytes(file)
			switch {
			case err != nil:
				if !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrNewer) {
					t.Fatalf("bit %d of byte %d: error %v", bit, at, err)
				}
				refused++
			case warning != "":
				if at >= 2<<10 {
					t.Fatalf("bit %d of byte %d: warning %s", bit, at, warning)
				}
			case (at+bit)%61 == 0: // a sample
				used++
				if got := use(t, file); got != records {
					t.Errorf("bit %d of byte %d: %d records, want %d", bit, at, got, records)
				}
			}
			file[at] ^= 1 << bit
		}
	}
	if refused < 500 || used < 5 {
		t.Errorf("%d files were refused and %d used: too few to show anything", refused, used)
	}
}

// TestFallsBack damages one of the two meta pages: the file is used as the other has it, and that
// is said.
func TestFallsBack(t *testing.T) {
	file, _ := small(t)
	for _, at := range []int{20, 1<<10 + 20} {
		bad := bytes.Clone(file)
		bad[at] ^= 1
		if warning, err := checkBytes(bad); err != nil || !strings.HasPrefix(warning, fmt.Sprintf("page %d is damaged", at>>10)) {
			t.Errorf("warning %q, error %v", warning, err)
		}
		use(t, bad)
	}
}

// TestOthersFiles opens what is a file of bbolt, but none of ours.
func TestOthersFiles(t *testing.T) {
	for name, want := range map[string]error{"resonhost state 2": state.ErrNewer, "etcd": state.ErrCorrupt, "": state.ErrCorrupt} {
		dir := t.TempDir()
		db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if name != "" {
			err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte(name)); return err })
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := bolt.Open(t.Context(), dir, bolt.Options{}); !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", name, err, want)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "state.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(t.Context(), dir, bolt.Options{}); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("a directory: error %v", err)
	}
}

// TestCheckAcceptsAll changes a file in many ways and checks it after each: what bbolt writes is
// never refused.
func TestCheckAcceptsAll(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	for _, pageSize := range []int{1 << 10, 4 << 10} {
		churn(t, pageSize, rounds)
	}
}

func churn(t *testing.T, pageSize, rounds int) {
	random := rand.New(rand.NewPCG(1, uint64(pageSize)))
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pageSize, NoSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("resonhost state 1"))
			if err != nil {
				return err
			}
			b.FillPercent = []float64{0.1, 0.5, 0.9, 1}[random.IntN(4)]
			deletes := random.IntN(4) // of four changes
			for range 1 + random.IntN(400) {
				key := []byte(strconv.Itoa(random.IntN(3000)) + strings.Repeat("k", random.IntN(3)*100))
				if random.IntN(4) < deletes {
					err = b.Delete(key)
				} else {
					err = b.Put(key, make([]byte, random.IntN(400)*random.IntN(1+random.IntN(20))))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if warning, err := checkBytes(file); warning != "" || err != nil {
			t.Fatalf("pages of %d, round %d: warning %q, error %v", pageSize, round, warning, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzCheck checks files in which some numbers are others, and whose sums are right. One that passes
// is used, which would end the process if bbolt could not work with it.
func FuzzCheck(f *testing.F) {
	whole, _ := small(f)
	f.Add([]byte{2, 10, 0, 0, 1})
	f.Add([]byte{0, 40, 0, 0, 4, 3, 10, 0, 1, 9})
	f.Fuzz(func(t *testing.T, patches []byte) {
		file := bytes.Clone(whole)
		for ; len(patches) >= 5; patches = patches[5:] {
			at := int(patches[0])<<10 + int(patches[1]) + int(patches[2]&3)<<8 // of a page
			if at < len(file) {
				file[at] = patches[4]
			}
		}
		resum(file)
		if _, err := checkBytes(file); err == nil {
			use(t, file)
		} else if !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrNewer) {
			t.Fatalf("error %v", err)
		}
	})
}

// FuzzCheckBytes checks any bytes.
func FuzzCheckBytes(f *testing.F) {
	whole, _ := small(f)
	f.Add(whole[:4<<10])
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := checkBytes(file); err == nil {
			use(t, file)
		}
	})
}
