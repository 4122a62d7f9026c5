// Package jsondiff says where two JSON documents differ first.
package jsondiff

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// Difference is the first place where two documents differ.
//
//nolint:errname // it is what was asked for, and an error only where none was wanted
type Difference struct {
	// Path is where, such as "a.b[2]"; "" for the whole.
	Path string
	// Got and Want are what is there, as JSON, which is cut where it is long; "" where
	// there is nothing. Of arrays of different lengths they are the numbers of elements.
	Got, Want string
	// Lengths says that they are.
	Lengths bool
	// Instead is the path of a member that got has beside, where Path is one that it lacks in the
	// same object, and New what that is: it may be the same by another name. "" without one.
	Instead, New string
}

// Where is the path in words.
func (d *Difference) Where() string {
	if d.Path == "" {
		return "output"
	}
	return d.Path
}

// Elements is a number of elements in words.
func Elements(n string) string {
	if n == "1" {
		return "1 element"
	}
	return n + " elements"
}

func (d *Difference) Error() string {
	switch {
	case d.Lengths:
		return fmt.Sprintf("%s: has %s, want %s", d.Where(), Elements(d.Got), d.Want)
	case d.Instead != "":
		return fmt.Sprintf("%s: is missing, want %s; %s: got %s, want no such member", d.Where(), d.Want, d.Instead, d.New)
	case d.Got == "":
		return fmt.Sprintf("%s: is missing, want %s", d.Where(), d.Want)
	case d.Want == "":
		return fmt.Sprintf("%s: got %s, want no such member", d.Where(), d.Got)
	}
	return fmt.Sprintf("%s: got %s, want %s", d.Where(), d.Got, d.Want)
}

// Diff returns where got differs from want first, a [*Difference], or nil if they say the
// same: members in any order, and numbers to within 1e-12 of their size, as they were
// printed and read once more. Another error is of a document that is no JSON.
func Diff(got, want []byte) error {
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		return fmt.Errorf("the output is no JSON: %w", err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		return fmt.Errorf("what it is compared with is no JSON: %w", err)
	}
	if d := diff("", g, w); d != nil {
		return d
	}
	return nil
}

func diff(path string, got, want any) *Difference {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, name := range sortedKeys(w, g) {
			gv, there := g[name]
			wv, wanted := w[name]
			if !there || !wanted {
				return members(path, g, w)
			}
			if d := diff(member(path, name), gv, wv); d != nil {
				return d
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok {
			break
		}
		for i := range min(len(g), len(w)) {
			if d := diff(fmt.Sprintf("%s[%d]", path, i), g[i], w[i]); d != nil {
				return d
			}
		}
		if len(g) != len(w) {
			return &Difference{Path: path, Got: fmt.Sprint(len(g)), Want: fmt.Sprint(len(w)), Lengths: true}
		}
		return nil
	case float64:
		if g, ok := got.(float64); ok && math.Abs(g-w) <= 1e-12*max(math.Abs(g), math.Abs(w)) {
			return nil
		}
	}
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return &Difference{Path: path, Got: excerpt(got), Want: excerpt(want)}
}

func member(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// members is the difference of objects of which one lacks members of the other.
func members(path string, got, want map[string]any) *Difference {
	var d Difference
	for _, name := range sortedKeys(want, got) {
		gv, there := got[name]
		wv, wanted := want[name]
		switch at := member(path, name); {
		case !there && d.Path == "":
			d.Path, d.Want = at, excerpt(wv)
		case !wanted && d.Instead == "":
			d.Instead, d.New = at, excerpt(gv)
		}
	}
	if d.Path == "" {
		return &Difference{Path: d.Instead, Got: d.New}
	}
	return &d
}

func sortedKeys(a, b map[string]any) (names []string) {
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func excerpt(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 200
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "") + "…"
	}
	return string(b)
}
