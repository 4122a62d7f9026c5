package fleetlines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/fleet/fleetlines"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
	"github.com/resonhost/resonhost/lines"
)

const manifest = `{"name": "grow", "version": "1", "transforms": [{"name": "grow", "input": "application/json", "output": "application/json", "state_bytes": 100000}]}`

// grow is a transform that appends a byte to the state of its stream, and answers how many it has. It answers an input "bad" with an error.
func grow(t *guest.Task) error {
	if bytes.Contains(t.Input, []byte("bad")) {
		return errors.New("it is bad")
	}
	t.NextState = append(append(t.NextState, t.State...), 'x')
	t.Output = fmt.Appendf(t.Output, `{"of":%s,"n":%d}`, t.Input, len(t.NextState))
	return nil
}

// serving returns a fleet with two hosts.
func serving(t *testing.T) *fleet.Fleet {
	t.Helper()
	var f *fleet.Fleet
	urls := natstest.Start(t).URL()
	for range 2 {
		var err error
		if f, err = fleet.Open(t.Context(), fleet.Config{URLs: urls, TaskBytes: 64 << 20, ResultBytes: 64 << 20}); err != nil {
			t.Fatal(err)
		}
		w := f.NewWorker(hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(manifest, grow)}}), fleet.WorkerOptions{})
		of := f
		t.Cleanup(func() {
			if err := errors.Join(w.Close(context.Background()), of.Close()); err != nil {
				t.Error(err)
			}
		})
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func run(t *testing.T, f *fleet.Fleet, key, in string, o fleetlines.Options) (string, lines.Summary, error) {
	t.Helper()
	sub, err := f.Client("ann", host.PriorityNormal).Submit(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	var out strings.Builder
	done, err := fleetlines.Run(t.Context(), sub, "grow", strings.NewReader(in), &out, o)
	return out.String(), done, err
}

// TestStreams has lines of many streams, which lie in many frames. Results are in the order of the lines, and those of each stream count on.
func TestStreams(t *testing.T) {
	f := serving(t)
	const n, streams = 3000, 30
	var in strings.Builder
	for i := range n {
		switch {
		case i == 1000:
			in.WriteString("\n{\n")
			continue
		case i == 1001:
			in.WriteString(`{"i": 1001, "s": 7}` + "\n")
			continue
		case i%7 == 0:
			fmt.Fprintf(&in, `{"i": %d}`+"\n", i)
			continue
		}
		fmt.Fprintf(&in, `{"i": %d, "s": "stream %d"}`+"\n", i, i%streams)
	}
	out, done, err := run(t, f, "key", in.String(), fleetlines.Options{StreamField: "s"})
	if err != nil || done.Lines != n || done.Failed != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	counts := make(map[int]int)
	for i, line := range slices.Collect(strings.Lines(out)) {
		var want string
		switch {
		case i == 1000:
			want = `"line":1002}`
		case i == 1001:
			want = `"field":"s",`
		case i%7 == 0:
			want = fmt.Sprintf(`{"of":{"i": %d},"n":1}`, i)
		default:
			counts[i%streams]++
			want = fmt.Sprintf(`{"of":{"i": %d},"n":%d}`, i, counts[i%streams])
		}
		if !strings.Contains(strings.ReplaceAll(line, " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Fatalf("line %d is %s, want %s", i, line, want)
		}
	}
	if again, done, err := run(t, f, "key", in.String(), fleetlines.Options{StreamField: "s"}); again != out || err != nil || done.Failed != 2 {
		t.Errorf("the same lines again: %+v, %v, and other results", done, err)
	}
}

// TestOneStream has all lines in one stream, numbered from another line on.
func TestOneStream(t *testing.T) {
	f := serving(t)
	var failed []int
	out, done, err := run(t, f, "", "1\n\"bad\"\n2\n", fleetlines.Options{
		Stream: "s", Line: 10, Failed: func(line int, _ error) { failed = append(failed, line) },
	})
	if err != nil || done.Failed != 1 || !slices.Equal(failed, []int{11}) {
		t.Errorf("%+v %v %v", done, err, failed)
	}
	got := strings.Split(out, "\n")
	if got[0] != `{"of":1,"n":1}` || !strings.Contains(got[1], `"line":11`) || got[2] != `{"of":2,"n":2}` {
		t.Errorf("%s", out)
	}
	out, _, err = run(t, f, "", `{"s": "other"}`, fleetlines.Options{Stream: "s", StreamField: "s"})
	if err != nil || !strings.Contains(out, "is there besides the stream of all lines") {
		t.Errorf("%s %v", out, err)
	}
}

// room is a Memory of so many bytes, of which it has all back in the end.
type room struct {
	mu          sync.Mutex
	held, most  int
	took, asked int
}

func (r *room) Take(n int, _ bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked++; r.held+n > r.most {
		return false
	}
	r.held, r.took = r.held+n, r.took+1
	return true
}

func (r *room) Add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held += n
}

func (r *room) Tight() bool { return false }

// TestNarrow has a window of one frame, so that lines of a chunk are answered before the last was sent; and results for which there is no room.
func TestNarrow(t *testing.T) {
	f := serving(t)
	var in strings.Builder
	for i := range 500 {
		fmt.Fprintf(&in, `{"i": %d, "s": "stream %d"}`+"\n", i, i%40)
	}
	for most, fails := range map[int]bool{1 << 20: false, 10: true} {
		sub, err := f.Client("ann", host.PriorityNormal).Submit(t.Context(), "", 1)
		if err != nil {
			t.Fatal(err)
		}
		memory := &room{most: most}
		done, err := fleetlines.Run(t.Context(), sub, "grow", strings.NewReader(in.String()), io.Discard, fleetlines.Options{StreamField: "s", Memory: memory})
		if err != nil || done.Lines != 500 || (done.Failed == 500) != fails || (done.Failed == 0) == fails || memory.held != 0 {
			t.Errorf("with room for %d bytes: %+v, %v, and %d bytes are held", most, done, err, memory.held)
		}
		sub.Close()
	}
}
