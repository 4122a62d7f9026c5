package value_test

import (
	"math"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/value"
)

// all are values of each kind, which have not been set.
func all() map[string]value.Value {
	return map[string]value.Value{
		"text": value.Text(new(string)), "toggle": value.Toggle{P: new(bool)}, "count": value.Count(new(int)), "count or none": value.CountOrNone(new(int)),
		"duration": value.Duration(new(time.Duration)), "duration or none": value.DurationOrNone(new(time.Duration)), "size": value.Size(new(int)),
		"units": value.Units(new(int64)), "share": value.Share(new(float64)), "factor": value.Factor(new(float64)),
		"choice": value.Choice(new(int), []string{"one", "two"}, []int{1, 2}),
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{ // how it is written then, or an error
		{"text", "a", "a"},
		{"text", "", "must not be empty"},
		{"toggle", "1", "true"},
		{"toggle", "false", ""},
		{"toggle", "yes", "must be true or false"},
		{"count", "7", "7"},
		{"count", "0", "must be a whole number from 1"},
		{"count", "2147483648", "must be at most 2147483647"},
		{"count", "99999999999999999999", "must be at most 2147483647"},
		{"count or none", "0", "0"},
		{"count or none", "-1", "must be a whole number from 0"},
		{"duration", "90s", "1m30s"},
		{"duration", "none", "must be a positive duration such as 1m30s or 250ms"},
		{"duration", "-1s", "must be a positive duration such as 1m30s or 250ms"},
		{"duration or none", "none", "none"},
		{"duration or none", "0s", `must be a positive duration such as 1m30s, or "none"`},
		{"size", "65536", "64KiB"},
		{"size", "1.5MiB", "1.5MiB"},
		{"size", "1500001", "1500001"}, // which is not 1.4 MiB
		{"size", "1MB", "1000000"},
		{"size", "1,5 KB", "must be a size such as 64MiB or 65536"},
		{"size", "1,000", "must be a size such as 64MiB or 65536"},
		{"size", "0", "must be at least 1 byte"},
		{"size", "16EiB", "must be a size such as 64MiB or 65536"},
		{"size", "8EiB", "is too large"},
		{"units", "none", "none"},
		{"units", "5", "5"},
		{"units", "0", `must be a whole number from 1, or "none"`},
		{"share", "0.125", "12.5%"},
		{"share", "10 %", "10%"},
		{"share", "none", "none"},
		{"share", "101%", `must be a share such as 10% or 0.1, or "none"`},
		{"factor", "1.5", "1.5"},
		{"factor", "NaN", "must be a number above 1, such as 1.5"},
		{"choice", "TWO", "two"},
		{"choice", "three", "must be one of one, two"},
	} {
		v := all()[c.kind]
		if v.String() != "" {
			t.Errorf("%s is %q before it is set", c.kind, v)
		}
		err := v.Set(c.text)
		if got := v.String(); err == nil && got != c.want || err != nil && err.Error() != c.want {
			t.Errorf("%s: %q is %q, err %v, want %s", c.kind, c.text, got, err, c.want)
		}
	}
	var n int64
	if err := value.Size(&n).Set("9007199254740993"); err != nil || n != 1<<53+1 {
		t.Errorf("%d, err %v", n, err)
	}
	if value.Bytes(math.MaxInt64) == "" || value.Bytes(3<<29) != "1.5GiB" {
		t.Error(value.Bytes(3 << 29))
	}
}

// FuzzSet has each kind of value take what it has written.
func FuzzSet(f *testing.F) {
	for _, s := range []string{"", "none", "0", "1.5", "10%", "64MiB", "1m30s", "true", "one", "-9e999", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for kind, v := range all() {
			if v.Set(s) != nil || v.String() == "" {
				continue
			}
			if again := all()[kind]; again.Set(v.String()) != nil {
				t.Errorf("%s: %q is written %q, which is none", kind, s, v)
			}
		}
	})
}
