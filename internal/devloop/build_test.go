//go:build unix

package devloop

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestBuild(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MAKELEVEL", "3")
	for name, c := range map[string]struct {
		command []string
		code    int
		output  string
		err     string
	}{
		"fine":     {[]string{"sh", "-c", "echo out; echo err >&2"}, 0, "out\nerr\n", ""},
		"exit":     {[]string{"sh", "-c", "echo bad; exit 7"}, 7, "bad\n", ""},
		"signal":   {[]string{"sh", "-c", "kill -9 $$"}, 137, "", ""},
		"where":    {[]string{"sh", "-c", "test -e here"}, 0, "", ""},
		"no make":  {[]string{"sh", "-c", `echo "<$MAKELEVEL>"`}, 0, "<>\n", ""},
		"no stdin": {[]string{"cat"}, 0, "", ""},
		"none":     {[]string{"no-such-command-anywhere"}, -1, "", "there is no command no-such-command-anywhere"},
		// What goes on holds the output open, and is ended.
		"left": {[]string{"sh", "-c", "sleep 1000000 & echo done"}, 0, "done\n", ""},
		"long": {[]string{"sh", "-c", "yes 123456789 | head -n 10000"}, 0, "… 67232 bytes before\n" + strings.Repeat("123456789\n", 3276), ""},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, dir, "here", "")
			b, err := build(context.Background(), dir, c.command)
			if err != nil {
				t.Fatal(err)
			}
			if b.ExitCode != c.code || b.Output != c.output || b.Error != c.err || b.Failed() != (c.code != 0) {
				t.Errorf("exit code %d, output %q, error %q", b.ExitCode, b.Output, b.Error)
			}
		})
	}
	gone := filepath.Join(dir, "gone")
	b, err := build(context.Background(), gone, []string{"make"})
	if want := "stat " + gone + ": no such file or directory"; err != nil || b.Error != want {
		t.Errorf("%v, %v; want %s", b, err, want)
	}
}

// TestBuildIsCancelled ends a build of several processes, which ignore that they are asked.
// All hold a pipe open: its end says that none is left.
func TestBuildIsCancelled(t *testing.T) {
	dir := t.TempDir()
	alive := filepath.Join(dir, "alive")
	if err := syscall.Mkfifo(alive, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"tree":    `exec 3>alive; sleep 1000000 & echo up >&3; sleep 1000000`,
		"ignores": `exec 3>alive; trap "" TERM; (trap "" TERM; sleep 1000000) & echo up >&3; while :; do sleep 1000000; done`,
		"orphan":  `exec 3>alive; (trap "" TERM; sleep 1000000) & echo up >&3; wait`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := build(ctx, dir, []string{"sh", "-c", script})
				ended <- err
			}()
			f, err := os.Open(alive) // once the build has, too
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r := bufio.NewReader(f)
			if line, err := r.ReadString('\n'); line != "up\n" {
				t.Fatalf("%q, %v", line, err)
			}
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("err %v", err)
			}
			if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := build(ctx, dir, []string{"false"}); !errors.Is(err, context.Canceled) {
		t.Errorf("begun after its end: %v", err)
	}
}
