package guest_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
)

// run runs items through the only transform of a plugin.
func run(t *testing.T, p *guest.Plugin, items ...abi.Item) []abi.Result {
	t.Helper()
	frame, err := p.Run(0, abi.AppendInput(nil, items))
	if err != nil {
		t.Fatal(err)
	}
	r, err := abi.ReadOutput(frame)
	if err != nil {
		t.Fatal(err)
	}
	var results []abi.Result
	for r.Len() > 0 {
		res, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
	}
	return results
}

// origin is where a panic of a test's transform came from, as its item's message has it.
var origin = regexp.MustCompile(`, in \S+ \((guest|abi)/\w+\.go:\d+\)(, called by \S+ \(guest/guest_test\.go:\d+\))*$`)

func TestItemsAreApart(t *testing.T) {
	p := guest.New("", func(t *guest.Task) error {
		t.Output = append(t.Output, "half an answer"...)
		switch string(t.Input) {
		case "invalid":
			return &abi.FieldError{Field: "x", Rule: "must not be"}
		case "wrapped":
			return fmt.Errorf("in a wrapper: %w", &abi.FieldError{Field: "x", Rule: "must not be"})
		case "failed":
			return errors.New("cannot")
		case "panic":
			panic("at the disco")
		case "error panic":
			panic(errors.New("a panic"))
		case "panic with a number":
			panic(7)
		case "panic with what says more":
			panic(time.Second)
		case "odd panic":
			panic(7.5)
		case "panic with nothing":
			panic((*abi.FieldError)(nil))
		case "silent error":
			return (*abi.FieldError)(nil)
		case "index":
			_ = t.Input[len(t.Input):][0]
		}
		t.Output = append(t.Output[:0], t.Input...)
		return nil
	})
	var items []abi.Item
	want := []struct {
		status  abi.Status
		payload string
	}{
		{abi.StatusOK, "fine"},
		{abi.StatusInvalidArgument, "x: must not be"},
		{abi.StatusInvalidArgument, "in a wrapper: x: must not be"},
		{abi.StatusFailed, "cannot"},
		{abi.StatusFailed, "panic: at the disco"},
		{abi.StatusFailed, "panic: a panic"},
		{abi.StatusFailed, "panic: 7"},
		{abi.StatusFailed, "panic: 1s"},
		{abi.StatusFailed, "panic"},
		{abi.StatusFailed, "panic"},
		{abi.StatusFailed, "panic: runtime error: invalid memory address or nil pointer dereference"},
		{abi.StatusFailed, "panic: runtime error: index out of range [0] with length 0"},
		{abi.StatusOK, "also fine"},
	}
	for _, in := range []string{"fine", "invalid", "wrapped", "failed", "panic", "error panic", "panic with a number", "panic with what says more", "odd panic", "panic with nothing", "silent error", "index", "also fine"} {
		items = append(items, abi.Item{Payload: []byte(in)})
	}
	check := func(i int, got abi.Result) {
		t.Helper()
		payload := string(got.Payload)
		if at := origin.FindStringIndex(payload); strings.HasPrefix(payload, "panic") && at != nil {
			payload = payload[:at[0]]
		} else if strings.HasPrefix(payload, "panic") {
			t.Errorf("item %d: %q does not say where", i, payload)
		}
		if got.Status != want[i].status || payload != want[i].payload {
			t.Errorf("item %d: %v %q, want %v %q", i, got.Status, payload, want[i].status, want[i].payload)
		}
	}
	for i := range want { // each is the first and the last of a frame
		check(i, run(t, p, items[i])[0])
	}
	for range 2 { // the second time with buffers in use before
		for i, got := range run(t, p, items...) {
			check(i, got)
		}
	}
}

// TestPanicOrigin has a panic name the author's line, also if a library's function panics.
func TestPanicOrigin(t *testing.T) {
	_, _, line, _ := runtime.Caller(0)
	own := func(*guest.Task) error { panic("mine") }
	library := func(t *guest.Task) error {
		t.Output = bytes.Repeat(t.Input, -1)
		return nil
	}
	p := guest.New("", own, library)
	for i, want := range []string{
		fmt.Sprintf(`^panic: mine, in \S+/abi/guest_test\.TestPanicOrigin\.func1 \(guest/guest_test\.go:%d\)$`, line+1),
		fmt.Sprintf(`^panic: bytes: negative Repeat count, in bytes\.Repeat \(bytes/bytes\.go:\d+\), called by \S+\.TestPanicOrigin\.func2 \(guest/guest_test\.go:%d\)$`, line+3),
	} {
		frame, err := p.Run(uint32(i), abi.AppendInput(nil, []abi.Item{{Payload: []byte("x")}}))
		if err != nil {
			t.Fatal(err)
		}
		r, err := abi.ReadOutput(frame)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Next()
		if err != nil || got.Status != abi.StatusFailed || !regexp.MustCompile(want).Match(got.Payload) {
			t.Errorf("%v %q, err %v; want %s", got.Status, got.Payload, err, want)
		}
	}
}

// TestOutputs are the ways in which a transform may set its output.
func TestOutputs(t *testing.T) {
	own := []byte("a buffer of its own")
	for name, transform := range map[string]guest.Transform{
		"appends":  func(t *guest.Task) error { t.Output = append(t.Output, t.Input...); return nil },
		"replaces": func(t *guest.Task) error { t.Output = own[:copy(own, t.Input)]; return nil },
		"input":    func(t *guest.Task) error { t.Output = t.Input; return nil },
		"in pieces": func(t *guest.Task) error {
			half := len(t.Input) / 2
			t.Output = append(t.Output, t.Input[:half]...)
			t.Output = append(t.Output, t.Input[half:]...)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := guest.New("", transform)
			for n := range 19 {
				in := bytes.Repeat([]byte{'x'}, n)
				for i, got := range run(t, p, abi.Item{Payload: in}, abi.Item{Payload: in}) {
					if !bytes.Equal(got.Payload, in) {
						t.Errorf("item %d of %d bytes: %q", i, n, got.Payload)
					}
				}
			}
		})
	}
}

func TestState(t *testing.T) {
	var buffer []byte
	p := guest.New("", func(t *guest.Task) error {
		buffer = append(append(buffer[:0], t.State...), t.Input...)
		t.NextState = buffer
		return nil
	})
	got := run(t, p,
		abi.Item{Payload: []byte("b"), State: []byte("a")}, abi.Item{Payload: []byte("d"), State: []byte("c")})
	if string(got[0].State) != "ab" || string(got[1].State) != "cd" {
		t.Errorf("states %q and %q, want ab and cd", got[0].State, got[1].State)
	}
}

// TestStateIsItsOwn has an item that keeps a state before one that keeps none.
func TestStateIsItsOwn(t *testing.T) {
	p := guest.New("", func(t *guest.Task) error {
		if len(t.Input) > 0 {
			t.NextState = t.Input
		}
		return nil
	})
	items := []abi.Item{{Payload: []byte("a")}, {}, {}, {Payload: []byte("b")}}
	for _, items := range [][]abi.Item{items, items[1:]} { // the second begins after one that keeps a state
		for i, got := range run(t, p, items...) {
			if want := items[i].Payload; !bytes.Equal(got.State, want) {
				t.Errorf("item %d of %d: state %q, want %q", i, len(items), got.State, want)
			}
		}
	}
}

func TestRunRefuses(t *testing.T) {
	p := guest.New("", func(*guest.Task) error { return nil })
	if _, err := p.Run(1, abi.AppendInput(nil, nil)); err == nil || err.Error() != "no transform has index 1" {
		t.Errorf("err %v", err)
	}
	if _, err := p.Run(0, []byte("nonsense")); !errors.Is(err, abi.ErrFrame) {
		t.Errorf("err %v, want ErrFrame", err)
	}
	cut := abi.AppendInput(nil, []abi.Item{{Payload: []byte("1234")}, {Payload: []byte("5678")}})
	if _, err := p.Run(0, cut[:len(cut)-8]); !errors.Is(err, abi.ErrFrame) {
		t.Errorf("err %v, want ErrFrame", err)
	}
}

func TestAlloc(t *testing.T) {
	p := guest.New("")
	for _, n := range []uint32{0, 256<<20 + 1, 1<<32 - 1} {
		if got := p.Alloc(n); got != nil {
			t.Errorf("%d bytes are granted", n)
		}
	}
	for _, n := range []uint32{1, 8, 9, 4097, 3} {
		got := p.Alloc(n)
		if len(got) != int(n) || uintptr(unsafe.Pointer(&got[0]))%8 != 0 {
			t.Errorf("of %d bytes, %d at %p", n, len(got), &got[0])
		}
	}
	if big, small := p.Alloc(4096), p.Alloc(8); &big[0] != &small[0] {
		t.Error("room that suffices is not used again")
	}
}

func TestReserve(t *testing.T) {
	p := guest.New("", func(t *guest.Task) error {
		t.Output = append(t.Output, t.Input...)
		return nil
	}).Reserve(4096, 4096)
	frame := abi.AppendInput(nil, []abi.Item{{Payload: make([]byte, 2000)}})
	if n := testing.AllocsPerRun(10, func() {
		in := p.Alloc(uint32(len(frame)))
		copy(in, frame)
		if _, err := p.Run(0, in); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPluginDescribes(t *testing.T) {
	p := guest.New("{…}", make([]guest.Transform, 2)...)
	if p.Manifest() != "{…}" || p.Len() != 2 {
		t.Errorf("manifest %q of %d transforms", p.Manifest(), p.Len())
	}
}

// FuzzRun has any frame: it is refused, or answered item by item.
func FuzzRun(f *testing.F) {
	f.Add(abi.AppendInput(nil, []abi.Item{{Payload: []byte("payload"), State: []byte("state")}, {Payload: []byte("!")}}))
	f.Add(abi.AppendInput(nil, nil))
	p := guest.New("", func(t *guest.Task) error {
		if bytes.HasPrefix(t.Input, []byte("!")) {
			return errors.New("refused")
		}
		t.Output, t.NextState = append(t.Output, t.State...), t.Input
		return nil
	})
	f.Fuzz(func(t *testing.T, frame []byte) {
		items, err := abi.ReadInput(frame)
		n := items.Len()
		out, runErr := p.Run(0, frame)
		if runErr != nil {
			if !errors.Is(runErr, abi.ErrFrame) {
				t.Fatal(runErr)
			}
			return
		}
		if err != nil {
			t.Fatalf("a frame with %v was run", err)
		}
		results, err := abi.ReadOutput(out)
		if err != nil || results.Len() != n {
			t.Fatalf("%d results of %d items, err %v", results.Len(), n, err)
		}
		for range n {
			it, _ := items.Next()
			got, err := results.Next()
			switch {
			case err != nil:
				t.Fatal(err)
			case bytes.HasPrefix(it.Payload, []byte("!")):
				if got.Status != abi.StatusFailed || string(got.Payload) != "refused" {
					t.Fatalf("%v %q", got.Status, got.Payload)
				}
			case !bytes.Equal(got.Payload, it.State) || !bytes.Equal(got.State, it.Payload):
				t.Fatalf("%q, %q of %q, %q", got.Payload, got.State, it.State, it.Payload)
			}
		}
	})
}

func ExampleNew() {
	p := guest.New("{…}", func(t *guest.Task) error {
		t.Output = append(t.Output, strings.ToUpper(string(t.Input))...)
		return nil
	})
	// A host does this with the compiled plugin; here it is native.
	frame, err := p.Run(0, abi.AppendInput(nil, []abi.Item{{Payload: []byte("hello")}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := abi.ReadOutput(frame)
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := results.Next()
	fmt.Printf("%v %s %v\n", first.Status, first.Payload, err)
	// Output: ok HELLO <nil>
}
