package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

// twoLooks are two looks at a host, 2 s apart.
func twoLooks() (before, now api.Stats) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stats := func(after time.Duration, ok, failed uint64, counts ...uint64) api.Stats {
		return api.Stats{
			Time: started.Add(after), Started: started, Workers: 4, Active: 3, QueueDepth: 5, Bounds: []float64{0.001, 0.01},
			Queues: []api.Queue{{Transform: "b", Tenant: "x", Tasks: 2}, {Transform: "b", Tenant: "y", Tasks: 3}},
			Plugins: []api.PluginStats{{Name: "p", Instances: 4, InUse: 3, Broken: 1, Transforms: []api.TransformStats{
				{Name: "a"},
				{Name: "b", OK: ok, Errors: map[host.Kind]uint64{host.KindTrap: failed}, Latency: api.Histogram{Counts: counts}},
			}}},
		}
	}
	return stats(10*time.Second, 100, 7, 90, 17, 0), stats(12*time.Second, 140, 17, 130, 26, 1)
}

func TestTopView(t *testing.T) {
	before, now := twoLooks()
	v := viewOf(&before, &now)
	// 40 of 1 ms, 9 of 10 ms and one that took longer.
	want := `{"transform":"b","plugin":"p","tasks_per_second":25,"failed_per_second":5,"queued":5,"p50":{"seconds":0.001},"p99":{"seconds":0.01,"above":true}}`
	if got, err := json.Marshal(v.Transforms[0]); err != nil || string(got) != want {
		t.Errorf("%s, err %v, want %s", got, err, want)
	}
	text := strings.Join(v.lines(), "\n")
	for _, want := range []string{
		"workers 3 of 4 active, 5 tasks wait, memory 0 B of 0 B\n",
		"\nb                              25.0        5.0        5        1ms     > 10ms\n",
		"\na                               0.0        0.0        0          -          -\n",
		"\np                                 4          3        1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
	// Started anew 2 s ago, it counts from 0.
	now.Started = now.Time.Add(-2 * time.Second)
	if v := viewOf(&before, &now); v.Seconds != 2 || v.Transforms[0].Tasks != (140+17)/2.0 {
		t.Errorf("%+v", v)
	}
	// What answers may be no host of this version.
	now.Bounds = nil
	now.Plugins[0].Transforms[1].Latency.Counts = make([]uint64, 100)
	if v := viewOf(&before, &now); v.Transforms[0].P99 != nil {
		t.Errorf("%+v", v)
	}
}

// TestTop asks a host that serves.
func TestTop(t *testing.T) {
	d := startRun(t, "--mode", "inline")
	if code, body := d.post(t, "tick.connection", "application/json", strings.NewReader(`{"a": {"frequency": 1}, "b": {"frequency": 1}}`)); code != http.StatusOK {
		t.Fatal(body)
	}
	if code, out, stderr := cmd("top", "--once", "--url", "http://"+d.addr); code != api.ExitOK || !strings.Contains(out, "\ntick.connection ") {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
	code, out, stderr := cmd("top", "--once", "--json", "--url", "http://"+d.addr)
	var v topView
	if err := json.Unmarshal([]byte(out), &v); code != api.ExitOK || err != nil || v.Seconds < 1 || len(v.Transforms) == 0 {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
	if code, _, stderr := cmd("top", "--url", "http://"+d.addr); code != api.ExitUsage || stderr != "resonhost: top: standard output is no terminal; --once prints one view, --json one a line\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if log, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d\n%s", code, log)
	}
	if code, _, stderr := cmd("top", "--once", "--url", "http://"+d.addr); code != api.ExitFailed || !strings.Contains(stderr, "no host answers at "+d.addr) {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
