package fleetlines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	client := f.Client("ann", host.PriorityNormal)
	sub, err := client.Submit(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	var out strings.Builder
	done, err := fleetlines.Run(t.Context(), f, sub, client, "grow", strings.NewReader(in), &out, o)
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
		Stream: "s", Line: 10, Failed: func(line int, err error) { failed = append(failed, line) },
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
