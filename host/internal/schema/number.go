package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// number refuses numbers whose exact value takes long to compute with.
func number(n json.Number) error {
	s := string(n)
	ok := len(s) <= maxDigits
	if i := strings.IndexAny(s, "eE"); ok && i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		ok = err == nil && e >= -maxDigits && e <= maxDigits
	}
	if !ok {
		return fmt.Errorf("the number %.40s… has more than %d digits", s, maxDigits)
	}
	return nil
}

// decimalOf returns a number as digits, with a sign if it is below zero, times a power of ten. Equal numbers
// have the same. It takes time linear in the length, where a fraction of integers grows with the exponent.
func decimalOf(n json.Number) (digits string, exponent int) {
	s, sign := string(n), ""
	if rest, below := strings.CutPrefix(s, "-"); below {
		s, sign = rest, "-"
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		exponent, _ = strconv.Atoi(s[i+1:]) // number has looked at it
		s = s[:i]
	}
	if i := strings.IndexByte(s, '.'); i >= 0 {
		exponent -= len(s) - i - 1
		s = s[:i] + s[i+1:]
	}
	s = strings.TrimLeft(s, "0")
	digits = strings.TrimRight(s, "0")
	if digits == "" {
		return "0", 0
	}
	return sign + digits, exponent + len(s) - len(digits)
}

// rational returns the value of a number, whose length was checked.
func rational(n json.Number) *big.Rat {
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return new(big.Rat)
	}
	return r
}

// whole reports whether a number is one.
func whole(n json.Number) bool {
	_, exponent := decimalOf(n)
	return exponent >= 0
}

func (c *check) number(n *node, v json.Number) *fault {
	if n.Minimum == nil && n.Maximum == nil && n.ExclusiveMinimum == nil && n.ExclusiveMaximum == nil && n.MultipleOf == nil {
		return nil
	}
	_, exponent := decimalOf(v)
	if c.spend(len(v) + max(exponent, -exponent)/digitsPerStep) {
		return nil
	}
	r := rational(v)
	switch {
	case n.Minimum != nil && r.Cmp(n.Minimum) < 0:
		return c.fault("must be at least %s, is %s", decimal(n.Minimum), brief(v))
	case n.Maximum != nil && r.Cmp(n.Maximum) > 0:
		return c.fault("must be at most %s, is %s", decimal(n.Maximum), brief(v))
	case n.ExclusiveMinimum != nil && r.Cmp(n.ExclusiveMinimum) <= 0:
		return c.fault("must be above %s, is %s", decimal(n.ExclusiveMinimum), brief(v))
	case n.ExclusiveMaximum != nil && r.Cmp(n.ExclusiveMaximum) >= 0:
		return c.fault("must be below %s, is %s", decimal(n.ExclusiveMaximum), brief(v))
	case n.MultipleOf != nil && !new(big.Rat).Quo(r, n.MultipleOf).IsInt():
		return c.fault("must be a multiple of %s, is %s", decimal(n.MultipleOf), brief(v))
	}
	return nil
}

// decimal writes a bound as people do.
func decimal(r *big.Rat) string {
	if r.IsInt() {
		if s := r.Num().String(); len(s) <= 20 {
			return s
		}
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
