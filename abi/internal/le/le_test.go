package le_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/resonhost/resonhost/abi/internal/le"
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
