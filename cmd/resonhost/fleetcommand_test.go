package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
)

// ofFleet starts a host of a fleet, which ends with the test.
func ofFleet(t *testing.T, urls, name string) *fleet.Member {
	t.Helper()
	f, err := fleet.Open(t.Context(), fleet.Config{URLs: urls, Name: name, AckWait: time.Second, TaskBytes: 1 << 20, ResultBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Control(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := hosted.Start(t, host.Config{StartEmpty: true, Workers: 1})
	w := f.NewWorker(h, fleet.WorkerOptions{})
	m := c.NewMember(h, w)
	t.Cleanup(func() {
		if err := errors.Join(w.Close(context.Background()), m.Close(context.Background()), f.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(m.Start(t.Context()), w.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestFleetCommand pushes, goes back and drains.
func TestFleetCommand(t *testing.T) {
	urls, dir := natstest.Start(t).URL(), t.TempDir()
	ofFleet(t, urls, "a")
	ofFleet(t, urls, "b")
	file := filepath.Join(dir, "swap.wasm")
	version := func(v guesttest.Version) {
		t.Helper()
		if err := os.WriteFile(file, guesttest.Swap(t, v), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(code int, args ...string) (out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), append([]string{"resonhost", "fleet"}, append(args, "--nats", urls)...), strings.NewReader(""), &stdout, &stderr); got != code {
			t.Fatalf("%q: code %d, want %d: %s%s", args, got, code, stdout.String(), stderr.String())
		}
		return stdout.String(), stderr.String()
	}
	want := func(got, form string) {
		t.Helper()
		if !regexp.MustCompile("^(?s:" + form + ")$").MatchString(got) {
			t.Errorf("%s\nis not like\n%s", got, form)
		}
	}
	version(guesttest.Version{Tag: "v1"})
	out, _ := command(0, "push", file, "--watch", "1ms")
	want(out, `(host [ab] tries it\n|host [ab]: good\n){2,4}swap: all hosts serve v1 \([0-9a-f]{12}\)\n`)
	out, _ = command(0, "push", file)
	want(out, "swap: the fleet has this version already\n")
	_, errs := command(api.ExitFailed, "rollback", "swap")
	want(errs, "resonhost: plugin swap: there is no version before, .*\n")

	version(guesttest.Version{Tag: "v2", SelfTest: "other"})
	_, errs = command(api.ExitPlugins, "push", file)
	want(errs, `resonhost: swap: the roll-out is stopped, and hosts go back: host [ab]: plugin swap: self-test 0 "tag".*`)

	version(guesttest.Version{Tag: "v3"})
	out, _ = command(0, "push", file, "--watch", "1ms", "--share", "1", "--json")
	var w api.FleetPlugin
	if err := json.Unmarshal([]byte(out), &w); err != nil || w.Current.Version != "v3" || w.Previous.Version != "v1" {
		t.Errorf("%s, error %v", out, err)
	}
	out, _ = command(0, "rollback", "swap")
	want(out, `swap: all hosts go back to v1 \([0-9a-f]{12}\)\n`)

	out, _ = command(0, "drain", "b")
	want(out, "b is drained\n")
	for out = ""; strings.Count(out, "swap v1") != 2; {
		out, _ = command(0, "ls")
	}
	want(out, `fleet default: 2 hosts; 0 frames wait, 0 under way, 0 B; 0 dead letters\n\n`+
		`HOST +STATE +ACTIVE +WAITING +FRAMES +TASKS +FAILED +TASKS/S +SEEN +PLUGINS\na +serving .* ago +swap v1\nb +drained .* ago +swap v1\n\n`+
		`PLUGIN +ALL SERVE +ON HOSTS +ROLL-OUT\nswap +v1 \([0-9a-f]{12}\) +2 of 2 +stopped v3 \([0-9a-f]{12}\): rolled back by request\n`)
	out, _ = command(0, "drain", "b", "--undo")
	want(out, "b takes frames\n")
	out, _ = command(0, "top", "--once", "--json")
	var v api.Fleet
	if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Hosts) != 2 || v.Hosts[0].Rate == nil || len(v.Drained) != 0 || len(v.Plugins) != 1 {
		t.Errorf("%s, error %v", out, err)
	}

	for _, c := range []struct{ args, want string }{
		{"x", "resonhost: fleet: there is no command \"x\"; there are push, rollback, rm, ls, top, events, drain\n"},
		{"push", "resonhost: say which file: resonhost fleet push FILE\n"},
		{"drain", "resonhost: say which host: resonhost fleet drain NAME\n"},
		{"rm", "resonhost: say which plugin: resonhost fleet rm NAME\n"},
		{"events --kinds plugin.change", "resonhost: --kinds: \"plugin.change\" is no kind of events; did you mean \"plugin.changed\"\\?\n"},
		{"ls --once", "resonhost: --once: is for fleet top\n"},
		{"rm --detach swap", "resonhost: --detach: is for fleet push and drain\n"},
		{"push x.go", "resonhost: x.go: must end in .wasm, or .*\n"},
		{"push " + dir, "resonhost: " + dir + ": is a directory; .*\n"},
		{"ls y", "resonhost: fleet ls takes no argument \"y\"\n"},
		{"rollback a/b", "resonhost: name: \"a/b\" must be .*\n"},
		{"top", "resonhost: fleet top: standard output is no terminal; --once prints one view, --json one a line\n"},
		{"push --watch 25h " + file, "resonhost: --watch: must be 1ms to 24h0m0s\n"},
		{"push " + dir + "/none.wasm", "resonhost: .*none.wasm.*\n"},
	} {
		_, errs := command(api.ExitUsage, strings.Fields(c.args)...)
		want(errs, c.want)
	}
	_, errs = command(api.ExitFailed, "drain", "c")
	want(errs, "resonhost: there is no such host: \"c\"; there are: a, b\n")
	_, errs = command(api.ExitFailed, "rollback", "other")
	want(errs, "resonhost: plugin other: the fleet has no such plugin; there is only swap\n")
	_, errs = command(api.ExitFailed, "rm", "swop")
	want(errs, "resonhost: plugin swop: the fleet has no such plugin; did you mean \"swap\"\\?\n")

	// A first version that is refused stays until it is forgotten.
	other := filepath.Join(dir, "other.wasm")
	if err := os.WriteFile(other, guesttest.Swap(t, guesttest.Version{Tag: "v1"}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs = command(api.ExitPlugins, "push", other)
	want(errs, "resonhost: other: the roll-out is stopped, .*its manifest's name, swap, is that of plugin swap already.*\n")
	const hint = "other has never been on all hosts: resonhost fleet rm other forgets it\n"
	if out, _ = command(0, "ls"); !strings.Contains(out, hint) || strings.Contains(out, "swap has never") {
		t.Errorf("%s\nlacks %s", out, hint)
	}
	out, _ = command(0, "rm", "other")
	want(out, "other: the fleet has forgotten it\n")
	if out, _ = command(0, "ls"); strings.Contains(out, "other") {
		t.Error(out)
	}
	out, _ = command(0, "rm", "swap")
	want(out, `swap: the fleet has forgotten it; hosts serve v1 \([0-9a-f]{12}\) until they end\n`)
}
