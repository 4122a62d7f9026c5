package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/resonhost/resonhost/host"
)

// The values of settings. Set's errors are rules: they follow the setting's name.
// A value that is 0 has not been set; the host has the default.

type text struct{ p *string }

func (v text) Set(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	*v.p = s
	return nil
}

type toggle struct{ p *bool }

func (v toggle) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("must be true or false")
	}
	*v.p = b
	return nil
}

type count struct {
	p    *int
	none bool // 0 is allowed, which is a negative number to the host
}

func (v count) Set(s string) error {
	least := 1
	if v.none {
		least = 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > math.MaxInt32 {
		return fmt.Errorf("must be a whole number from %d", least)
	}
	if n == 0 {
		n = -1
	}
	*v.p = n
	return nil
}

type duration struct {
	p    *time.Duration
	none bool // "none" is allowed, which is a negative one to the host
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

type size[T int | int64] struct{ p *T }

func (v size[T]) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil {
		return errors.New("must be a size such as 64MiB or 65536")
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

// fuel is a number of units, or none.
type fuel struct{ p *int64 }

func (v fuel) Set(s string) error {
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

// verify is Verify with VerifyEvery.
type verify struct{ c *host.PluginConfig }

func (v verify) Set(s string) error {
	every, sample := strings.CutPrefix(s, "sample:")
	n, err := strconv.Atoi(every)
	switch {
	case s == "off":
		v.c.Verify = host.VerifyOff
	case s == "self-tests":
		v.c.Verify = host.VerifySelfTests
	case sample && err == nil && n >= 1 && n <= math.MaxInt32:
		v.c.Verify, v.c.VerifyEvery = host.VerifySample, n
	default:
		return errors.New("must be off, self-tests, or sample:N with a whole number from 1")
	}
	return nil
}

// share is a part of a whole: a percentage, a number up to 1, or none.
type share struct{ p *float64 }

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

// factor is a number above 1.
type factor struct{ p *float64 }

func (v factor) Set(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 1 && f <= math.MaxFloat32) {
		return errors.New("must be a number above 1, such as 1.5")
	}
	*v.p = f
	return nil
}

// grants are what a plugin is granted, separated by commas, or none.
type grants struct{ p *[]host.Grant }

func (v grants) Set(s string) error {
	list := []host.Grant{} // not nil, which stands for the default
	for word := range strings.SplitSeq(s, ",") {
		switch g := host.Grant(strings.TrimSpace(word)); {
		case g == host.GrantClock || g == host.GrantRandom || g == host.GrantNetwork:
			list = append(list, g)
		case s != "none":
			return errors.New(`must be a list of clock, random, network, or "none"`)
		}
	}
	*v.p = list
	return nil
}

// hostNames are patterns of names of hosts, separated by commas, or none.
type hostNames struct{ p *[]string }

func (v hostNames) Set(s string) error {
	list := []string{}
	for word := range strings.SplitSeq(s, ",") {
		word = strings.TrimSpace(word)
		if _, err := path.Match(word, ""); err != nil || word == "" {
			return fmt.Errorf(`must be a list of names of hosts or patterns such as *.internal, or "none": %q is none`, word)
		}
		if s != "none" {
			list = append(list, word)
		}
	}
	*v.p = list
	return nil
}

// choice is one of some words.
type choice[T comparable] struct {
	p      *T
	words  []string
	values []T
}

func (v choice[T]) Set(s string) error {
	i := slices.Index(v.words, strings.ToLower(s))
	if i < 0 {
		return fmt.Errorf("must be one of %s", strings.Join(v.words, ", "))
	}
	*v.p = v.values[i]
	return nil
}

// Words are what completion offers.
func (v choice[T]) Words() []string { return v.words }
func (verify) Words() []string      { return []string{"off", "self-tests"} }
func (grants) Words() []string      { return []string{"clock", "random", "network", "none"} }

// String is for package flag; help shows a setting's default instead.
func (text) String() string      { return "" }
func (toggle) String() string    { return "" }
func (count) String() string     { return "" }
func (duration) String() string  { return "" }
func (size[T]) String() string   { return "" }
func (choice[T]) String() string { return "" }
func (fuel) String() string      { return "" }
func (grants) String() string    { return "" }
func (hostNames) String() string { return "" }
func (share) String() string     { return "" }
func (verify) String() string    { return "" }
func (factor) String() string    { return "" }

var (
	_ flag.Value = text{}
	_ flag.Value = toggle{}
	_ flag.Value = count{}
	_ flag.Value = duration{}
	_ flag.Value = size[int]{}
	_ flag.Value = choice[int]{}
	_ flag.Value = fuel{}
	_ flag.Value = grants{}
	_ flag.Value = hostNames{}
	_ flag.Value = share{}
	_ flag.Value = factor{}
)
