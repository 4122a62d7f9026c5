package abi_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
)

var items = []abi.Item{
	{Payload: []byte("payload"), State: []byte("state")},
	{},
	{Payload: bytes.Repeat([]byte{7}, 16)},
	{State: []byte("12345678")},
}

var results = []abi.Result{
	{Status: abi.StatusOK, Payload: []byte("out"), State: []byte("next")},
	{Status: abi.StatusInvalidArgument, Payload: []byte("field: rule")},
	{Status: abi.StatusFailed},
}

func readItems(frame []byte) (all []abi.Item, err error) {
	r, err := abi.ReadInput(frame)
	for err == nil && r.Len() > 0 {
		var it abi.Item
		if it, err = r.Next(); err == nil {
			all = append(all, it)
		}
	}
	return all, err
}

func readResults(frame []byte) (all []abi.Result, err error) {
	r, err := abi.ReadOutput(frame)
	for err == nil && r.Len() > 0 {
		var res abi.Result
		if res, err = r.Next(); err == nil {
			all = append(all, res)
		}
	}
	return all, err
}

func TestInputRoundTrip(t *testing.T) {
	frame := abi.AppendInput(nil, items)
	if len(frame) != abi.InputSize(items) {
		t.Errorf("frame of %d bytes, InputSize is %d", len(frame), abi.InputSize(items))
	}
	got, err := readItems(frame)
	if err != nil || len(got) != len(items) {
		t.Fatalf("%d items, err %v", len(got), err)
	}
	for i := range items {
		if !bytes.Equal(got[i].Payload, items[i].Payload) || !bytes.Equal(got[i].State, items[i].State) {
			t.Errorf("item %d is %q, want %q", i, got[i], items[i])
		}
	}
}

func TestOutputRoundTrip(t *testing.T) {
	frame := abi.AppendOutput(nil, results)
	if len(frame) != abi.OutputSize(results) {
		t.Errorf("frame of %d bytes, OutputSize is %d", len(frame), abi.OutputSize(results))
	}
	got, err := readResults(frame)
	if err != nil || len(got) != len(results) {
		t.Fatalf("%d results, err %v", len(got), err)
	}
	for i, want := range results {
		if got[i].Status != want.Status || !bytes.Equal(got[i].Payload, want.Payload) || !bytes.Equal(got[i].State, want.State) {
			t.Errorf("result %d is %q, want %q", i, got[i], want)
		}
	}
}

func TestEmptyFrames(t *testing.T) {
	if got, err := readItems(abi.AppendInput(nil, nil)); err != nil || len(got) != 0 {
		t.Errorf("%d items, err %v", len(got), err)
	}
	if got, err := readResults(abi.AppendOutput(nil, nil)); err != nil || len(got) != 0 {
		t.Errorf("%d results, err %v", len(got), err)
	}
}

// put returns a frame with the u32 at an offset replaced.
func put(frame []byte, at int, v uint32) []byte {
	frame = bytes.Clone(frame)
	binary.LittleEndian.PutUint32(frame[at:], v)
	return frame
}

func TestMalformedFrames(t *testing.T) {
	in, out := abi.AppendInput(nil, items), abi.AppendOutput(nil, results)
	for _, c := range []struct {
		name  string
		frame []byte
		read  func([]byte) error
		want  string
	}{
		{"nothing", nil, input, "malformed frame: it has 0 bytes, its header alone has 8"},
		{"half a header", in[:7], input, "malformed frame: it has 7 bytes, its header alone has 8"},
		{"output for input", out, input, "malformed frame: magic number at byte 0: must be 0x31494852, is 0x314f4852"},
		{"input for output", in, output, "malformed frame: magic number at byte 0: must be 0x314f4852, is 0x31494852"},
		{"huge count", put(in, 4, 1<<32-1), input, "malformed frame: count at byte 4: 4294967295 items have headers of 34359738360 bytes, and 72 bytes follow the count"},
		{"one item too many", put(in, 4, 5), input, "malformed frame: item 4: header at byte 80: must have 8 bytes, 0 are left"},
		{"one item too few", put(in, 4, 3), input, "malformed frame: it must end at byte 64, with its last item; it has 80 bytes"},
		{"huge payload", put(in, 8, 1<<32-1), input, "malformed frame: item 0: length of the payload at byte 8: 4294967295 bytes from byte 16 on, of which 64 are left"},
		{"huge state", put(in, 12, 1<<32-8), input, "malformed frame: item 0: length of the state at byte 12: 4294967288 bytes from byte 24 on, of which 56 are left"},
		{"cut off", in[:len(in)-1], input, "malformed frame: item 3: length of the state at byte 68: 8 bytes from byte 72 on, of which 7 are left"},
		{"cut off in a header", in[:44], input, "malformed frame: item 2: header at byte 40: must have 8 bytes, 4 are left"},
		{"cut off in a payload", in[:50], input, "malformed frame: item 2: length of the payload at byte 40: 16 bytes from byte 48 on, of which 2 are left"},
		{"no padding", abi.AppendInput(nil, items[:1])[:29], input, "malformed frame: item 0: padding of the state at byte 29: must have 3 bytes, so that it ends at a multiple of 8; 0 are left"},
		{"half a padding", abi.AppendOutput(nil, results[:1])[:38], output, "malformed frame: item 0: padding of the state at byte 36: must have 4 bytes, so that it ends at a multiple of 8; 2 are left"},
		{"no padding of a payload", put(abi.AppendInput(nil, items[:1]), 12, 0)[:23], input, "malformed frame: item 0: padding of the payload at byte 23: must have 1 bytes, so that it ends at a multiple of 8; 0 are left"},
		{"no room for the headers", in[:20], input, "malformed frame: count at byte 4: 4 items have headers of 32 bytes, and 12 bytes follow the count"},
		{"trailing", append(bytes.Clone(in), 0), input, "malformed frame: it must end at byte 80, with its last item; it has 81 bytes"},
		{"trailing an empty frame", append(abi.AppendInput(nil, nil), 1, 2, 3), input, "malformed frame: it must end at byte 8, with its last item; it has 11 bytes"},
		{"unknown status", put(out, 8, 3), output, "malformed frame: item 0: status at byte 8: must be 0 to 2, is 3"},
		{"reserved", put(out, 20, 1), output, "malformed frame: item 0: reserved field at byte 20: must be 0, is 1"},
		{"huge output", put(out, 12, 1<<31), output, "malformed frame: item 0: length of the payload at byte 12: 2147483648 bytes from byte 24 on, of which 64 are left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.read(c.frame)
			if err == nil || err.Error() != c.want {
				t.Errorf("err %v, want %s", err, c.want)
			}
			if !errors.Is(err, abi.ErrFrame) {
				t.Errorf("%v is not ErrFrame", err)
			}
		})
	}
}

func input(frame []byte) error {
	_, err := readItems(frame)
	return err
}

func output(frame []byte) error {
	_, err := readResults(frame)
	return err
}

func TestResetAfterHalfAFrame(t *testing.T) {
	r, err := abi.ReadInput(abi.AppendInput(nil, items))
	if err == nil {
		_, err = r.Next()
	}
	if err != nil || r.Len() == 0 {
		t.Fatalf("%d items are left, err %v", r.Len(), err)
	}
	if err := r.Reset([]byte("RHI")); !errors.Is(err, abi.ErrFrame) || r.Len() != 0 {
		t.Errorf("of a malformed frame %d items are left, err %v", r.Len(), err)
	}
	if err := r.Reset(abi.AppendInput(nil, items[:1])); err != nil || r.Len() != 1 {
		t.Errorf("%d items are left of one, err %v", r.Len(), err)
	}
	if it, err := r.Next(); err != nil || !bytes.Equal(it.Payload, items[0].Payload) {
		t.Errorf("item %q, err %v", it, err)
	}
}

func TestFramesCostNoAllocation(t *testing.T) {
	in, out := abi.AppendInput(nil, items), abi.AppendOutput(nil, results)
	room := make([]byte, 0, 4<<10)
	for name, f := range map[string]func(){
		"append input":  func() { abi.AppendInput(room, items) },
		"append output": func() { abi.AppendOutput(room, results) },
		"read input": func() {
			for r, _ := abi.ReadInput(in); r.Len() > 0; {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
		},
		"read output": func() {
			for r, _ := abi.ReadOutput(out); r.Len() > 0; {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestPack(t *testing.T) {
	for _, c := range [][2]uint32{{0, 0}, {1, 2}, {1<<32 - 1, 1<<32 - 1}, {1 << 31, 0}} {
		if ptr, n := abi.Unpack(abi.Pack(c[0], c[1])); ptr != c[0] || n != c[1] {
			t.Errorf("%v became %d, %d", c, ptr, n)
		}
	}
}

func TestStatus(t *testing.T) {
	var texts []string
	for s := range abi.Status(4) {
		texts = append(texts, s.String())
	}
	if got, want := strings.Join(texts, "|"), "ok|invalid argument|failed|status(3)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzReadInput(f *testing.F) {
	f.Add(abi.AppendInput(nil, items))
	f.Add(abi.AppendInput(nil, nil))
	f.Fuzz(func(t *testing.T, frame []byte) {
		got, err := readItems(frame)
		if err != nil {
			return
		}
		again := abi.AppendInput(nil, got)
		if len(again) != len(frame) {
			t.Fatalf("a frame of %d bytes became one of %d", len(frame), len(again))
		}
		if second, err := readItems(again); err != nil || len(second) != len(got) {
			t.Fatalf("%d items became %d, err %v", len(got), len(second), err)
		}
	})
}

func FuzzReadOutput(f *testing.F) {
	f.Add(abi.AppendOutput(nil, results))
	f.Add(abi.AppendOutput(nil, nil))
	f.Fuzz(func(t *testing.T, frame []byte) {
		got, err := readResults(frame)
		if err != nil {
			return
		}
		again := abi.AppendOutput(nil, got)
		if len(again) != len(frame) {
			t.Fatalf("a frame of %d bytes became one of %d", len(frame), len(again))
		}
		if second, err := readResults(again); err != nil || len(second) != len(got) {
			t.Fatalf("%d results became %d, err %v", len(got), len(second), err)
		}
	})
}

func FuzzAppendInput(f *testing.F) {
	f.Add([]byte("payload"), []byte("state"), 3)
	f.Fuzz(func(t *testing.T, payload, state []byte, n int) {
		in := make([]abi.Item, n&63)
		for i := range in {
			in[i] = abi.Item{Payload: payload[:len(payload)*i/len(in)], State: state}
		}
		got, err := readItems(abi.AppendInput(nil, in))
		if err != nil || len(got) != len(in) {
			t.Fatalf("%d of %d items, err %v", len(got), len(in), err)
		}
		for i := range in {
			if !bytes.Equal(got[i].Payload, in[i].Payload) || !bytes.Equal(got[i].State, in[i].State) {
				t.Fatalf("item %d is %q, want %q", i, got[i], in[i])
			}
		}
	})
}

func ExampleAppendInput() {
	frame := abi.AppendInput(nil, []abi.Item{
		{Payload: []byte("first"), State: []byte("what its stream left")},
		{Payload: []byte("second")},
	})
	items, err := abi.ReadInput(frame)
	for err == nil && items.Len() > 0 {
		var it abi.Item
		if it, err = items.Next(); err == nil {
			fmt.Printf("%s, state %q\n", it.Payload, it.State)
		}
	}
	fmt.Println(err)
	// Output:
	// first, state "what its stream left"
	// second, state ""
	// <nil>
}

func ExampleReadOutput() {
	frame := abi.AppendOutput(nil, []abi.Result{
		{Status: abi.StatusOK, Payload: []byte("answer")},
		{Status: abi.StatusInvalidArgument, Payload: []byte("size: must be above 0")},
	})
	results, err := abi.ReadOutput(frame)
	for err == nil && results.Len() > 0 {
		var r abi.Result
		if r, err = results.Next(); err == nil {
			fmt.Printf("%v: %s\n", r.Status, r.Payload)
		}
	}
	_, err = abi.ReadOutput(frame[:20])
	fmt.Println(err, errors.Is(err, abi.ErrFrame))
	// Output:
	// ok: answer
	// invalid argument: size: must be above 0
	// malformed frame: count at byte 4: 2 items have headers of 32 bytes, and 12 bytes follow the count true
}

// ExampleFinishResult writes a result in place.
func ExampleFinishResult() {
	frame := abi.AppendOutputHeader(nil, 1)
	at := len(frame)
	frame = append(abi.ReserveResult(frame), "answer"...)
	frame = abi.FinishResult(frame, at, abi.StatusOK, []byte("next state"))

	results, err := abi.ReadOutput(frame)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := results.Next()
	fmt.Printf("%s, %s, %v\n", r.Payload, r.State, err)
	// Output: answer, next state, <nil>
}
