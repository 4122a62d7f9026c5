//go:build unix

package main

import (
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/resonhost/resonhost/api"
)

// TestReload has SIGHUP read the file of configuration anew in a process that has no terminal.
func TestReload(t *testing.T) {
	heedHangUps(t)
	dir := t.TempDir()
	file, audit := filepath.Join(dir, "run.yaml"), filepath.Join(dir, "audit")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mode: inline\nworkers: 1\nqueue_capacity: 7\ntenant_weights:\n  a: 2\n")
	p := startChild(t, "", "--config", file, "--audit", audit, "--tokens", newTokens(t, dir, map[string]string{"ci": "call"}), "--queue-capacity", "9")
	hangUp := func() {
		t.Helper()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangUp()
	if line, err := p.logs.ReadString('\n'); err != nil || !strings.Contains(line, "msg=reloading") {
		t.Errorf("%q, err %v", line, err)
	}
	// Nothing has changed, so nothing is told but that.
	if line, err := p.logs.ReadString('\n'); err != nil || !strings.Contains(line, `audit.who=signal audit.from="" audit.action=reload audit.target="configuration, tokens and certificates" audit.outcome=done`) {
		t.Errorf("%q, err %v", line, err)
	}
	p.await(t, "msg=reloaded outcome=(done)")

	write("mode: inline\nworkers: 3\nqueue_capacity: 8\nlog_level: warn\ninput: x\nplugin_overrides:\n  tick:\n    run_timeout: 2s\n")
	hangUp()
	got := p.await(t, `msg="settings have changed.*settings="([^"]*)"`)[1]
	if want := "plugin_overrides.tick.run_timeout, tenant_weights.a, workers"; got != want {
		t.Errorf("these need a restart: %s, want %s", got, want)
	}
	p.await(t, `msg="the log level changes" from=INFO to=(WARN)`)

	write("workers: many\n")
	hangUp()
	// What is less than a warning is not logged any more, but for audit records.
	line, err := p.logs.ReadString('\n')
	if err != nil || !strings.Contains(line, "level=INFO msg=audit audit.who=signal") {
		t.Errorf("%q, err %v, want the record of the reload before", line, err)
	}
	line, err = p.logs.ReadString('\n')
	if want := `level=ERROR msg="not reloaded; all stays as it was" what=configuration error="` + file + `:1: workers: `; err != nil || !strings.Contains(line, want) {
		t.Errorf("%q, err %v, want %s", line, err, want)
	}

	write("mode: inline\nworkers: 1\ntenant_weights:\n  a: 2\n")
	hangUp()
	p.await(t, "msg=reloaded outcome=(done)") // the log level is the default again
	if code, body := p.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if last, code := p.end(t); code != api.ExitOK || !strings.Contains(last, "msg=drained") {
		t.Errorf("exit code %d, %s", code, last)
	}
	records, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	const failed = `"who":"signal","action":"reload","target":"configuration, tokens and certificates","outcome":"failed","detail":"` // and why
	if n := strings.Count(string(records), `"who":"signal","action":"reload"`); n != 4 || !strings.Contains(string(records), failed+file+`:1: workers: `) {
		t.Errorf("the audit file has %d records of reloads:\n%s", n, records)
	}
}

// TestReloadPipe has a configuration that was read from a pipe be none to read again.
func TestReloadPipe(t *testing.T) {
	o := newOptions()
	o.configFile = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(o.configFile, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.reloadConfig(nil); err == nil || !strings.HasSuffix(err.Error(), "is no file that could be read again, such as a pipe") {
		t.Error(err)
	}
}

// heedHangUps has commands that the test starts heed SIGHUP, also where this process ignores it, as under
// nohup: a signal that is handled here is at its default in children.
func heedHangUps(t *testing.T) {
	t.Helper()
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(heard) })
}
