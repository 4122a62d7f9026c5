package tick_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/resonhost/resonhost/resonance/tick"
)

// TestViewNodes has a record at any address, of which an aligned one is not copied.
func TestViewNodes(t *testing.T) {
	want := tick.Nodes{
		NowMS: 7, Frequency: []float64{1, 2, 3}, Strength: []float64{0.25, 0.5, 1}, Stopped: []bool{true, false, true},
		Pattern: []float64{0.125, 0.5}, Offset: []uint32{0, 2, 2, 3}, Attached: []uint32{1, 0, 1},
	}
	for at := range 9 {
		b, err := want.AppendBinary(make([]byte, at, 256))
		if err != nil {
			t.Fatal(err)
		}
		got, err := tick.ViewNodes(b[at:])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("at %d: %+v, err %v", at, got, err)
		}
		if n := testing.AllocsPerRun(10, func() { _, err = tick.ViewNodes(b[at:]) }); n > 1 || n > 0 && at%8 == 0 {
			t.Errorf("at %d: %v allocations", at, n)
		}
	}
}

// TestViewNodesResult has one at any address.
func TestViewNodesResult(t *testing.T) {
	want := tick.NodesResult{Strength: []float64{0.25, 0.5, 1}, Pattern: []float64{0.125, 0.5}, Progress: []uint64{5}}
	for at := range 9 {
		b, err := want.AppendBinary(make([]byte, at, 256))
		if err != nil {
			t.Fatal(err)
		}
		got, err := tick.ViewNodesResult(b[at:])
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("at %d: %+v, err %v", at, got, err)
		}
		if n := testing.AllocsPerRun(10, func() { _, err = tick.ViewNodesResult(b[at:]) }); n > 1 || n > 0 && at%8 == 0 {
			t.Errorf("at %d: %v allocations", at, n)
		}
	}
}

// TestUseRoom has results whose strengths are written where the record has them, and
// others for which there is no room or no fitting address.
func TestUseRoom(t *testing.T) {
	strengths := []float64{0.25, 0.5, 1}
	want, err := (&tick.NodesResult{Strength: strengths, Pattern: []float64{0.75}, Progress: []uint64{5}}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at, room int
		used     bool
	}{{0, 64, true}, {8, 64, true}, {0, 40, true}, {0, 39, false}, {0, 0, false}, {3, 64, false}} {
		b := make([]byte, 72)[c.at : c.at : c.at+c.room]
		r := tick.NodesResult{Strength: make([]float64, 9), Pattern: []float64{0.75}, Progress: []uint64{5}}
		r.UseRoom(b, len(strengths))
		if used := cap(r.Strength) > 0; used != c.used {
			t.Errorf("%+v: used %t", c, used)
		}
		r.Strength = append(r.Strength, strengths...)
		got, err := r.AppendBinary(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%+v: %x, err %v, want %x", c, got, err, want)
		}
	}
}
