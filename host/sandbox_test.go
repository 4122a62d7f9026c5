package host_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// TestRoomIsAskedForOnce has a guest that counts how often it was asked for room: for the
// largest frame before the snapshot, which is of 100 bytes, or of as many 64 times where tasks
// share a crossing, and for larger ones.
func TestRoomIsAskedForOnce(t *testing.T) {
	inputs := []int{1, 104, 105, 1, 8000, 1}
	for _, c := range []struct {
		name      string
		isolation host.Isolation
		want      []byte
	}{
		{"pristine", host.IsolationPristine, []byte{1, 1, 2, 1, 2, 1}},
		{"fresh", host.IsolationFresh, []byte{1, 1, 2, 1, 2, 1}},
		{"frame", host.IsolationFrame, []byte{2, 2, 2, 2, 3, 2}},
		{"shared", host.IsolationShared, []byte{2, 2, 2, 2, 3, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hosted.Start(t, host.Config{
				Plugins: []host.Source{handWritten(t, "room")}, Workers: 1, Defaults: host.PluginConfig{Isolation: c.isolation},
			})
			for i, n := range inputs {
				out, err := h.Run(t.Context(), "room", make([]byte, n))
				if want := []byte{c.want[i], 0, 0, 0}; err != nil || !bytes.Equal(out, want) {
					t.Errorf("task %d: was asked %v times, want %v, err %v", i, out, want, err)
				}
			}
		})
	}
}

// TestSizeOfATaskSuspendsNobody has tasks that are too large for the guest, or whose outputs are
// for the host, of which anybody can send as many as they like.
func TestSizeOfATaskSuspendsNobody(t *testing.T) {
	for transform, refused := range map[string]string{
		"refuse-alloc": "resonhost_alloc refuses a frame of 2016 bytes", "hostile.echo": "resonhost_run returned a frame of 2024 bytes, the limit is 1024 (MaxOutput, --max-output)",
	} {
		plugin, _, _ := strings.Cut(transform, ".")
		for _, isolation := range []host.Isolation{host.IsolationPristine, host.IsolationShared} {
			h := hosted.Start(t, host.Config{
				Plugins: []host.Source{handWritten(t, plugin)}, Workers: 1,
				Defaults: host.PluginConfig{Isolation: isolation, MaxOutput: 1 << 10, BreakAfter: 2},
			})
			for range 5 {
				_, err := h.Run(t.Context(), transform, make([]byte, 2000))
				if want := transform + ": abi: " + refused; err == nil || err.Error() != want {
					t.Errorf("err %v, want %s", err, want)
				}
			}
			if out, err := h.Run(t.Context(), transform, []byte("x")); err != nil || string(out) != "x" {
				t.Errorf("%s: answers %q, err %v", transform, out, err)
			}
			if s := h.Stats().Plugins[0]; s.Suspended || s.Replaced != 0 {
				t.Errorf("%s: suspended %v, %d instances were replaced", transform, s.Suspended, s.Replaced)
			}
		}
	}
}

// TestNothingIsLeft has guests that tell what an earlier task left. With one worker
// it is the same instance that runs them, where it can be.
func TestNothingIsLeft(t *testing.T) {
	isolations := map[string]host.Isolation{
		"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "fresh": host.IsolationFresh, "shared": host.IsolationShared,
	}
	gohostile := host.Source{Name: "gohostile", WASM: guesttest.Build(t, "./testdata/guests/gohostile")}
	for name, isolation := range isolations {
		t.Run(name, func(t *testing.T) {
			plugins := []host.Source{handWritten(t, "leak"), handWritten(t, "drop")}
			if isolation == host.IsolationPristine || isolation == host.IsolationShared {
				plugins = append(plugins, gohostile)
			}
			log := new(bytes.Buffer)
			t.Cleanup(func() { // once the host is closed: each task's output is a line of its own
				n := strings.Count(log.String(), "msg=ab plugin=leak source=stdout\n")
				if n += strings.Count(log.String(), "msg=pq plugin=leak source=stdout\n"); n != 5 {
					t.Errorf("%d lines of output, want 5:\n%s", n, log)
				}
			})
			h := hosted.Start(t, host.Config{
				Plugins:  plugins,
				Workers:  1,
				Logger:   slog.New(slog.NewTextHandler(log, nil)),
				Defaults: host.PluginConfig{Isolation: isolation},
			})
			run := func(transform, input string) (string, error) {
				out, err := h.Run(t.Context(), transform, []byte(input))
				return string(out), err
			}
			shared := isolation == host.IsolationShared
			// leak answers with letters behind its input for what it finds as an
			// earlier task left it.
			for i, input := range []string{"ab", "ab", "pq", "pq", "ab"} {
				want := input
				if shared {
					want += []string{"", "mgt", "mgt", "mgtp", "mgtp"}[i]
				}
				if out, err := run("leak", input); err != nil || out != want {
					t.Errorf("leak, task %d: %q, err %v, want %q", i, out, err, want)
				}
			}
			// drop drops what the next task needs.
			if _, err := run("drop", "!"); err != nil {
				t.Error(err)
			}
			if out, err := run("drop", "a"); (err == nil) == shared {
				t.Errorf("after a segment was dropped: %q, err %v", out, err)
			}
			if isolation == host.IsolationFrame || isolation == host.IsolationFresh {
				return // a Go program takes long to compile under the race detector
			}
			// One with a global list of all it has seen, and its clocks and random
			// bytes.
			for _, secret := range []string{"!secret", "!"} {
				out, err := run("gohostile.leak", secret)
				if err != nil || strings.Contains(out, "secret") != (shared && secret == "!") {
					t.Errorf("gohostile.leak %q: %q, err %v", secret, out, err)
				}
			}
			first, err := run("gohostile.clock", "!")
			if err != nil {
				t.Fatal(err)
			}
			if second, err := run("gohostile.clock", "!"); err != nil || (second == first) == shared {
				t.Errorf("clock and random bytes are %x and %x, err %v", first, second, err)
			}
		})
	}
}

// TestStreamsKeepApart has a stream's task look at the state it is given, which
// gohostile.state tells the length of.
func TestStreamsKeepApart(t *testing.T) {
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{{Name: "gohostile", WASM: guesttest.Build(t, "./testdata/guests/gohostile")}},
		Workers: 1,
	})
	for i, c := range []struct{ stream, want string }{{"a", "4"}, {"b", "4"}, {"a", "8"}, {"b", "8"}, {"c", "4"}} {
		out, err := h.Stream(c.stream).Run(t.Context(), "gohostile.state", []byte("!abc"))
		if err != nil || string(out) != c.want {
			t.Errorf("task %d, of stream %s: a state of %q bytes, err %v, want %s", i, c.stream, out, err, c.want)
		}
	}
}

// TestDenial has guests take all they can get, of time, memory, tables, logs and
// answers, while another plugin's tasks go on.
func TestDenial(t *testing.T) {
	h := hosted.Start(t, host.Config{
		Plugins:      []host.Source{handWritten(t, "hostile"), handWritten(t, "busy"), handWritten(t, "table-grow"), handWritten(t, "leak")},
		Workers:      3,
		MemoryBudget: 256 << 20,
		Defaults: host.PluginConfig{
			RunTimeout: time.Minute, BreakAfter: -1, MaxOutput: 1 << 20, BinaryLimits: host.BinaryLimits{MaxTable: 1000}, MaxInstances: 2,
		},
	})
	number := func(n byte) []byte { return []byte{n, 0, 0, 0, 0, 0, 0, 0} }
	attack(t, h, []attacker{
		{"hostile.spin", []byte("!"), host.KindTimeout},
		{"hostile.fill", []byte("!"), host.KindTimeout},
		{"hostile.recurse", []byte("!"), host.KindTrap},
		{"busy.call", number(60), host.KindTimeout}, // a tree of 2^60 calls
		{"hostile.grow", []byte("!"), host.KindOutOfMemory},
		{"hostile.logflood", []byte("!"), ""},
		{"hostile.hugelen", []byte("!"), host.KindABI},
		{"hostile.longmessage", []byte("!"), host.KindABI}, // more than MaxOutput
		{"table-grow", []byte("!"), ""},                    // it is told that the table cannot grow
	})
}

// attacker is a task that takes all it can get, and what becomes of it: "" if it succeeds.
type attacker struct {
	transform string
	input     []byte
	want      host.Kind
}

// attack runs attackers at once, three times each, beside tasks of the plugin "leak", which must go on.
func attack(t *testing.T, h *host.Host, attackers []attacker) {
	t.Helper()
	var all sync.WaitGroup
	for _, a := range attackers {
		all.Go(func() {
			patience := time.Minute
			if a.want == host.KindTimeout {
				patience = 100 * time.Millisecond
			}
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				_, err := h.Run(ctx, a.transform, a.input)
				cancel()
				if (err != nil) != (a.want != "") || err != nil && host.KindOf(err) != a.want {
					t.Errorf("%s: err %v, want %q", a.transform, err, a.want)
				}
			}
		})
	}
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	for n := 0; ; n++ {
		if out, err := h.Run(t.Context(), "leak", []byte("ab")); err != nil || string(out) != "ab" {
			t.Errorf("the neighbour's task %d: %q, err %v", n, out, err)
		}
		select {
		case <-over:
			if s := h.Stats(); s.Memory > s.MemoryBudget {
				t.Errorf("%d bytes of memory are taken, of %d", s.Memory, s.MemoryBudget)
			}
			return
		default:
		}
	}
}

func TestFuel(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) {
		cfg.Plugins = append(cfg.Plugins, handWritten(t, "busy"))
		cfg.Defaults = host.PluginConfig{MaxFuel: 100_000}
	})
	number := func(n byte) []byte { return []byte{n, 0, 0, 0, 0, 0, 0, 0} }
	var fuel uint64
	for i := range 3 {
		r := h.Submit(t.Context(), "busy.loop", number(200)).Result()
		if r.Err != nil || r.Fuel < 800 || i > 0 && r.Fuel != fuel {
			t.Errorf("task %d burnt %d, the one before %d; err %v", i, r.Fuel, fuel, r.Err)
		}
		fuel = r.Fuel
	}
	var burnt uint64
	for _, tr := range h.Stats().Plugins[0].Transforms {
		burnt += tr.Fuel
	}
	if burnt != 3*fuel {
		t.Errorf("the statistics have %d units, want three times %d", burnt, fuel)
	}
	for transform, input := range map[string][]byte{
		"busy.call": number(30), "hostile.spin": []byte("!"), "hostile.fill": []byte("!"),
	} {
		_, err := h.Run(t.Context(), transform, input)
		if host.KindOf(err) != host.KindOutOfFuel || !strings.Contains(err.Error(), "burnt more than its fuel of 100000 (MaxFuel, --max-fuel)") {
			t.Errorf("%s: err %v, want out of fuel", transform, err)
		}
	}
}

func TestMemoryBudget(t *testing.T) {
	// Two instances of 4 MiB and 1 MiB more.
	h := hostile(t, func(cfg *host.Config) {
		cfg.Workers, cfg.MemoryBudget = 2, 9<<20
		cfg.Defaults = host.PluginConfig{MinInstances: 2, Isolation: host.IsolationShared}
	})
	if s := h.Stats(); s.Memory != 8<<20 || s.MemoryBudget != 9<<20 {
		t.Errorf("%d of %d bytes are taken", s.Memory, s.MemoryBudget)
	}
	if _, err := h.Run(t.Context(), "hostile.growok", []byte("!")); err != nil {
		t.Errorf("growing into the budget: %v", err)
	}
	_, err := h.Run(t.Context(), "hostile.grow", []byte("!"))
	if kind := host.KindOf(err); kind != host.KindMemoryFull {
		t.Errorf("growing beyond it: err %v", err)
	}
	if _, err := h.Run(t.Context(), "hostile.echo", nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}

	h, err = host.New(host.Config{Plugins: []host.Source{handWritten(t, "hostile")}, MemoryBudget: 3 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "no room in the memory budget: an instance has 4194304 bytes") {
		t.Errorf("starting beyond it: err %v", err)
	}
}

// TestBreaker has a plugin that only fails rest, and then recover.
func TestBreaker(t *testing.T) {
	var log bytes.Buffer
	h := hosted.Start(t, host.Config{
		Logger:    slog.New(slog.NewTextHandler(&log, nil)),
		Plugins:   []host.Source{handWritten(t, "hostile"), handWritten(t, "leak")},
		Overrides: map[string]host.PluginConfig{"hostile": {BreakAfter: 3}},
	})
	fail := func() error {
		_, err := h.Run(t.Context(), "hostile.trap", []byte("!"))
		return err
	}
	suspended := func() bool { return h.Stats().Plugins[0].Suspended }
	for range 2 {
		if err := fail(); host.KindOf(err) != host.KindTrap {
			t.Fatal(err)
		}
	}
	if _, err := h.Run(t.Context(), "hostile.echo", nil); err != nil { // starts the count anew
		t.Fatal(err)
	}
	for i := range 3 {
		if suspended() {
			t.Errorf("suspended after %d failures in a row", i)
		}
		if err := fail(); host.KindOf(err) != host.KindTrap {
			t.Fatal(err)
		}
	}
	broken := h.Stats().Plugins[0].Broken
	err := fail()
	if !errors.Is(err, host.ErrSuspended) || host.KindOf(err) != host.KindUnavailable || !strings.Contains(err.Error(), "after 3 failures in a row") {
		t.Errorf("err %v, want that the plugin is suspended", err)
	}
	if s := h.Stats().Plugins[0]; !s.Suspended || s.Suspensions != 1 || s.Broken != broken {
		t.Errorf("%+v", s)
	}
	if _, err := h.Run(t.Context(), "leak", []byte("a")); err != nil {
		t.Errorf("another plugin: %v", err)
	}
	for { // until the rest is over, one task tries, and fails
		err = fail()
		if !errors.Is(err, host.ErrSuspended) {
			break
		}
	}
	if host.KindOf(err) != host.KindTrap || !suspended() {
		t.Errorf("the task that tries: err %v", err)
	}
	for {
		out, err := h.Run(t.Context(), "hostile.echo", []byte("well"))
		if err == nil {
			if string(out) != "well" || suspended() {
				t.Errorf("recovered: %q, suspended %v", out, suspended())
			}
			break
		}
		if !errors.Is(err, host.ErrSuspended) {
			t.Fatal(err)
		}
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, once := range []string{"level=WARN msg=\"plugin is suspended", "level=INFO msg=\"plugin has recovered"} {
		if n := strings.Count(log.String(), once); n != 1 { // however often it rested
			t.Errorf("%s: logged %d times:\n%s", once, n, &log)
		}
	}
}

// TestRealClockSleeps has a guest that sleeps for an hour.
func TestRealClockSleeps(t *testing.T) {
	gohostile := host.Source{Name: "gohostile", WASM: guesttest.Build(t, "./testdata/guests/gohostile")}
	h := hosted.Start(t, host.Config{
		Plugins:  []host.Source{gohostile},
		Defaults: host.PluginConfig{Grants: []host.Grant{host.GrantClock, host.GrantRandom}, RunTimeout: time.Second},
	})
	if _, err := h.Run(t.Context(), "gohostile.sleep", []byte("!")); host.KindOf(err) != host.KindTimeout {
		t.Errorf("err %v, want its run timeout", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := h.Run(ctx, "gohostile.sleep", []byte("!")); host.KindOf(err) != host.KindTimeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err %v, want the caller's deadline", err)
	}
	first, err := h.Run(t.Context(), "gohostile.clock", []byte("!"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Run(t.Context(), "gohostile.clock", []byte("!"))
	if err != nil || bytes.Equal(first[:8], second[:8]) || bytes.Equal(first[8:], second[8:]) {
		t.Errorf("clock and random bytes are %x and %x, err %v; want others", first, second, err)
	}
}
