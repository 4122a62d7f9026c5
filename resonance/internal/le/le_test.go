package le_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/resonhost/resonhost/resonance/internal/le"
)

func check[T le.Number](t *testing.T, want string, v ...T) {
	t.Helper()
	b := le.Append([]byte("x"), v...)
	if string(b) != "x"+want {
		t.Errorf("%v is %q, want %q", v, b[1:], want)
	}
	got := make([]T, len(v))
	if rest := le.Read(append(b[1:], "rest"...), got); string(rest) != "rest" || !slices.Equal(got, v) {
		t.Errorf("%v became %v, rest %q", v, got, rest)
	}
}

func TestRuns(t *testing.T) {
	check(t, "\x01\x02\x00\x00\xff\xff\xff\xff", uint32(0x201), math.MaxUint32)
	check(t, "\x01\x02\x00\x00\x00\x00\x00\x80", uint64(1<<63|0x201))
	check(t, "\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\xc0", 1.0, -2)
	check[float64](t, "")
	if got := le.Append([]byte("x"), true, false, true); string(got) != "x\x01\x00\x01" {
		t.Errorf("bools are %q", got)
	}
}

func TestReadRefusesToGoBeyond(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("read beyond the end")
		}
	}()
	le.Read(make([]byte, 15), make([]float64, 2))
}

// TestUnaligned has numbers at every address.
func TestUnaligned(t *testing.T) {
	for at := range 8 {
		b := le.Append(make([]byte, at, 64), 1.5, 2.5)
		got := make([]float64, 2)
		if le.Read(b[at:], got); !slices.Equal(got, []float64{1.5, 2.5}) || !bytes.Equal(b[:at], make([]byte, at)) {
			t.Errorf("at %d: %v", at, got)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	room, v := make([]byte, 0, 64), []float64{1, 2, 3}
	if n := testing.AllocsPerRun(50, func() { le.Read(le.Append(room, v...), v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestViews has numbers as the memory that they are, wherever that begins.
func TestViews(t *testing.T) {
	want := []float64{1.5, math.Inf(-1), math.Copysign(0, -1)}
	for at := range 8 {
		b := le.Append(make([]byte, at, 64), want...)
		if got := le.View[float64](le.Aligned(b[at:])); !slices.Equal(got, want) {
			t.Errorf("at %d: %v", at, got)
		}
		if got := le.Float(b[at:]); got != want[0] {
			t.Errorf("at %d: %v", at, got)
		}
	}
	if got := le.Bits(want); !slices.Equal(got, []int64{0x3ff8 << 48, -0x10 << 48, math.MinInt64}) {
		t.Errorf("bits %x", got)
	}
	if got := le.View[uint32](le.Aligned([]byte{1, 2, 0, 0, 255, 255, 255, 255})); !slices.Equal(got, []uint32{0x201, math.MaxUint32}) {
		t.Errorf("%v", got)
	}
	if got := le.View[bool]([]byte{1, 0, 1}); !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("%v", got)
	}
	if len(le.Bits(nil))+len(le.View[float64](nil))+len(le.View[bool](nil))+len(le.Aligned(nil))+len(le.Room(nil, 0)) != 0 {
		t.Error("something of nothing")
	}
}

func TestRoom(t *testing.T) {
	b := append(make([]byte, 0, 32), "x"...)
	room := le.Room(b, 2)
	copy(room, []float64{1, -2})
	if got := le.AppendRoom(b, room); string(got) != "x\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\xc0" {
		t.Errorf("%q", got)
	}
}
