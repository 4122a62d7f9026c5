package rounded_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/rounded"
)

func TestBeside(t *testing.T) {
	for _, c := range []struct {
		v, bound float64
		decimals int
		want     string
	}{
		{89.6, 90, 0, "89.6"}, // and not 90
		{89.996, 90, 0, "89.996"},
		{89.4, 90, 0, "89"},
		{90, 90, 0, "90"},
		{90.4, 90, 0, "90.4"},
		{1.797, 1.8, 1, "1.797"},
		{1.8, 1.8, 1, "1.8"},
		{1.7, 1.8, 0, "1.7"}, // and not 2
		{2.3, 1.8, 0, "2"},
		{-0.4, 5, 1, "-0.4"},
		{math.Nextafter(2, 3), 2, 2, "2.0000000000000004"},
		{math.Inf(1), 2, 2, "+Inf"},
		{math.NaN(), 2, 2, "NaN"},
		{0.1, 0.25, 1, "0.1"},
	} {
		if got := rounded.Beside(c.v, c.bound, c.decimals); got != c.want {
			t.Errorf("%v beside %v is %s, want %s", c.v, c.bound, got, c.want)
		}
		if got, want := rounded.Signed(c.v, c.bound, c.decimals), c.want; strings.TrimPrefix(got, "+") != strings.TrimPrefix(want, "+") || c.v > 0 && got[0] != '+' {
			t.Errorf("%v beside %v with a sign is %s", c.v, c.bound, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		d, bound, step time.Duration
		want           string
	}{
		{2004 * time.Microsecond, 2 * time.Millisecond, 10 * time.Microsecond, "2.004ms"}, // and not 2ms
		{2014 * time.Microsecond, 2 * time.Millisecond, 10 * time.Microsecond, "2.01ms"},
		{2 * time.Millisecond, 2 * time.Millisecond, 10 * time.Microsecond, "2ms"},
		{100*time.Millisecond + 1, 100 * time.Millisecond, time.Millisecond, "100.000001ms"},
		{99999999, 100 * time.Millisecond, 10 * time.Microsecond, "99.999999ms"},
		{1, 2, 0, "1ns"},
	} {
		if got := rounded.Duration(c.d, c.bound, c.step); got != c.want {
			t.Errorf("%d beside %d is %s, want %s", c.d, c.bound, got, c.want)
		}
	}
}

func FuzzBeside(f *testing.F) {
	f.Add(89.6, 90.0, uint8(0))
	f.Add(math.Nextafter(1e300, 0), 1e300, uint8(2))
	f.Add(5e-324, 0.0, uint8(0))
	f.Fuzz(func(t *testing.T, v, bound float64, decimals uint8) {
		if math.IsNaN(v) || math.IsNaN(bound) {
			return // no figures
		}
		read, err := strconv.ParseFloat(rounded.Beside(v, bound, int(decimals%4)), 64)
		if err != nil || (read < bound) != (v < bound) || (read > bound) != (v > bound) {
			t.Errorf("%v beside %v reads %v: %v", v, bound, read, err)
		}
	})
}
