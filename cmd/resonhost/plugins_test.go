package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// command runs a command in this process.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), append([]string{"resonhost"}, args...), nil, &out, &err)
	http.DefaultClient.CloseIdleConnections()
	return out.String(), err.String(), code
}

// TestRunSwaps has a host's plugins changed by their files and by commands.
func TestRunSwaps(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	dir := t.TempDir()
	save := func(name string, data []byte) {
		t.Helper()
		temp := filepath.Join(dir, "."+name)
		if err := os.WriteFile(temp, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	stateful := func(tag, state string) []byte {
		return guesttest.Swap(t, guesttest.Version{Tag: tag, Manifest: `{"name": "swap", "version": "` + tag +
			`", "transforms": [{"name": "swap", "input": "text/plain", "output": "text/plain", "state_bytes": 16` + state + `}]}`})
	}
	version := func(tag string) []byte { return guesttest.Swap(t, guesttest.Version{Tag: tag}) }
	d := startRun(t, "--plugins", dir)
	if code, body := d.get(t, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "no plugin is loaded yet") {
		t.Errorf("/readyz without a plugin: %d %s", code, body)
	}
	url := "--url=http://" + d.addr
	serves := func(tag string) {
		t.Helper()
		if code, body := d.post(t, "swap", "text/plain", strings.NewReader("x")); code != http.StatusOK || body != guesttest.SwapTag(tag) {
			t.Errorf("%d %s, want %s", code, body, tag)
		}
	}
	// does runs a plugins command and checks what it prints, to stderr if it fails.
	does := func(want string, code int, args ...string) {
		t.Helper()
		stdout, stderr, got := command(t, append([]string{"plugins", url}, args...)...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("plugins %q: code %d, want %d: %s%s want %s", args, got, code, stdout, stderr, want)
		}
	}
	save("swap.wasm", version("v1"))
	d.await(t, `msg="plugin is loaded" plugin=swap version=v1`)
	serves("v1")
	save("swap.wasm", version("v2"))
	d.await(t, `msg="plugin is swapped" plugin=swap version=v2`)
	serves("v2")
	does(" swapped  swap\n", 0, "ls")
	does("swap v1 serving", 0, "rollback", "swap")
	serves("v1")
	does(" rolled back  swap\n", 0, "ls")
	does("resonhost: plugin swap: there is no earlier version", 1, "rollback", "swap")
	does("resonhost: plugin swap: there is no canary", 1, "promote", "swap")
	does("swap v2 serving", 0, "reload", "swap")
	save("swap.wasm", guesttest.HandWritten(t, "no-run"))
	d.await(t, `level=WARN msg="a plugin is refused" plugin=swap .*step=link .*serving=v2`)
	does("swap: the newest version does not serve, since ", 0)
	does("resonhost: plugin swap: does not export the function resonhost_run(i32, i32, i32) → i64", 3, "reload", "swap")
	serves("v2")
	does("swap v2 paused", 0, "pause", "swap")
	if code, body := d.post(t, "swap", "text/plain", strings.NewReader("x")); code != http.StatusServiceUnavailable || !strings.Contains(body, "plugin is paused") {
		t.Errorf("a task of a paused plugin: %d %s", code, body)
	}
	if code, body := d.get(t, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "plugin swap is paused") {
		t.Errorf("/readyz with all paused: %d %s", code, body)
	}
	does("swap v2 serving", 0, "resume", "swap")
	serves("v2")
	does(`resonhost: unknown plugin "swop"; did you mean "swap"?`, 1, "pause", "swop")
	does(`resonhost: unknown plugin "swop": there is no swop.wasm in the plugin directory; did you mean "swap"?`, 1, "reload", "swop")
	does(`resonhost: unknown plugin "swop"; did you mean "swap"?`, 1, "rollback", "swop")
	does("resonhost: --state-rule: is for plugins rollback", 2, "ls", "--state-rule", "reset")
	if stdout, stderr, code := command(t, "plugins", "ls", "--addr", d.addr); code != 0 || !strings.Contains(stdout, "swap") {
		t.Errorf("--addr: code %d: %s%s", code, stdout, stderr)
	}
	does("resonhost: --url is there twice, once as --addr", 2, "ls", "--addr", d.addr)
	does(`resonhost: plugins: there is no command "rolback"; did you mean "rollback"?`, 2, "rolback", "swap")
	does("resonhost: say of which plugin: resonhost plugins pause NAME", 2, "pause")

	stdout, _, _ := command(t, "plugins", "ls", url, "--json")
	var list api.Plugins
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list.Plugins) != 1 || list.Plugins[0].Version != "v2" || list.Plugins[0].Failure == nil {
		t.Errorf("%s: %v", stdout, err)
	}
	for name, want := range map[string]string{
		"state_rule=other": "state_rule: must be refuse or reset", "state_rule=reset&state_rule=reset": "state_rule: must not be there twice",
		"state_rul=reset": `state_rul: is not a known parameter; did you mean \"state_rule\"?`, "state_rule=%zz": "query: is malformed: invalid URL escape",
	} {
		resp, err := http.Post("http://"+d.addr+"/v1/plugins/swap/rollback?"+name, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if code, body := read(t, resp); code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", name, code, body, want)
		}
	}
	_, metrics := d.get(t, "/metrics")
	for _, want := range []string{
		`resonhost_plugin_reloads_total{plugin="swap",result="failed"} 2`, `resonhost_plugin_reloads_total{plugin="swap",result="swapped"} 2`,
		`resonhost_plugin_reloads_total{plugin="swap",result="rolled_back"} 1`, `resonhost_plugin_refused{plugin="swap"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}

	// A rollback past a format of state says how.
	save("swap.wasm", stateful("v3", ""))
	d.await(t, `msg="plugin is swapped" plugin=swap version=v3`)
	save("swap.wasm", stateful("v4", `, "state_version": 1, "state_reads": [0]`))
	d.await(t, `msg="plugin is swapped" plugin=swap version=v4`)
	does("swap v3 serving", 0, "rollback", "swap") // while there is no state
	does("swap v4 serving", 0, "reload", "swap")
	inStream, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+d.addr+"/v1/transforms/swap", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	inStream.Header.Set("Content-Type", "text/plain")
	inStream.Header.Set("Resonhost-Stream", "a")
	resp, err := http.DefaultClient.Do(inStream)
	if err != nil {
		t.Fatal(err)
	}
	if code, body := read(t, resp); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	does("streams of transform swap have states of format 1, and version v3 reads [0]; the state rule is to refuse such a version; "+
		"--state-rule reset has such streams begin anew", 3, "rollback", "swap")
	does("swap v3 serving", 0, "rollback", "swap", "--state-rule", "reset")
	if text, code := d.rest(t); code != api.ExitOK || !strings.Contains(text, "drained") {
		t.Errorf("code %d: %s", code, text)
	}
	if _, stderr, code := command(t, "plugins", "ls", url); code != api.ExitFailed || !strings.Contains(stderr, "no host answers at "+d.addr) {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// TestDoing has what plugins ls says that a plugin does.
func TestDoing(t *testing.T) {
	refused := &api.LoadFailure{Step: host.StepRead}
	for want, p := range map[string]api.Plugin{
		"loading":                    {Deploying: true},
		"refused":                    {Failure: refused},
		"refused, loading a version": {Failure: refused, Deploying: true},
		"serving":                    {Hash: "a"},
		"serving, loading a version": {Hash: "a", Deploying: true},
		"paused":                     {Hash: "a", Paused: true},
		"suspended":                  {Hash: "a", Suspended: true},
		"serving, canary 2 at 5 %":   {Hash: "a", Canary: &api.Canary{Version: "2", Share: 0.05}},
	} {
		if got := doing(&p); got != want {
			t.Errorf("%+v is %q, want %q", p, got, want)
		}
	}
}
