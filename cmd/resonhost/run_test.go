package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// daemonTest is a `resonhost run` in this process.
type daemonTest struct {
	serving

	end  context.CancelFunc // what SIGTERM does
	code chan int
}

func startRun(t *testing.T, args ...string) *daemonTest {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := newBacklog()
	d := &daemonTest{end: cancel, code: make(chan int, 1)}
	d.logs, d.ended = bufio.NewReader(log), func() any { return fmt.Sprint("exit code ", <-d.code) }
	go func() {
		code := run(ctx, append([]string{"resonhost", "run", "--listen", "127.0.0.1:0"}, args...), nil, io.Discard, log)
		log.Close()
		d.code <- code
	}()
	t.Cleanup(func() {
		cancel()
		io.Copy(io.Discard, log) // until the command has ended
		http.DefaultClient.CloseIdleConnections()
	})
	d.addr = d.await(t, `msg=listening addr=(\S+)`)[1]
	return d
}

// rest ends the command and returns the rest of what it wrote, and its exit code.
func (d *daemonTest) rest(t *testing.T) (string, int) {
	t.Helper()
	d.end()
	text, err := io.ReadAll(d.logs)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), <-d.code
}

func TestRun(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	d := startRun(t, "--mode", "inline")
	if code, body := d.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
	code, body := d.post(t, "tick.connection", "application/json",
		strings.NewReader(`{"a": {"frequency": 100}, "b": {"frequency": 200, "position": {"x": 3, "y": 4}}}`))
	if want := `{"resonance_strength":0.7872681739502654,"connection_quality":0.95}`; code != http.StatusOK || strings.TrimSpace(body) != want {
		t.Errorf("%d %s, want %s", code, body, want)
	}
	if _, metrics := d.get(t, "/metrics"); !strings.Contains(metrics, "\nresonance_cascade_latency_ms_count 0\n") || !strings.Contains(metrics, "\nresonance_cascade_window_size ") {
		t.Errorf("the metrics lack those of cascade:\n%s", metrics)
	}
	http.DefaultClient.CloseIdleConnections()
	if text, code := d.rest(t); code != api.ExitOK || !strings.Contains(text, "msg=drained") {
		t.Errorf("exit code %d, log\n%s", code, text)
	}
}

// TestRunMaxInput has the server take bodies as long as plugins' inputs.
func TestRunMaxInput(t *testing.T) {
	for flag, want := range map[string]int{"9MiB": http.StatusBadRequest, "1MiB": http.StatusRequestEntityTooLarge} {
		d := startRun(t, "--mode", "inline", "--max-input", flag)
		code, body := d.post(t, "cascade", "application/vnd.resonhost.cascade.state", io.LimitReader(zeros{}, 8<<20+1))
		if code != want {
			t.Errorf("with --max-input %s: %d %s, want %d", flag, code, body, want)
		}
		if log, code := d.rest(t); code != api.ExitOK {
			t.Errorf("exit code %d\n%s", code, log)
		}
	}
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestRunDrains ends the command while a request is under way, which is answered,
// as are those who ask whether the service is ready.
func TestRunDrains(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	d := startRun(t, "--mode", "inline")
	answer := d.underWay(t)
	d.end()
	d.await(t, "msg=draining")
	if code, body := d.get(t, "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz while it drains: %d %s", code, body)
	}
	if code, body := d.post(t, "cascade", "application/json", strings.NewReader("{}")); code != http.StatusServiceUnavailable {
		t.Errorf("a task while it drains: %d %s", code, body)
	}
	answer()
	http.DefaultClient.CloseIdleConnections()
	if text, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d, log\n%s", code, text)
	}
}

// TestRunInterrupts has a guest that never returns.
func TestRunInterrupts(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	dir := t.TempDir()
	wasm, err := os.ReadFile(filepath.Join(guesttest.Root(), "testdata/guests/hostile.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hostile.wasm"), wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	d := startRun(t, "--plugins", dir, "--run-timeout", "1h", "--drain-timeout", "100ms")
	answered := make(chan int)
	go func() {
		code, _ := d.post(t, "hostile.spin", "application/json", strings.NewReader(`"!"`))
		answered <- code
	}()
	d.untilBusy(t)
	d.end()
	if code := <-answered; code != http.StatusServiceUnavailable {
		t.Errorf("the task was answered with %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
	text, code := d.rest(t)
	if want := "resonhost: tasks were interrupted: they took longer than the drain timeout, 100ms\n"; code != api.ExitFailed || !strings.HasSuffix(text, want) {
		t.Errorf("exit code %d, log\n%s", code, text)
	}
}

func TestRunAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var stderr strings.Builder
	addr := taken.Addr().String()
	code := run(t.Context(), []string{"resonhost", "run", "--mode", "inline", "--listen", addr}, nil, io.Discard, &stderr)
	want := "resonhost: --listen " + addr + ": the address is in use; choose another, or port 0 for any\n"
	if code != api.ExitUsage || stderr.String() != want {
		t.Errorf("exit code %d, %s", code, stderr.String())
	}
}
