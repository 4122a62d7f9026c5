package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/redistest"
)

// awaitMetric waits until the metrics have a line.
func (s *serving) awaitMetric(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(`(?m)^` + pattern + `$`)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, metrics := s.get(t, "/metrics")
		if re.MatchString(metrics) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the metrics have no %s:\n%s", pattern, regexp.MustCompile(`(?m)^resonhost_state_.*$`).FindAllString(metrics, -1))
		}
	}
}

// outlast has the store of a host fail and work again, while a stream has tasks. The failure is told by one of
// the faults, and all is saved in the end.
func (s *serving) outlast(t *testing.T, faults string, fail, mend func()) {
	t.Helper()
	s.inStream(t, 5)
	s.awaitMetric(t, `resonhost_state_unsaved 0`)
	fail()
	s.inStream(t, 5)
	s.awaitMetric(t, `resonhost_state_outage\{operation="save"\} 1`)
	s.awaitMetric(t, `resonhost_state_save_failures_total\{fault="(`+faults+`)"\} [1-9]\d*`)
	s.awaitMetric(t, `resonhost_state_unsaved [1-9]\d*`)
	s.inStream(t, 1)
	mend()
	s.awaitMetric(t, `resonhost_state_outage\{operation="save"\} 0`)
	s.awaitMetric(t, `resonhost_state_unsaved 0`)
}

// eleventh is what a stream answers after the 11 tasks of outlast, on a host whose stores never fail.
func eleventh(t *testing.T) string {
	t.Helper()
	d := startRun(t, "--mode", "inline")
	d.inStream(t, 11)
	want := d.inStream(t, 1)
	d.rest(t)
	return want
}

// toldOnce checks that the log tells once that states are not saved, and once that they are again.
func toldOnce(t *testing.T, log string) {
	t.Helper()
	for _, what := range []string{`msg="states of streams are not saved; `, `msg="states of streams are saved again"`} {
		if n := strings.Count(log, what); n != 1 {
			t.Errorf("the log has %d times %s:\n%s", n, what, log)
		}
	}
}

// garbage answers whatever comes to an address as no Redis does, until it is ended.
func garbage(t *testing.T, addr string) (end func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "$9223372036854775807\r\nHTTP/1.1 400 Bad Request\r\n\r\n")
			_ = c.Close()
		}
	}()
	return func() {
		l.Close()
		<-done
	}
}

// TestRedisFails has a server of Redis fail in each way under a host that serves.
func TestRedisFails(t *testing.T) {
	want := eleventh(t)
	for name, way := range map[string]struct {
		faults     string
		fail, mend func(*redistest.Server)
	}{
		"killed": {"unavailable", (*redistest.Server).Kill, (*redistest.Server).Restart},
		"paused": {"unavailable", (*redistest.Server).Pause, (*redistest.Server).Resume},
		"slow": {
			"unavailable",
			func(s *redistest.Server) { s.Do("CLIENT", "PAUSE", "10000") }, // as late its answers come
			func(*redistest.Server) {},
		},
		"full": {
			"full",
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "1") },
			func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "0") },
		},
		"read-only": {
			"read_only",
			func(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			func(s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			args := []string{"--mode", "inline", "--state-url", "redis://" + server.Addr + "?timeout=1s", "--state-interval", "100ms"}
			d := startRun(t, args...)
			d.outlast(t, way.faults, func() { way.fail(server) }, func() { way.mend(server) })
			goesOn(t, d, want, args)
		})
	}
	t.Run("garbage", func(t *testing.T) {
		server := redistest.Start(t)
		args := []string{"--mode", "inline", "--state-url", "redis://" + server.Addr + "?timeout=1s", "--state-interval", "100ms"}
		d := startRun(t, args...)
		var end func()
		d.outlast(t, "unavailable", func() {
			server.Kill()
			end = garbage(t, server.Addr)
		}, func() {
			end()
			server.Restart()
		})
		goesOn(t, d, want, args)
	})
}

// goesOn ends a host, and has another go on with its stream.
func goesOn(t *testing.T, d *daemonTest, want string, args []string) {
	t.Helper()
	log, code := d.rest(t)
	if code != api.ExitOK {
		t.Errorf("exit code %d\n%s", code, log)
	}
	toldOnce(t, log)
	d = startRun(t, args...)
	if got := d.inStream(t, 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d.rest(t)
}

// TestRedisFailsOver has the master die. The replica becomes master, by Sentinel, and has all.
func TestRedisFailsOver(t *testing.T) {
	want := eleventh(t)
	master := redistest.Start(t)
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	sentinel := redistest.StartSentinel(t,
		"sentinel monitor main "+host+" "+port+" 1", "sentinel down-after-milliseconds main 500", "sentinel failover-timeout main 5000")
	for end := time.Now().Add(time.Minute); !strings.Contains(sentinel.All("SENTINEL", "REPLICAS", "main"), strings.TrimPrefix(replica.Addr, host+":")); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the sentinel knows of no replica")
		}
	}
	args := []string{"--mode", "inline", "--state-url", "redis+sentinel://" + sentinel.Addr + "/main?timeout=2s", "--state-interval", "100ms"}
	d := startRun(t, args...)
	d.outlast(t, "unavailable|timeout|read_only", func() {
		if reply := master.Do("WAIT", "1", "60000"); reply != ":1" { // what is saved by then is at the replica
			t.Fatal(reply)
		}
		master.Kill()
	}, func() {}) // Sentinel mends it
	goesOn(t, d, want, args)
}

// TestDecisionWhileAway has an operator decide while Redis is away. The host does it, and says that it is not stored, until it is; and
// takes no job, to be sent again later.
func TestDecisionWhileAway(t *testing.T) {
	server := redistest.Start(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "swap.wasm"), guesttest.Swap(t, guesttest.Version{Tag: "v1"}), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startRun(t, "--plugins", dir, "--state-url", "redis://"+server.Addr+"?timeout=1s", "--state-interval", "100ms")
	d.awaitMetric(t, `resonhost_plugin_info\{.*plugin="swap".*\} 1`)
	d.awaitMetric(t, `resonhost_state_unsaved 0`)
	url := "--url=http://" + d.addr
	plugins := func(want, warned string, args ...string) {
		t.Helper()
		stdout, stderr, code := command(t, append([]string{"plugins", url}, args...)...)
		if code != api.ExitOK || !strings.Contains(stdout, want) || !strings.HasPrefix(stderr, warned) || warned == "" && stderr != "" {
			t.Errorf("plugins %q: code %d, %s%s", args, code, stdout, stderr)
		}
	}
	server.Kill()
	const warning = "resonhost: warning: swap: this is done, and not stored, as the store of states is away"
	plugins("swap v1 paused, not stored yet\n", warning, "pause", "swap")
	plugins(`"unsaved":true`, warning, "pause", "swap", "--json")
	plugins("paused, not stored yet", "", "ls")
	resp, err := http.Post("http://"+d.addr+"/v1/jobs", "application/json", strings.NewReader(`{"transform": "swap", "input": "x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if code, body := read(t, resp); code != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, `"state_unavailable"`) {
		t.Errorf("%d, %v, %s", code, resp.Header, body)
	}
	server.Restart()
	d.awaitMetric(t, `resonhost_state_unsaved 0`)
	plugins("  paused  ", "", "ls")
	plugins("swap v1 serving\n", "", "resume", "swap")
	d.rest(t)
}

// TestRedisIsAway has a host start while tasks of a stored stream cannot be done, and others can.
func TestRedisIsAway(t *testing.T) {
	server := redistest.Start(t)
	args := []string{"--mode", "inline", "--state-url", "redis://" + server.Addr + "?timeout=1s", "--state-interval", "100ms"}
	d := startRun(t, args...)
	d.inStream(t, 1)
	d.rest(t)
	d = startRun(t, args...)
	server.Kill()
	code, body := d.post(t, "cascade", "application/json", strings.NewReader(`{"stream": "one", "detail": "summary"}`))
	if code != http.StatusServiceUnavailable || !strings.Contains(body, `"state_unavailable"`) {
		t.Errorf("%d %s", code, body)
	}
	d.awaitMetric(t, `resonhost_state_outage\{operation="load"\} 1`)
	if code, body := d.post(t, "cascade", "application/json", strings.NewReader(`{"stream": "new", "detail": "summary"}`)); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	server.Restart()
	d.inStream(t, 1)
	d.awaitMetric(t, `resonhost_state_outage\{operation="load"\} 0`)
	d.rest(t)
}

// TestRedisEvicts has a server that evicts: it is refused, unless the URL allows it, and then each state that
// is gone is counted.
func TestRedisEvicts(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-random")
	args := []string{"--mode", "inline", "--state-url", "redis://" + server.Addr}
	var log strings.Builder
	if code := run(context.Background(), append([]string{"resonhost", "run", "--listen", "127.0.0.1:0"}, args...), nil, io.Discard, &log); code != api.ExitFailed ||
		!strings.Contains(log.String(), "it may evict records, as its maxmemory-policy is allkeys-random") {
		t.Errorf("exit code %d, log %s", code, log.String())
	}
	args[len(args)-1] += "?evict=allow"
	d := startRun(t, args...)
	d.inStream(t, 1)
	d.rest(t)
	d = startRun(t, args...)
	server.Do("CONFIG", "SET", "maxmemory", "1") // all goes with the next write
	server.Do("SET", "another", "x")
	for end := time.Now().Add(time.Minute); server.Do("DBSIZE") != ":0"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is evicted")
		}
		server.Do("SET", "another", "x")
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	d.inStream(t, 1)
	d.awaitMetric(t, `resonhost_state_lost_total 1`)
	if log, _ := d.rest(t); !strings.Contains(log, "the state of a stream was stored and is not there any more") {
		t.Errorf("the log does not tell:\n%s", log)
	}
}

// TestDamagedFile starts hosts on a file that was cut off, and on ones in which a bit was flipped. None begins
// with less than there was without saying so, and the file stays as it is.
func TestDamagedFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "states")
	args := []string{"--mode", "inline", "--state-dir", dir, "--state-interval", "100ms"}
	d := startRun(t, args...)
	d.inStream(t, 11)
	if log, code := d.rest(t); code != api.ExitOK {
		t.Fatalf("exit code %d\n%s", code, log)
	}
	file := filepath.Join(dir, "state.db")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what, reason string, b []byte) {
		t.Helper()
		put(b)
		var log strings.Builder
		if code := run(context.Background(), append([]string{"resonhost", "run", "--listen", "127.0.0.1:0"}, args...), nil, io.Discard, &log); code != api.ExitFailed || !strings.Contains(log.String(), reason) {
			t.Errorf("%s: exit code %d, log %s", what, code, log.String())
		}
		if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, b) {
			t.Errorf("%s: the file is another now: %v", what, err)
		}
	}
	refused("cut off", "is corrupt: it has ", good[:len(good)/2])
	at := bytes.LastIndex(good, []byte("cascade")) // in the record's key, where the tree has it
	if at < 0 {
		t.Fatal("no record is found")
	}
	flipped := bytes.Clone(good)
	page := at &^ (os.Getpagesize() - 1)
	flipped[page+10] ^= 1 // how many elements the page has
	refused("a page with a flipped bit", "is corrupt: ", flipped)

	flipped = bytes.Clone(good)
	flipped[at+len("cascade")+30] ^= 1 // in the record
	put(flipped)
	d = startRun(t, args...)
	d.awaitMetric(t, `resonhost_state_unreadable\{kind="stream"\} [01]`)
	code, body := d.post(t, "cascade", "application/json", strings.NewReader(`{"stream": "one", "detail": "summary"}`))
	if code == http.StatusOK || !strings.Contains(body, `"state_unreadable"`) {
		t.Errorf("%d %s", code, body)
	}
	d.awaitMetric(t, `resonhost_state_load_failures_total\{fault="corrupt"\} 1`)
	if code, body := d.post(t, "cascade", "application/json", strings.NewReader(`{"stream": "new", "detail": "summary"}`)); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	d.rest(t)

	put(good)
	d = startRun(t, args...)
	if got, want := d.inStream(t, 1), eleventh(t); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d.rest(t)
}

// TestRedisEmptied empties the server. The host serves on, and saves no more into what has lost the rest.
func TestRedisEmptied(t *testing.T) {
	server := redistest.Start(t)
	d := startRun(t, "--mode", "inline", "--state-url", "redis://"+server.Addr, "--state-interval", "100ms")
	d.inStream(t, 1)
	d.awaitMetric(t, `resonhost_state_unsaved 0`)
	server.Do("FLUSHALL")
	d.awaitMetric(t, `resonhost_state_save_failures_total\{fault="lost"\} [1-9]\d*`) // though nothing is unsaved
	d.awaitMetric(t, `resonhost_state_outage\{operation="save"\} 1`)
	d.inStream(t, 1)
	if n := server.Do("DBSIZE"); n != ":0" {
		t.Errorf("the server has %s records", n)
	}
	if log, code := d.rest(t); code != api.ExitFailed || !strings.Contains(log, "the server does not know this owner any more") {
		t.Errorf("exit code %d\n%s", code, log)
	}
}
