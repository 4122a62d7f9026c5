package fleet_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/fleet"
)

// entry is what is wanted of a plugin, as hosts store it, and a sign of life, likewise.
const (
	entry = `{"format":1,"plugin":"swap","current":RELEASE,"previous":RELEASE,"rollout":{"id":"abc","release":RELEASE,"state":"rolling","began":"2026-11-30T12:00:00Z",` +
		`"share":0.1,"watch_ms":30000,"max_errors":0.01,"places":{"i1":{"host":"a","step":"trying","since":"2026-11-30T12:00:00Z"}}}}`
	sign = `{"format":1,"host":"a","instance":"i1","since":"2026-11-30T12:00:00Z","workers":2,"active":1,"waiting":3,"under_way":1,"frames":9,"tasks":10,"failed":1,` +
		`"plugins":[{"source":"swap","version":"v1","hash":"HASH"}]}`
)

func filled(text string) string {
	hash := strings.Repeat("ab", 32)
	text = strings.ReplaceAll(text, "RELEASE", `{"hash":"HASH","version":"v1","files":{"swap.wasm":{"sha256":"HASH","bytes":5}}}`)
	return strings.ReplaceAll(text, "HASH", hash)
}

func TestParseWanted(t *testing.T) {
	for _, c := range []struct{ replace, with, want string }{
		{"", "", ""},
		{`"plugin":"swap"`, `"plugin":"other"`, "malformed: plugin: must be that of the key"},
		{`"format":1`, `"format":0`, "malformed: format: must be positive"},
		{`"format":1`, `"format":2`, "it has format 2, and this program reads 1: use a newer version of resonhost"},
		{`"state":"rolling"`, `"state":"x"`, "malformed: rollout.state: must be rolling, done or stopped"},
		{`"id":"abc"`, `"id":""`, "malformed: rollout.id: must be letters and digits"},
		{`"share":0.1`, `"share":0`, "malformed: rollout.share: must be above 0, and at most 1"},
		{`"watch_ms":30000`, `"watch_ms":9000000000000000000`, "malformed: rollout.watch_ms: must be a day at most"},
		{`"max_errors":0.01`, `"max_errors":-1`, "malformed: rollout.max_errors: must be 0 to 1"},
		{`"step":"trying"`, `"step":"x"`, "malformed: rollout.places: must have a host and a step each"},
		{`"i1"`, `"i 1"`, "malformed: rollout.places: must have a host and a step each"},
		{`"swap.wasm"`, `"../swap.wasm"`, "lack swap.wasm"},
		{`"swap.wasm"`, `"swap.wasm":{"sha256":"HASH","bytes":5},"a/b"`, `files: have the name "a/b"`},
		{`"bytes":5`, `"bytes":-5`, "files.swap.wasm: has -5 bytes, and may have 134217728"},
		{`"sha256":"HASH"`, `"sha256":"x"`, "files.swap.wasm: must have a SHA-256 in hexadecimal"},
		{`"hash":"HASH"`, `"hash":"` + strings.Repeat("AB", 32) + `"`, "hash: must be a SHA-256 in hexadecimal"},
	} {
		text := strings.ReplaceAll(strings.Replace(entry, "RELEASE", filled("RELEASE"), 3), filled("HASH"), "HASH")
		_, err := fleet.ParseWanted("swap", []byte(filled(strings.ReplaceAll(text, c.replace, c.with))))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %s", c.with, err, c.want)
		}
	}
}

// TestOutcome says what follows from which hosts there are.
func TestOutcome(t *testing.T) {
	now := time.Now()
	hosts := func(names ...string) (list []fleet.HostInfo) {
		for _, n := range names {
			list = append(list, fleet.HostInfo{Host: n, Instance: n, Draining: n == "drained"})
		}
		return list
	}
	for _, c := range []struct {
		name         string
		trying, good []string
		hosts        []fleet.HostInfo
		want         fleet.RolloutState
	}{
		{"nobody", nil, nil, nil, ""},
		{"nobody has it", nil, nil, hosts("a"), ""},
		{"one tries it", []string{"a"}, nil, hosts("a", "b"), ""},
		{"one has it", nil, []string{"a"}, hosts("a", "b"), ""},
		{"all have it", nil, []string{"a", "b"}, hosts("a", "b"), fleet.RolloutDone},
		{"all but one that is drained", nil, []string{"a"}, hosts("a", "drained"), fleet.RolloutDone},
		{"all are drained, and none has it", nil, nil, hosts("drained"), ""},
		{"one that had it has gone", nil, []string{"a", "b"}, hosts("a"), fleet.RolloutDone},
		{"one that tries it has gone", []string{"b"}, []string{"a"}, hosts("a"), fleet.RolloutStopped},
		{"all have gone", []string{"b"}, nil, nil, fleet.RolloutStopped},
	} {
		w, err := fleet.ParseWanted("swap", []byte(filled(entry)))
		if err != nil {
			t.Fatal(err)
		}
		w.Rollout.Places = make(map[string]fleet.Place)
		for _, n := range c.trying {
			w.Rollout.Places[n] = fleet.Place{Host: n, Step: fleet.StepTrying, Since: now}
		}
		for _, n := range c.good {
			w.Rollout.Places[n] = fleet.Place{Host: n, Step: fleet.StepGood, Since: now}
		}
		for _, sure := range []bool{true, false} {
			want := c.want
			if !sure && want == fleet.RolloutStopped {
				want = "" // the host may give a sign yet
			}
			next := w.Outcome(c.hosts, sure, now)
			if next == nil && want != "" || next != nil && next.Rollout.State != want {
				t.Errorf("%s, sure %t: %+v, want %q", c.name, sure, next, want)
			}
		}
	}
}

// TestTake has as many hosts try a release at a time as the share says, one at least.
func TestTake(t *testing.T) {
	for share, want := range map[float64]int{0.01: 1, 0.1: 2, 0.5: 10, 1: 20} {
		w, err := fleet.ParseWanted("swap", []byte(filled(entry)))
		if err != nil {
			t.Fatal(err)
		}
		w.Rollout.Share, w.Rollout.Places = share, nil
		taken := 0
		for i := range 20 {
			if next := w.Take(fmt.Sprint("i", i), "host", make([]fleet.HostInfo, 20), true, time.Now()); next != nil {
				w = next
				taken++
			}
		}
		if taken != want {
			t.Errorf("a share of %g of 20 hosts: %d, want %d", share, taken, want)
		}
	}
}

// TestTakeFull has a record without room for one more host. Places of hosts that have gone make room, once it is certain that they have;
// else the roll-out is stopped.
func TestTakeFull(t *testing.T) {
	w, err := fleet.ParseWanted("swap", []byte(filled(entry)))
	if err != nil {
		t.Fatal(err)
	}
	w.Rollout.Places = make(map[string]fleet.Place)
	var hosts []fleet.HostInfo
	now := time.Date(2026, 11, 30, 12, 0, 0, 123456789, time.UTC) // of one length
	for i := range 5000 {
		instance := fmt.Sprintf("abcdefghijklmnopqr%04d", i)
		hosts = append(hosts, fleet.HostInfo{Host: "a", Instance: instance})
		if next := w.Take(instance, "a", hosts, false, now); next == nil {
			break
		}
		w.Rollout.Places[instance] = fleet.Place{Host: "a", Step: fleet.StepGood, Since: now}
	}
	n := len(w.Rollout.Places)
	if n < 400 || n == 5000 {
		t.Fatalf("%d places", n)
	}
	next := w.Take("abcdefghijklmnopqrmore", "another", hosts, true, now)
	if next == nil || next.Rollout.State != fleet.RolloutStopped || !strings.HasPrefix(next.Rollout.Reason, fmt.Sprintf("there is no room for the places of more than %d hosts", n)) {
		t.Fatalf("%+v", next)
	}
	if _, err := next.Encode(); err != nil {
		t.Error(err)
	}
	if next := w.Take("abcdefghijklmnopqrmore", "another", hosts[:3], false, now); next != nil {
		t.Errorf("hosts have gone that may be there: %+v", next)
	}
	if next = w.Take("abcdefghijklmnopqrmore", "another", hosts[:3], true, now); next == nil || len(next.Rollout.Places) != 4 || next.Rollout.Good() != 3 || len(w.Rollout.Places) != n {
		t.Errorf("%+v", next)
	}
}

// TestManyHosts says that an entry has no room for more hosts, and a sign of life leaves plugins out.
func TestManyHosts(t *testing.T) {
	w, err := fleet.ParseWanted("swap", []byte(filled(entry)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		w.Rollout.Places[fmt.Sprintf("abcdefghijklmnopqr%04d", i)] = fleet.Place{Host: fmt.Sprintf("host-%d", i), Step: fleet.StepGood, Since: time.Now().UTC()}
		data, err := w.Encode()
		if err != nil {
			if i < 400 || err.Error() != fmt.Sprintf("the roll-out of swap has %d hosts, and an entry of a bucket has room for 61440 bytes: use several fleets", i+2) {
				t.Errorf("%d hosts: error %v", i+2, err)
			}
			break
		}
		if i == 400 {
			if _, err := fleet.ParseWanted("swap", data); err != nil {
				t.Error(err)
			}
		}
	}
	h, err := fleet.ParseHost("i1", []byte(filled(sign)))
	if err != nil {
		t.Fatal(err)
	}
	h.Plugins = slices.Repeat([]fleet.HostPlugin{{Source: strings.Repeat("x", 128), Failure: strings.Repeat("<", 256)}}, 128)
	data, err := h.Encode()
	if err != nil || len(data) > 60<<10 {
		t.Errorf("%d bytes, error %v", len(data), err)
	}
	if got, err := fleet.ParseHost("i1", data); err != nil || len(got.Plugins) == 0 {
		t.Errorf("error %v", err)
	}
}

func FuzzParseWanted(f *testing.F) {
	f.Add([]byte(filled(entry)))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := fleet.ParseWanted("swap", data)
		if err != nil {
			return
		}
		again, err := w.Encode()
		if err != nil {
			return // it has room for less than the entry had
		}
		got, err := fleet.ParseWanted("swap", again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		w.Outcome(nil, true, time.Now())
		if third, err := got.Encode(); err != nil || !bytes.Equal(third, again) {
			t.Errorf("%s is %s, error %v", again, third, err)
		}
	})
}

func FuzzParseHost(f *testing.F) {
	f.Add([]byte(filled(sign)))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := fleet.ParseHost("i1", data)
		if err != nil {
			return
		}
		if h.Instance != "i1" || h.Host == "" || strings.ContainsAny(h.Host, "\n\x1b") {
			t.Errorf("%+v", h)
		}
		if again, err := h.Encode(); err == nil {
			if _, err := fleet.ParseHost("i1", again); err != nil && !errors.Is(err, fleet.ErrMalformed) {
				t.Errorf("%s: %v", again, err)
			}
		}
	})
}
