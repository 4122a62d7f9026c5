//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestSecondSignal has a second signal end a command that still drains, also where the first
// would have been ignored but for the command, as in the background of a script.
func TestSecondSignal(t *testing.T) {
	plugins := t.TempDir()
	if err := os.Symlink(filepath.Join(guesttest.Root(), "testdata/guests/hostile.wasm"), filepath.Join(plugins, "hostile.wasm")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `trap "" INT; exec "$@"`, "sh",
		binary(t), "run", "--plugins", plugins, "--listen", "127.0.0.1:0", "--run-timeout", "1h", "--drain-timeout", "1h")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	await := func(pattern string) string {
		t.Helper()
		for re := regexp.MustCompile(pattern); lines.Scan(); {
			if m := re.FindStringSubmatch(lines.Text()); m != nil {
				return m[1]
			}
		}
		t.Fatalf("the log ends without %s: %v", pattern, cmd.Wait())
		return ""
	}
	addr := await(`msg=listening addr=(\S+)`)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		resp, err := http.Post("http://"+addr+"/v1/transforms/hostile.spin", "application/json", strings.NewReader(`"!"`))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	for busy := false; !busy; { // until the task runs
		resp, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		busy = strings.Contains(string(metrics), "resonance_worker_active 1\n")
	}
	for i := range 2 {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			await(`msg=(draining)`)
		}
	}
	for lines.Scan() { // until it is closed
	}
	<-gone
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("%v, want exit code %d", err, exitInterrupted)
	}
	http.DefaultClient.CloseIdleConnections()
}
