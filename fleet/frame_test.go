package fleet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/golden"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMain looks for goroutines that are left. One of NATS's client stays in some runs after a file was put in an object
// store and its connection was closed; it waits for a status of that connection.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"),
		// An object whose subscription is not confirmed has its first chunk wait for a reader for ever.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*obs).Get.func2"))
}

// frame is one that has something everywhere.
func frame() *fleet.Frame {
	return &fleet.Frame{
		Transform: "cascade", Tenant: "Änne", Priority: host.PriorityBulk, MediaType: "application/json",
		Deadline: time.UnixMilli(1_800_000_000_123),
		Tasks:    []fleet.Task{{Stream: "k\x00", Input: []byte(`{"a":1}`)}, {Input: []byte{}}, {Input: []byte{0xff}}},
	}
}

func answer() *fleet.Answer {
	return &fleet.Answer{
		Host: "a-1", Digest: fleet.Digest{1, 2, 15: 3},
		Outcomes: []fleet.Outcome{{Output: []byte("out")}, {Output: []byte{}}, {Failure: &fleet.Failure{
			Kind: host.KindFailed, Message: "it could not", Field: "nodes[3]", Transform: "cascade", Plugin: "p", Version: "1.2", Hash: "ab",
		}}},
	}
}

func stored(tb testing.TB, f *fleet.Frame) []byte {
	tb.Helper()
	b, err := f.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestGolden holds the stored forms to files: hosts and clients of other versions read them.
func TestGolden(t *testing.T) {
	f := stored(t, frame())
	golden.Check(t, "testdata/v1.frame", f, *update)
	if got, err := fleet.ParseFrame(f); err != nil || !reflect.DeepEqual(got, frame()) {
		t.Errorf("frame %+v, error %v", got, err)
	}
	a := answer().Append(nil)
	golden.Check(t, "testdata/v1.answer", a, *update)
	if got, err := fleet.ParseAnswer(a); err != nil || !reflect.DeepEqual(got, answer()) {
		t.Errorf("answer %+v, error %v", got, err)
	}
}

func TestFrameRules(t *testing.T) {
	for _, c := range []struct {
		change func(f *fleet.Frame)
		want   string
	}{
		{func(f *fleet.Frame) { f.Transform = "" }, "Transform: must be 1 to 256 bytes of text without control characters"},
		{func(f *fleet.Frame) { f.Transform = "a\nb" }, "Transform: must be 1 to 256 bytes of text without control characters"},
		{func(f *fleet.Frame) { f.Tenant = strings.Repeat("a", 257) }, "Tenant: must be at most 256 bytes of text without control characters"},
		{func(f *fleet.Frame) { f.MediaType = "\xff" }, "MediaType: must be at most 256 bytes of text without control characters"},
		{func(f *fleet.Frame) { f.Priority = 3 }, "Priority: must be host.PriorityNormal, PriorityUrgent or PriorityBulk, is 3"},
		{func(f *fleet.Frame) { f.Deadline = time.Unix(-1, 0) }, "Deadline: must be after 1970 and before 2262"},
		{func(f *fleet.Frame) { f.Deadline = time.UnixMilli(math.MaxInt64/1_000_000 + 1) }, "Deadline: must be after 1970 and before 2262"},
		{func(f *fleet.Frame) { f.Tasks = nil }, "Tasks: must be 1 to 64, are 0"},
		{func(f *fleet.Frame) { f.Tasks = make([]fleet.Task, 65) }, "Tasks: must be 1 to 64, are 65"},
		{func(f *fleet.Frame) { f.Tasks[1].Stream = strings.Repeat("a", 257) }, "Tasks[1].Stream: must have at most 256 bytes"},
	} {
		f := frame()
		c.change(f)
		if _, err := f.Append(nil); err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
}

// TestLastDeadline has the latest deadline that there is. Who appends it can read it.
func TestLastDeadline(t *testing.T) {
	f := frame()
	f.Deadline = time.UnixMilli(math.MaxInt64 / 1_000_000)
	if got, err := fleet.ParseFrame(stored(t, f)); err != nil || !got.Deadline.Equal(f.Deadline) {
		t.Errorf("%+v, error %v", got, err)
	}
}

// TestMalformed cuts what is stored at each byte, and changes numbers in it.
func TestMalformed(t *testing.T) {
	f, a := stored(t, frame()), answer().Append(nil)
	for n := range f {
		if _, err := fleet.ParseFrame(f[:n]); !errors.Is(err, fleet.ErrMalformed) {
			t.Errorf("a frame of %d bytes: error %v", n, err)
		}
	}
	for n := range a {
		if _, err := fleet.ParseAnswer(a[:n]); !errors.Is(err, fleet.ErrMalformed) {
			t.Errorf("an answer of %d bytes: error %v", n, err)
		}
	}
	change := func(b []byte, at int, with ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], with)
		return b
	}
	for want, b := range map[string][]byte{
		"malformed: it is no frame": change(f, 0, 'X'),
		"malformed: the frame is of version 2, and this program knows version 1":                 change(f, 2, 2),
		"malformed: the frame has 4294967295 tasks, and 1 to 64 are allowed":                     change(f, 24, 0xff, 0xff, 0xff, 0xff),
		"malformed: the frame has 0 tasks, and 1 to 64 are allowed":                              change(f, 24, 0),
		"malformed: Deadline: must be after 1970 and before 2262":                                change(f, 11, 0xff),
		"malformed: the frame has bytes in its head that this program does not know":             change(f, 17, 1),
		"malformed: the frame is cut off":                                                        change(f, 28, 0xff, 0xff, 0xff, 0xff),
		"malformed: the frame has 1 bytes behind its end":                                        append(bytes.Clone(f), 0),
		"malformed: Priority: must be host.PriorityNormal, PriorityUrgent or PriorityBulk, is 9": change(f, 3, 9),
	} {
		if _, err := fleet.ParseFrame(b); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	for want, b := range map[string][]byte{
		"malformed: the answer has 65 outcomes, and 1 to 64 are allowed":          change(a, 28, 65),
		"malformed: the answer is cut off":                                        change(a, 39, 7),
		"malformed: the name of who answered, \n-1, is no name":                   change(a, 36, '\n'),
		"malformed: a text of outcome 2 is too long or no UTF-8":                  change(a, bytes.Index(a, []byte("it could")), 0xff),
		"malformed: the answer is of version 0, and this program knows version 1": change(a, 2, 0),
	} {
		if _, err := fleet.ParseAnswer(b); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestLongTexts has texts of a plugin's that an answer has no room for.
func TestLongTexts(t *testing.T) {
	a := &fleet.Answer{Outcomes: []fleet.Outcome{{Failure: &fleet.Failure{Message: strings.Repeat("ü", 4000) + "\xff"}}}}
	got, err := fleet.ParseAnswer(a.Append(nil))
	if err != nil || got.Outcomes[0].Failure.Message != strings.Repeat("ü", 2048) {
		t.Errorf("%+v, error %v", got, err)
	}
}

func TestIDs(t *testing.T) {
	for text, ok := range map[string]bool{
		"a.0": true, "A_b-9.18446744073709551615": true, strings.Repeat("a", 64) + ".1": true,
		"": false, "a": false, ".1": false, "a.": false, "a.01": false, "a.-1": false, "a.18446744073709551616": false,
		"a.b.1": false, "a*.1": false, "a .1": false, strings.Repeat("a", 65) + ".1": false, "ä.1": false,
	} {
		id, got := fleet.ParseID(text)
		if got != ok || ok && id.String() != text {
			t.Errorf("%q: %v %v", text, id, got)
		}
	}
}

// FuzzFrame reads anything. What it takes for a frame is written as it was read.
func FuzzFrame(f *testing.F) {
	f.Add(stored(f, frame()))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := fleet.ParseFrame(b)
		if err != nil {
			if !errors.Is(err, fleet.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := stored(t, frame); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
	})
}

// FuzzAnswer does the same with answers.
func FuzzAnswer(f *testing.F) {
	f.Add(answer().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := fleet.ParseAnswer(b)
		if err != nil {
			if !errors.Is(err, fleet.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := a.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
	})
}

// BenchmarkParseFrame reads a frame of 64 tasks of 200 bytes.
func BenchmarkParseFrame(b *testing.B) {
	f := frame()
	f.Tasks = make([]fleet.Task, fleet.MaxTasks)
	for i := range f.Tasks {
		f.Tasks[i].Input = binary.LittleEndian.AppendUint64(make([]byte, 192), uint64(i))
	}
	message := stored(b, f)
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		if _, err := fleet.ParseFrame(message); err != nil {
			b.Fatal(err)
		}
	}
}
