// Package value has the values of settings, as texts set them: by flags, and in files.
package value

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Value is where a setting is kept. It is a value of package flag.
type Value interface {
	// Set takes a text. Its error is a rule: it follows the setting's name.
	Set(text string) error
	// String returns what Set has taken; "" before that, where that is not a value.
	String() string
}

// Bytes writes a size as [Size] takes it, in a unit where that is exact and else in bytes.
func Bytes(n uint64) string {
	text := strings.NewReplacer(" ", "", ".0", "").Replace(humanize.IBytes(n))
	if back, err := ParseBytes(text); err != nil || back != n {
		return strconv.FormatUint(n, 10)
	}
	return text
}

// ParseBytes reads a size such as 64MiB or 65536. The error is a rule. A comma is refused: some write
// it before decimals and others between thousands.
func ParseBytes(text string) (uint64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || strings.Contains(text, ",") {
		return 0, errors.New("must be a size such as 64MiB or 65536")
	}
	return n, nil
}

// unlessNone returns a value's text: "" for 0, which has not been set, and none for what is negative.
func unlessNone[T int | int64 | float64 | time.Duration](v T, none, text string) string {
	switch {
	case v == 0:
		return ""
	case v < 0:
		return none
	}
	return text
}

// Text is a text that is not empty.
func Text(p *string) Value { return text{p} }

type text struct{ p *string }

func (v text) String() string { return *v.p }

func (v text) Set(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	*v.p = s
	return nil
}

// Toggle is true or false.
type Toggle struct{ P *bool }

// IsBoolFlag has package flag take the flag alone for true.
func (v Toggle) IsBoolFlag() bool { return true }

// String implements [Value]: "" for false, which has not been set.
func (v Toggle) String() string {
	if *v.P {
		return "true"
	}
	return ""
}

// Set implements [Value].
func (v Toggle) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("must be true or false")
	}
	*v.P = b
	return nil
}

// Count is a whole number from 1.
func Count(p *int) Value { return count{p, false} }

// CountOrNone is a whole number from 0, which is kept as a negative number: 0 has not been set.
func CountOrNone(p *int) Value { return count{p, true} }

type count struct {
	p    *int
	none bool
}

func (v count) String() string {
	return unlessNone(*v.p, "0", strconv.Itoa(*v.p))
}

func (v count) Set(s string) error {
	least := 1
	if v.none {
		least = 0
	}
	n, err := strconv.Atoi(s)
	if n > math.MaxInt32 { // also of more digits than an int has
		return fmt.Errorf("must be at most %d", math.MaxInt32)
	}
	if err != nil || n < least {
		return fmt.Errorf("must be a whole number from %d", least)
	}
	if n == 0 {
		n = -1
	}
	*v.p = n
	return nil
}

// Duration is a positive time.
func Duration(p *time.Duration) Value { return duration{p, false} }

// DurationOrNone is a positive time, or "none", which is kept as a negative one.
func DurationOrNone(p *time.Duration) Value { return duration{p, true} }

type duration struct {
	p    *time.Duration
	none bool
}

func (v duration) String() string {
	return unlessNone(*v.p, "none", v.p.String())
}

func (v duration) Set(s string) error {
	if v.none && s == "none" {
		*v.p = -1
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		if v.none {
			return errors.New(`must be a positive duration such as 1m30s, or "none"`)
		}
		return errors.New("must be a positive duration such as 1m30s or 250ms")
	}
	*v.p = d
	return nil
}

// Size is a number of bytes.
func Size[T int | int64](p *T) Value { return size[T]{p} }

type size[T int | int64] struct{ p *T }

func (v size[T]) String() string {
	if *v.p <= 0 {
		return ""
	}
	return Bytes(uint64(*v.p))
}

func (v size[T]) Set(s string) error {
	n, err := ParseBytes(s)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("must be at least 1 byte")
	}
	if n > math.MaxInt64 || uint64(T(n)) != n { // more than a T holds
		return errors.New("is too large")
	}
	*v.p = T(n)
	return nil
}

// Units is a whole number from 1, or "none", which is kept as a negative one.
func Units(p *int64) Value { return units{p} }

type units struct{ p *int64 }

func (v units) String() string {
	return unlessNone(*v.p, "none", strconv.FormatInt(*v.p, 10))
}

func (v units) Set(s string) error {
	if s == "none" {
		*v.p = -1
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return errors.New(`must be a whole number from 1, or "none"`)
	}
	*v.p = n
	return nil
}

// Share is a part of a whole: a percentage, a number up to 1, or "none", which is kept as a negative
// one.
func Share(p *float64) Value { return share{p} }

type share struct{ p *float64 }

func (v share) String() string {
	return unlessNone(*v.p, "none", strconv.FormatFloat(*v.p*100, 'g', 6, 64)+"%")
}

func (v share) Set(s string) error {
	if s == "none" {
		*v.p = -1
		return nil
	}
	number, percent := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f > 0 && f <= 1) {
		return errors.New(`must be a share such as 10% or 0.1, or "none"`)
	}
	*v.p = f
	return nil
}

// Factor is a number above 1.
func Factor(p *float64) Value { return factor{p} }

type factor struct{ p *float64 }

func (v factor) String() string {
	if *v.p == 0 {
		return ""
	}
	return strconv.FormatFloat(*v.p, 'g', -1, 64)
}

func (v factor) Set(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 1 && f <= math.MaxFloat32) {
		return errors.New("must be a number above 1, such as 1.5")
	}
	*v.p = f
	return nil
}

// Choice is one of some words, which stand for the values beside them.
func Choice[T comparable](p *T, words []string, values []T) Value { return choice[T]{p, words, values} }

type choice[T comparable] struct {
	p      *T
	words  []string
	values []T
}

func (v choice[T]) String() string {
	if i := slices.Index(v.values, *v.p); i >= 0 {
		return v.words[i]
	}
	return ""
}

func (v choice[T]) Set(s string) error {
	i := slices.Index(v.words, strings.ToLower(s))
	if i < 0 {
		return fmt.Errorf("must be one of %s", strings.Join(v.words, ", "))
	}
	*v.p = v.values[i]
	return nil
}

// Words are what may be set.
func (v choice[T]) Words() []string { return v.words }
