package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/devloop"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/scaffold"
)

// TestDev drives the built command with a plugin in Go, as its author would.
func TestDev(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shout")
	if _, err := scaffold.Write(dir, scaffold.Options{Name: "shout", Language: "go", Replace: guesttest.Root()}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary(t), "dev", dir, "--json", "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if cmd.ProcessState == nil { // the test has failed
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	status := bufio.NewReader(stderr)
	line, err := status.ReadString('\n')
	at := regexp.MustCompile(`^serving at (http://\S+)\n$`).FindStringSubmatch(line)
	if at == nil {
		t.Fatalf("%q, %v", line, err)
	}
	told := make(chan string, 1)
	go func() { // what it says is not to hold it up
		rest, _ := io.ReadAll(status)
		told <- string(rest)
	}()
	reports := json.NewDecoder(stdout)
	next := func(result, version string) *devloop.Report {
		t.Helper()
		var r devloop.Report
		if err := reports.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Result != result || r.Serving.Version != version {
			t.Fatalf("%s, %s serves: %+v %+v; want %s, %s", r.Result, r.Serving.Version, r.Build, r.Error, result, version)
		}
		return &r
	}
	call := func(want string) {
		t.Helper()
		resp, err := http.Post(at[1]+"/v1/transforms/shout", "application/json", strings.NewReader(`"hi"`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); strings.TrimSpace(string(got)) != want {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
	}
	edit := func(file string, pairs ...string) {
		t.Helper()
		file = filepath.Join(dir, file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	first := next("loaded", "0.1.0")
	call(`"HI!"`)

	edit("transform.go", "func transform(t", "func transform(t,")
	if b := next("build_failed", "0.1.0").Build; b.ExitCode != 2 || !strings.Contains(b.Output, "./transform.go:") {
		t.Errorf("%+v", b)
	}
	call(`"HI!"`)

	edit("transform.go", "func transform(t,", "func transform(t", "HELLO!!!", "HELLO???", "HELLO!", "HELLO?", "!!!", "???", "0.1.0", "0.2.0")
	if r := next("refused", "0.1.0").Error; r == nil || r.Kind != api.KindRefused || r.Status != api.RuleOf(api.KindRefused).Status || r.Plugin != "shout" || r.Step != "self-test" || r.Detail != `shout.test.ndjson: line 1 "a word" of shout: output: got "HELLO?", want "HELLO!"` {
		t.Errorf("%+v", r)
	}
	call(`"HI!"`)

	edit("shout.test.ndjson", "!\"}", "?\"}")
	second := next("swapped", "0.2.0")
	call(`"HI?"`)
	task := second.Tasks[0]
	if task.Difference != `output: was "HELLO!", is "HELLO?"` || task.Fuel == 0 || task.FuelBefore != first.Tasks[0].Fuel || second.Before != first.Serving {
		t.Errorf("%+v", task)
	}

	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(stdout); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	log := <-told
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v; it said:\n%s", err, log)
	}
	http.DefaultClient.CloseIdleConnections()
}
