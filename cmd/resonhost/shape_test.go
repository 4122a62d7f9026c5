package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestErrorShape has the same failures over HTTP, as one task and as a line, by call and by dev: the
// members of their errors are the same, but for what belongs to an answer or a line.
func TestErrorShape(t *testing.T) {
	dir := t.TempDir()
	wasm := guesttest.HandWritten(t, "hostile")
	if err := os.WriteFile(filepath.Join(dir, "hostile.wasm"), wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	limits := []string{"--run-timeout", "10s", "--max-fuel", "1000000"}
	d := startRun(t, append([]string{"--plugins", dir}, limits...)...)
	bang := `{"base64":"ISEhISEhISE="}` // has hostile's transforms misbehave
	for transform, c := range map[string]struct {
		line string
		kind host.Kind
	}{
		"hostile.echo":    {`1`, host.KindInvalidArgument},
		"hostile.trap":    {bang, host.KindTrap},
		"hostile.exit":    {bang, host.KindExit},
		"hostile.wildptr": {bang, host.KindABI},
		"hostile.badutf8": {bang, host.KindFailed},
		"hostile.spin":    {bang, host.KindOutOfFuel},
	} {
		t.Run(transform, func(t *testing.T) {
			status, single := d.ask(t, transform, "application/json", c.line)
			rule := api.RuleOf(c.kind)
			if single["kind"] != string(c.kind) || status != rule.Status || single["status"] != float64(rule.Status) || single["title"] != http.StatusText(status) {
				t.Fatalf("over HTTP: status %d, %v", status, single)
			}
			delete(single, "title")
			_, line := d.ask(t, transform, "application/x-ndjson", c.line+"\n")
			same(t, "a line over HTTP", single, line["error"], 1)

			var out, stderr bytes.Buffer
			args := append([]string{"resonhost", "call", transform, "--plugins", dir}, limits...)
			code := run(context.Background(), args, strings.NewReader(c.line+"\n"), &out, &stderr)
			if code != rule.Exit {
				t.Errorf("call: exit code %d, want %d\n%s", code, rule.Exit, &stderr)
			}
			same(t, "call", single, object(t, out.Bytes())["error"], 1)

			project := t.TempDir()
			for name, text := range map[string][]byte{"hostile.wasm": wasm, "inputs": []byte(`{"transform":` + strconv.Quote(transform) + `,"input":` + c.line + "}\n")} {
				if err := os.WriteFile(filepath.Join(project, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out.Reset()
			args = append([]string{"resonhost", "dev", project, "--once", "--json", "--build", "true", "--wasm", "hostile.wasm", "--input", filepath.Join(project, "inputs")}, limits...)
			run(context.Background(), args, strings.NewReader(""), &out, &stderr)
			tasks, _ := object(t, out.Bytes())["tasks"].([]any)
			if len(tasks) != 1 {
				t.Fatalf("dev: %s%s", &out, &stderr)
			}
			same(t, "dev", single, tasks[0].(map[string]any)["error"], 0)
		})
	}
	if text, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d, log\n%s", code, text)
	}
}

// ask has a task done, and decodes the answer.
func (d *daemonTest) ask(t *testing.T, transform, contentType, body string) (status int, answer map[string]any) {
	t.Helper()
	res, err := http.Post("http://"+d.addr+"/v1/transforms/"+transform, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, object(t, b)
}

func object(t *testing.T, b []byte) (o map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return o
}

// same compares an error with that of a single task over HTTP. line is its number, 0 for none.
func same(t *testing.T, where string, want map[string]any, got any, line int) {
	t.Helper()
	want = maps.Clone(want)
	if line > 0 {
		want["line"] = float64(line)
	}
	if !reflect.DeepEqual(got, any(want)) {
		t.Errorf("%s: %v\nover HTTP: %v", where, got, want)
	}
}
