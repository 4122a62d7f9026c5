//go:build unix

package bolt_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statetest"
)

// The test binary is its own child: the first argument says what for, the second is a directory.
const (
	childSaves = "save"
	childFull  = "full"
	childReads = "read-only"
)

// envChild has the task of a child.
const envChild = "RESONHOST_BOLT_TEST_CHILD"

// child returns the command that does a task of TestChild in a directory.
func child(t *testing.T, task, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), envChild+"="+task+" "+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestChild does what its parent test asks for, and nothing without one.
func TestChild(t *testing.T) {
	task, dir, ok := strings.Cut(os.Getenv(envChild), " ")
	if !ok {
		return
	}
	switch task {
	case childSaves:
		s := open(t, dir, bolt.Options{})
		_, _ = os.Stdout.WriteString("open\n")
		for n := 0; ; n++ { // until it is killed
			statetest.Save(t, s, generation(n)...)
			_, _ = fmt.Fprintln(os.Stdout, "saved", n)
		}
	case childFull:
		s := open(t, dir, bolt.Options{})
		statetest.Save(t, s, statetest.Change("a", "1"))
		limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20} // of each file, as a disk that is full
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			err := s.Save(t.Context(), []state.Change{statetest.Change("a", strings.Repeat("x", 2<<20))})
			if state.FaultOf(err) != state.FaultFull {
				t.Errorf("error %v", err)
			}
			statetest.Want(t, s, statetest.Change("a", "1"))
		}
		if err := s.Compact(t.Context()); err != nil {
			t.Errorf("compact: %v", err)
		}
		statetest.Save(t, s, statetest.Change("b", "2"))
		shut(t, s)
		s = open(t, dir, bolt.Options{})
		statetest.Want(t, s, statetest.Change("a", "1"))
		statetest.Want(t, s, statetest.Change("b", "2"))
		shut(t, s)
	case childReads:
		_, err := bolt.Open(t.Context(), dir, bolt.Options{})
		if !errors.Is(err, state.ErrReadOnly) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v", err)
		}
	}
}

// generation is what a child saves at a time: a few of a hundred records, each with data that tells
// of which time it is.
func generation(n int) []state.Change {
	random := rand.New(rand.NewPCG(7, uint64(n)))
	changes := make([]state.Change, 30)
	for i := range changes {
		data := strings.Repeat(fmt.Sprintf("%d,", n), 1+random.IntN(800))
		changes[i] = statetest.Change(strconv.Itoa(random.IntN(100)), data)
		changes[i].Delete = random.IntN(8) == 0
	}
	return changes
}

// TestKilled kills a process that saves, at random moments, and looks at what it has left: what was
// saved is there, and of the save under way all or nothing.
func TestKilled(t *testing.T) {
	kills := 30
	if testing.Short() {
		kills = 8
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range kills {
		dir := t.TempDir()
		saved := saveUntilKilled(t, dir, time.Duration(random.IntN(60_000))*time.Microsecond)
		s := open(t, dir, bolt.Options{})
		got := make(map[string]string)
		err := s.List(t.Context(), state.Filter{Data: true}, func(r state.Record) error {
			if r.Err != nil {
				t.Error(r.Err)
			}
			got[r.Key.Name] = string(r.Data)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !same(got, after(saved)) && !same(got, after(saved+1)) {
			t.Errorf("killed after %d saves: what is there is of no moment", saved)
		}
		statetest.Save(t, s, generation(saved)...)
		shut(t, s)
	}
}

// after has the data of each record after so many saves.
func after(saves int) map[string]string {
	records := make(map[string]string)
	for n := range saves {
		for _, c := range generation(n) {
			if delete(records, c.Key.Name); !c.Delete {
				records[c.Key.Name] = string(c.Data)
			}
		}
	}
	return records
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// saveUntilKilled has a child save, kills it, and returns how many saves it said were done.
func saveUntilKilled(t *testing.T, dir string, kill time.Duration) (saved int) {
	t.Helper()
	cmd := child(t, childSaves, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "open" {
			time.AfterFunc(kill, func() { _ = cmd.Process.Kill() })
		}
		if n, ok := strings.CutPrefix(lines.Text(), "saved "); ok {
			last, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			saved = last + 1
		}
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	return saved
}

// TestDiskFull has a child whose files may not grow.
func TestDiskFull(t *testing.T) {
	if out, err := child(t, childFull, t.TempDir()).Output(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReadOnly opens a directory that cannot be written to, as another user if this one may write
// everywhere.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"empty", "full"} {
		sub = filepath.Join(dir, sub)
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(sub) == "full" {
			shut(t, open(t, sub, bolt.Options{}))
		}
		if err := os.Chmod(sub, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(sub, 0o700) })
		cmd := child(t, childReads, sub)
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			cmd.Path = readable(t, cmd.Path, dir)
			cmd.Dir = dir
		}
		if out, err := cmd.Output(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(sub), err, out)
		}
	}
}

// readable copies a program to where others may run it.
func readable(t *testing.T, path, dir string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "child")
	if err := errors.Join(os.WriteFile(to, b, 0o700), os.Chmod(to, 0o755)); err != nil {
		t.Fatal(err)
	}
	return to
}
