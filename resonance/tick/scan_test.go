package tick_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/resonance/tick"
)

// TestChecksFindTheFirst has one value at each place be wrong, which the loops that look
// at several at a time must neither miss nor misplace.
func TestChecksFindTheFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	wrong := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -5e-324, -1, 1 + 1e-15, -math.MaxFloat64, math.Float64frombits(1<<64 - 1)}
	for n := range 40 {
		a := &tick.Nodes{Offset: []uint32{0}, Pattern: []float64{math.Copysign(0, -1), 1}}
		for i := range n {
			a.Frequency = append(a.Frequency, []float64{5e-324, 1, tick.MaxFrequency}[i%3])
			a.Strength = append(a.Strength, []float64{0, math.Copysign(0, -1), 1, 5e-324, 0.5}[i%5])
			a.Stopped = append(a.Stopped, i%3 == 0)
			for range []int{0, 1, tick.MaxAttached}[i%3] {
				a.Attached = append(a.Attached, random.Uint32N(2))
			}
			a.Offset = append(a.Offset, uint32(len(a.Attached)))
		}
		if err := a.Validate(); err != nil {
			t.Fatal(err)
		}
		b, err := a.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		refuses := func(field string) {
			t.Helper()
			if err := a.Validate(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
				t.Errorf("%d nodes: %v, want that %s is wrong", n, err, field)
			}
		}
		for i := range n {
			for _, v := range wrong {
				was := a.Strength[i]
				a.Strength[i] = v
				refuses(at("nodes", i) + ".resonance_strength")
				a.Strength[i] = was
			}
			for _, v := range []float64{0, math.Copysign(0, -1), math.NaN(), -1, tick.MaxFrequency + 1, math.Inf(1)} {
				was := a.Frequency[i]
				a.Frequency[i] = v
				refuses(at("nodes", i) + ".frequency")
				a.Frequency[i] = was
			}
			if i > 0 && i < n-1 {
				was := a.Offset[i+1]
				a.Offset[i+1] = a.Offset[i] + tick.MaxAttached + 1
				refuses(at("nodes", i) + ".harmonic_patterns")
				a.Offset[i+1] = math.MaxUint32
				refuses(at("nodes", i) + ".harmonic_patterns")
				a.Offset[i+1] = was
			}
			stopped := len(b) - (n+7)&^7 + i
			was := b[stopped]
			for _, v := range []byte{2, 0x80, 0xff} {
				b[stopped] = v
				if err, want := new(tick.Nodes).UnmarshalBinary(b), at("nodes", i)+".state: must be 0 or 1 in a record"; err == nil || err.Error() != want {
					t.Errorf("%d nodes: %v, want %s", n, err, want)
				}
			}
			b[stopped] = was
		}
		for i := range a.Attached {
			was := a.Attached[i]
			for _, v := range []uint32{2, math.MaxUint32} {
				a.Attached[i] = v
				refuses(at("attached", i))
			}
			a.Attached[i] = was
		}
	}
}

func at(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }
