package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/resonhost/resonhost/api"
)

// nobody is a user who owns nothing.
const nobody = 65534

// TestDiskFills has the file of states be unable to grow, as on a full disk, and then again.
func TestDiskFills(t *testing.T) {
	want := eleventh(t)
	dir := filepath.Join(t.TempDir(), "states")
	args := []string{"--mode", "inline", "--state-dir", dir, "--state-interval", "100ms"}
	c := startChild(t, "", args...)
	room := func(bytes uint64) {
		t.Helper()
		var old unix.Rlimit
		err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &old)
		if err == nil {
			err = unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: min(bytes, old.Max), Max: old.Max}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.outlast(t, "full", func() { room(4096) }, func() { room(unix.RLIM_INFINITY) })
	if err := c.cmd.Process.Kill(); err != nil { // what is saved is there without a save at the end
		t.Fatal(err)
	}
	c.end(t)
	d := startRun(t, args...)
	if got := d.inStream(t, 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d.rest(t)
}

// TestFileCutOffWhileServing cuts the file off under a host. Tasks go on, and what is not saved is told. A copy
// that was made before puts the state back.
func TestFileCutOffWhileServing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "states")
	file := filepath.Join(dir, "state.db")
	args := []string{"--mode", "inline", "--state-dir", dir, "--state-interval", "100ms"}
	c := startChild(t, "", args...)
	c.inStream(t, 11)
	c.awaitMetric(t, `resonhost_state_unsaved 0`)
	good, err := os.ReadFile(file)
	if err == nil {
		err = os.Truncate(file, 4096)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := c.inStream(t, 1)
	c.awaitMetric(t, `resonhost_state_save_failures_total\{fault="corrupt"\} [1-9]\d*`)
	c.inStream(t, 1)
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if last, code := c.end(t); code != api.ExitFailed || !strings.Contains(last, "it was damaged while it was open, and must be opened anew") {
		t.Errorf("exit code %d, %s", code, last)
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	d := startRun(t, args...)
	if got := d.inStream(t, 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d.rest(t)
}

// TestReadOnlyDirectory starts hosts on directories that cannot be written to, one of them with a store, which state ls reads.
func TestReadOnlyDirectory(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{filepath.Dir(top), top, binDir} { // or another user would not come to what is below
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := binary(t)
	for _, name := range []string{"empty", "full"} {
		dir := filepath.Join(top, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if name == "full" {
			d := startRun(t, "--mode", "inline", "--state-dir", dir)
			d.inStream(t, 1)
			d.rest(t)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
		runs := exec.Command(program, "run", "--mode", "inline", "--listen", "127.0.0.1:0", "--state-dir", dir)
		lists := exec.Command(program, "state", "ls", "--state-dir", dir)
		if os.Getuid() == 0 {
			runs.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			lists.SysProcAttr = runs.SysProcAttr
			for _, of := range append([]string{dir}, files(t, dir)...) {
				if err := os.Chown(of, nobody, nobody); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, of := range append(files(t, dir), dir) {
			if err := os.Chmod(of, 0o555); err != nil {
				t.Fatal(err)
			}
		}
		out, _ := runs.CombinedOutput()
		if runs.ProcessState.ExitCode() != api.ExitUsage || !strings.Contains(string(out), "--state-dir "+dir+": permission denied") {
			t.Errorf("%s: %v\n%s", name, runs.ProcessState, out)
		}
		if name != "full" {
			continue
		}
		if out, err := lists.CombinedOutput(); err != nil || !strings.Contains(string(out), "cascade    one") {
			t.Errorf("state ls: %v\n%s", err, out)
		}
	}
}

// files lists a directory, with its path.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, filepath.Join(dir, e.Name()))
	}
	return list
}
