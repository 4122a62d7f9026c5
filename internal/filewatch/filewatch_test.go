package filewatch_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/internal/filewatch"
)

// followed is files that a test changes, and what was told of them.
type followed struct {
	*filewatch.Watcher

	paths []string
	taken chan string
	told  chan error
}

// follow follows files that are good unless they begin with "bad".
func follow(t *testing.T, poll time.Duration, paths ...string) *followed {
	t.Helper()
	contents, err := filewatch.Read(paths, 100)
	if err != nil {
		t.Fatal(err)
	}
	f := &followed{paths: paths, taken: make(chan string, 100), told: make(chan error, 100)}
	f.Watcher = filewatch.Start(filewatch.Config{
		Paths: paths, Max: 100, Settle: 10 * time.Millisecond, Patience: 100 * time.Millisecond, Poll: poll,
		Take: func(contents [][]byte) error {
			for _, c := range contents {
				if strings.HasPrefix(string(c), "bad") {
					return errors.New(string(c))
				}
			}
			f.taken <- string(bytes.Join(contents, []byte("|"))) + "|"
			return nil
		},
		Told: func(err error) { f.told <- err },
	}, contents)
	return f
}

// want waits for what is told next, and for what was taken before if that is good.
func (f *followed) want(t *testing.T, taken, fault string) {
	t.Helper()
	err := <-f.told
	if fault != "" {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Fatalf("told %v, want %s", err, fault)
		}
		return
	}
	if err != nil {
		t.Fatalf("told %v", err)
	}
	if taken == "" {
		return
	}
	if got := <-f.taken; got != taken {
		t.Fatalf("took %q, want %q", got, taken)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFollow changes files in the ways in which files change.
func TestFollow(t *testing.T) {
	defer goleak.VerifyNone(t)
	for name, poll := range map[string]time.Duration{"by events": time.Hour, "by polling": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
			write(t, a, "1")
			write(t, b, "2")
			f := follow(t, poll, a, b)
			defer f.Close()

			write(t, a, "3")
			f.want(t, "3|2|", "")

			write(t, filepath.Join(dir, "new"), "4")
			if err := os.Rename(filepath.Join(dir, "new"), b); err != nil {
				t.Fatal(err)
			}
			f.want(t, "3|4|", "")

			write(t, b, "bad")
			f.want(t, "", "bad")
			write(t, b, "bad, too")
			f.want(t, "", "bad, too")
			write(t, b, "4") // as before: nothing to take over
			f.want(t, "", "")
			select {
			case got := <-f.taken:
				t.Errorf("took %q, which it has", got)
			default:
			}

			if err := os.Remove(a); err != nil {
				t.Fatal(err)
			}
			f.want(t, "", "no such file")
			write(t, a, strings.Repeat("x", 101))
			f.want(t, "", "longer than 100 bytes")
			write(t, a, "5")
			f.want(t, "5|4|", "")
			f.Close()
			f.Close() // once more does nothing
		})
	}
}

// TestFollowLinks swaps the link that all files of a ConfigMap go by.
func TestFollowLinks(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	version := func(name, text string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "tokens"), text)
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "1")
	if err := os.Symlink(filepath.Join("..data", "tokens"), filepath.Join(dir, "tokens")); err != nil {
		t.Fatal(err)
	}
	f := follow(t, time.Hour, filepath.Join(dir, "tokens"))
	defer f.Close()
	version("..2", "2")
	f.want(t, "2|", "")
	if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
		t.Fatal(err)
	}
	version("..3", "3")
	f.want(t, "3|", "")
}

// TestBriefly has files that are bad for a moment, of which nobody hears.
func TestBriefly(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "1")
	contents, err := filewatch.Read([]string{path}, 100)
	if err != nil {
		t.Fatal(err)
	}
	judged, told := make(chan struct{}, 1), make(chan error, 10)
	w := filewatch.Start(filewatch.Config{
		Paths: []string{path}, Settle: 10 * time.Millisecond, Patience: time.Hour, Poll: 10 * time.Millisecond,
		Take: func(contents [][]byte) error {
			if string(contents[0]) == "bad" {
				judged <- struct{}{}
				return errors.New("bad")
			}
			return nil
		},
		Told: func(err error) { told <- err },
	}, contents)
	defer w.Close()
	write(t, path, "bad")
	<-judged
	write(t, path, "2")
	if err := <-told; err != nil {
		t.Errorf("told %v", err)
	}
}

// TestLook asks for a look.
func TestLook(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "1")
	f := follow(t, time.Hour, path)
	defer f.Close()
	write(t, path, "2")
	f.Look()
	f.want(t, "2|", "")
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := filewatch.Read([]string{dir}, 10); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}
