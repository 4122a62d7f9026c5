package store_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/store"
)

func open(t *testing.T) (*store.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cache")
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func id(digit string) string { return strings.Repeat(digit, 64) }

func TestVersions(t *testing.T) {
	s, dir := open(t)
	files := map[string][]byte{"plugin.wasm": []byte("wasm"), "SHA256SUMS": nil}
	var keepers sync.WaitGroup
	for range 8 { // processes that share the directory
		keepers.Go(func() {
			if err := s.Keep(id("a"), files); err != nil {
				t.Error(err)
			}
		})
	}
	keepers.Wait()
	got, err := s.Read(id("a"))
	if err != nil || !maps.EqualFunc(got, files, bytes.Equal) {
		t.Errorf("%q, %v", got, err)
	}
	if list, err := os.ReadDir(filepath.Join(dir, "versions")); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := s.Read(id("b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "../" + id("a")[3:], id("A"), id("a") + "a"} {
		if s.Keep(bad, nil) == nil {
			t.Errorf("kept %q", bad)
		}
		if _, err := s.Read(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
	for _, bad := range []string{"", "a/b", "..", ".hidden", strings.Repeat("x", 300)} {
		if s.Keep(id("c"), map[string][]byte{bad: nil}) == nil {
			t.Errorf("kept a file %q", bad)
		}
	}
}

func TestKeepRepairs(t *testing.T) {
	s, dir := open(t)
	files := map[string][]byte{"plugin.wasm": []byte("wasm")}
	if err := s.Keep(id("a"), files); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "versions", id("a"), "plugin.wasm"), []byte("rots"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(id("a"), files); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(id("a")); err != nil || !maps.EqualFunc(got, files, bytes.Equal) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestPrune(t *testing.T) {
	s, dir := open(t)
	now := time.Now()
	for i, digit := range []string{"1", "2", "3", "4"} {
		if err := s.Keep(id(digit), map[string][]byte{"f": make([]byte, 100<<10)}); err != nil {
			t.Fatal(err)
		}
		used := now.Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, "versions", id(digit)), used, used); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Keep(id("2"), map[string][]byte{"f": make([]byte, 100<<10)}); err != nil { // in use again
		t.Fatal(err)
	}
	if err := s.Save(id("a"), store.Record{Plugin: "a", Dir: dir, Previous: id("1")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(id("b"), store.Record{Plugin: "b", Dir: filepath.Join(dir, "gone"), Previous: id("3")}); err != nil {
		t.Fatal(err)
	}
	if err := s.PruneVersions(250 << 10); err != nil {
		t.Fatal(err)
	}
	for digit, there := range map[string]bool{"1": true, "2": true, "3": false, "4": false} {
		if _, err := s.Read(id(digit)); (err == nil) != there {
			t.Errorf("%s: %v", digit, err)
		}
	}
}

func TestRecords(t *testing.T) {
	s, dir := open(t)
	if r, err := s.Load(id("1")); err != nil || r != (store.Record{}) {
		t.Errorf("%+v, %v", r, err)
	}
	want := store.Record{Plugin: "a", Serving: id("2"), Previous: id("3"), Rejected: id("4")}
	if err := s.Save(id("1"), want); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Load(id("1")); err != nil || r != want {
		t.Errorf("%+v, %v", r, err)
	}
	for range 2 {
		if err := s.Forget(id("1")); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "{", `{"serving": "../../x"}`} {
		if err := os.WriteFile(filepath.Join(dir, "plugins", id("5")+".json"), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Load(id("5")); err == nil || r != (store.Record{}) {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir); !errors.Is(err, store.ErrShared) {
		t.Errorf("%v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(file); err == nil {
		t.Error("opened a file")
	}
}

// TestOpenSweeps has what killed processes left, and what others are writing.
func TestOpenSweeps(t *testing.T) {
	_, dir := open(t)
	past := time.Now().Add(-2 * time.Hour)
	cases := map[string]struct {
		file  string // in it, if it is a directory, which is as old as can be
		fresh bool
		stays bool
	}{
		"compiled/.123.tmp":  {file: "cut"},
		"versions/.456.tmp":  {file: "plugin.wasm"},
		"plugins/.789.tmp":   {},
		"compiled/.1.tmp":    {file: "grows", fresh: true, stays: true},
		"plugins/.2.tmp":     {fresh: true, stays: true},
		"compiled/.x.tmp":    {stays: true},
		"compiled/.9.tmp.go": {file: "f", stays: true},
		"plugins/1.json":     {stays: true},
		".3.tmp":             {stays: true}, // somebody else's
	}
	for name, c := range cases {
		name = filepath.Join(dir, name)
		file := name
		if c.file != "" {
			if err := os.Mkdir(name, 0o700); err != nil {
				t.Fatal(err)
			}
			file = filepath.Join(name, c.file)
		}
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{file, name} {
			if f == file && c.fresh {
				continue
			}
			if err := os.Chtimes(f, past, past); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := store.Open(dir); err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != c.stays {
			t.Errorf("%s: %v, want it to stay: %t", name, err, c.stays)
		}
	}
}
