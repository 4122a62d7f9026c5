package host_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/redis"
)

var crashes = flag.Int("crashes", 6, "how often TestKilled kills a host, for each store")

// These are set in a process that TestKilled kills: they name the store, and a directory with the
// guest and room for a cache.
const (
	crashStore = "RESONHOST_TEST_CRASH_STORE"
	crashDir   = "RESONHOST_TEST_CRASH_DIR"
)

const (
	crashStreams  = 1000
	crashInterval = 100 * time.Millisecond
	// crashBeat is how often a process shows that it runs.
	crashBeat = 10 * time.Millisecond
	// crashSlack is how late a save may begin, beside what its process stood still for. On two
	// cores with a load average of 30, saves of 120 lives were 73 ms late at most.
	crashSlack = 250 * time.Millisecond
)

// openCrashStore opens the store of that name: bolt:DIR, or a URL of Redis.
func openCrashStore(ctx context.Context, name string) (state.Store, error) {
	if dir, ok := strings.CutPrefix(name, "bolt:"); ok {
		return bolt.Open(ctx, dir, bolt.Options{})
	}
	return redis.Open(ctx, redis.Options{URL: name})
}

// chained is the guest chain as native code.
func chained() host.Native {
	return guest.New(`{"name": "chain", "version": "1", "transforms": [
		{"name": "chain", "input": "text/plain", "output": "application/octet-stream", "state_bytes": 16}]}`,
		func(t *guest.Task) error {
			t.NextState = nextLink(string(t.Input), t.State)
			t.Output = append(t.Output, t.NextState...)
			return nil
		})
}

// nextLink is what the guest chain makes of a state by a task whose input is the stream's key.
func nextLink(key string, link []byte) []byte {
	n := uint64(0)
	if len(link) > 0 {
		n = binary.LittleEndian.Uint64(link)
	}
	h := fnv.New64a()
	_, _ = h.Write(link)
	_, _ = h.Write([]byte(key))
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, n+1), h.Sum64())
}

// report is what the process that is killed says, by one write each: that a task has ended, that a
// batch begins to be saved, that a save has ended, that it is ready, or that it runs.
type report struct {
	What, Stream uint32
	Count, Sum   uint64 // of a save, Count is how long it took, in nanoseconds
	// At is the time; of a save, that until which it saved what had changed.
	At int64
}

const (
	reportTask uint32 = iota
	reportBatch
	reportSave
	reportReady
	reportBeat
)

// tellingStore says when a batch begins to be saved.
type tellingStore struct {
	state.Store

	say func(report)
}

func (s tellingStore) Save(ctx context.Context, changes []state.Change) error {
	s.say(report{What: reportBatch, At: time.Now().UnixNano()})
	return s.Store.Save(ctx, changes)
}

// runCrashing is the process that is killed: it has tasks in all streams until then.
func runCrashing(name string) error {
	ctx := context.Background()
	store, err := openCrashStore(ctx, name)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(r report) {
		mu.Lock()
		defer mu.Unlock()
		if err := binary.Write(os.Stdout, binary.LittleEndian, r); err != nil {
			os.Exit(1) // nobody listens
		}
	}
	bus := event.New(-1)
	bus.Handle(1024, func(_ context.Context, e event.Event) {
		saved := e.Body.(event.StateSaved)
		say(report{What: reportSave, Count: uint64(saved.Took), At: saved.Until.UnixNano()})
	}, event.KindStateSaved)
	dir := os.Getenv(crashDir)
	h, err := host.New(host.Config{
		PluginDir: filepath.Join(dir, "plugins"), CacheDir: filepath.Join(dir, "cache"),
		State: tellingStore{store, say}, StateInterval: crashInterval, StreamAge: -1, Events: bus,
		Defaults: host.PluginConfig{CompileTimeout: 10 * time.Minute},
	})
	if err == nil {
		err = h.Start(ctx)
	}
	if err != nil {
		return err
	}
	say(report{What: reportReady, Count: uint64(h.Stats().Streams), At: time.Now().UnixNano()})
	go func() {
		for range time.Tick(crashBeat) {
			say(report{What: reportBeat, At: time.Now().UnixNano()})
		}
	}()
	const callers = 20
	for c := range callers {
		go func() {
			for i := c; ; i = (i + callers) % crashStreams {
				key := strconv.Itoa(i)
				out, err := h.Stream(key).Run(ctx, "chain", []byte(key))
				if err != nil {
					_, _ = fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				say(report{reportTask, uint32(i), binary.LittleEndian.Uint64(out), binary.LittleEndian.Uint64(out[8:]), time.Now().UnixNano()})
			}
		}()
	}
	select {} // until it is killed
}

// past is what a stream is known to have had.
type past struct {
	links [][]byte // of each count from 0, which the test computes itself
	had   []int64  // of each count, when it was reported; 0 if it was not, in this life
	least uint64   // the count that it must have after the next crash
	last  uint64   // the last that was reported
}

// link returns the link of a count.
func (p *past) link(key string, count uint64) []byte {
	if len(p.links) == 0 {
		p.links = [][]byte{nil}
	}
	for uint64(len(p.links)) <= count {
		p.links = append(p.links, nextLink(key, p.links[len(p.links)-1]))
	}
	return p.links[count]
}

// TestKilled kills a host under load, at random moments, and has it go on: each stream does from a
// state that it really had, no older than the last save that was reported.
func TestKilled(t *testing.T) {
	for name, store := range map[string]func() string{
		"bolt":  func() string { return "bolt:" + t.TempDir() },
		"redis": func() string { return "redis://" + redistest.Start(t).Addr + "/0" },
	} {
		t.Run(name, func(t *testing.T) {
			c := &crashing{t: t, store: store(), dir: t.TempDir(), pasts: make([]past, crashStreams)}
			if err := os.Mkdir(filepath.Join(c.dir, "plugins"), 0o700); err != nil {
				t.Fatal(err)
			}
			save(t, filepath.Join(c.dir, "plugins"), "chain.wasm", guesttest.Build(t, "./testdata/guests/chain"))
			for range *crashes {
				c.live()
			}
			t.Logf("%d crashes; a stored state was %v old at most, a save took %v, was %v late, and a start took %v", *crashes, c.oldest, c.longest, c.late, c.start)
		})
	}
}

// crashing is what becomes of a store whose hosts are killed.
type crashing struct {
	t          *testing.T
	store, dir string
	pasts      []past
	// oldest is how old what was stored was at most when its host was killed, longest how long a save
	// took, and start how long a process took to be ready, but for the first, which compiles the guest.
	// late is how much later than due a save began at most, beyond what its process stood still for.
	oldest, longest, start, late time.Duration
}

// live has a host live until it is killed, and checks what it says.
func (c *crashing) live() {
	c.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashStore+"="+c.store, crashDir+"="+c.dir)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	began := time.Now()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	l := &life{crashing: c}
	killed := make(chan time.Time, 1)
	in := bufio.NewReader(out)
	for {
		var r report
		err := binary.Read(in, binary.LittleEndian, &r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if r.What == reportReady {
			if c.longest > 0 {
				c.start = max(c.start, time.Unix(0, r.At).Sub(began))
			}
			l.saved, l.beat = r.At, r.At
			time.AfterFunc(50*time.Millisecond+rand.N(1500*time.Millisecond), func() {
				killed <- time.Now()
				_ = cmd.Process.Kill()
			})
		}
		l.take(r)
	}
	_ = cmd.Wait()
	select {
	case at := <-killed:
		l.end(at)
	default:
		c.t.Fatalf("the host ended by itself: %s", said.String())
	}
}

// life is one process, until it is killed.
type life struct {
	*crashing

	first [crashStreams]bool // tasks were reported
	// saved is until when the last save has saved what had changed, or when the host was ready; save
	// is when that began, 0 of none. took is how long it took.
	saved, save int64
	took        time.Duration
	saving      bool // a batch is being saved, or was without its save having ended
	// beat is when the process has last shown that it runs, and stalled the longest that it had not.
	beat    int64
	stalled time.Duration
}

func (l *life) take(r report) {
	switch r.What {
	case reportReady:
		want := uint64(0)
		for i := range l.pasts {
			want += min(l.pasts[i].least, 1)
		}
		if r.Count < want {
			l.t.Fatalf("%d streams are stored, want %d", r.Count, want)
		}
	case reportBeat:
		l.stalled, l.beat = max(l.stalled, time.Duration(r.At-l.beat)), r.At
	case reportBatch:
		if !l.saving {
			l.due(r.At, "the next save begins")
		}
		l.saving = true
	case reportSave:
		l.saved, l.save, l.took, l.saving = r.At, r.At, time.Duration(r.Count), false
		l.longest = max(l.longest, l.took)
	case reportTask:
		p, key := &l.pasts[r.Stream], strconv.Itoa(int(r.Stream))
		if want := binary.LittleEndian.Uint64(p.link(key, r.Count)[8:]); r.Sum != want {
			l.t.Fatalf("stream %s has the sum %x after %d tasks, want %x: its state is none that it had", key, r.Sum, r.Count, want)
		}
		if !l.first[r.Stream] {
			// A task more may have ended than was reported.
			if r.Count-1 < p.least || r.Count-1 > p.last+1 {
				l.t.Fatalf("stream %s goes on after %d tasks, want %d to %d", key, r.Count-1, p.least, p.last+1)
			}
			l.first[r.Stream] = true
			p.least, p.last, p.had = r.Count-1, r.Count-1, p.had[:0]
		}
		if r.Count != p.last+1 {
			l.t.Fatalf("stream %s has had %d tasks after %d", key, r.Count, p.last)
		}
		p.last = r.Count
		p.had = append(p.had, r.At)
	}
}

// due checks that no more than the interval, or the save before if that took longer, has passed since
// the last save began, and what the process stood still for. So what is stored is never older than the
// interval and one save.
func (l *life) due(now int64, what string) {
	l.t.Helper()
	late := time.Duration(now-l.saved) - max(crashInterval, l.took) - 3*max(l.stalled, time.Duration(now-l.beat))
	if l.late = max(l.late, late); late > crashSlack {
		l.t.Errorf("%s %v late; the save before took %v, the interval is %v, and the process stood still for %v", what, late, l.took, crashInterval, l.stalled)
	}
}

// end works out what must be there after a life that ended at a time.
func (l *life) end(at time.Time) {
	if !l.saving {
		l.due(at.UnixNano(), "no save has begun")
	}
	began := l.save
	if began > 0 {
		l.oldest = max(l.oldest, at.Sub(time.Unix(0, began)))
	}
	for i := range l.pasts {
		p := &l.pasts[i]
		for n, when := range p.had {
			if when <= began {
				p.least = p.last - uint64(len(p.had)) + uint64(n) + 1
			}
		}
		p.had = p.had[:0] // of the next life
	}
}
