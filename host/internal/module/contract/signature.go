package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// Signature writes a function as name(i32, i64) → i32, with () for no result.
func Signature(l meter.Link) string {
	list := func(types []api.ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = api.ValueTypeName(t)
		}
		return strings.Join(names, ", ")
	}
	name := meter.Plain(l.Name)
	switch {
	case !l.Typed:
		return name
	case len(l.Results) == 1:
		return name + "(" + list(l.Params) + ") → " + list(l.Results)
	}
	return name + "(" + list(l.Params) + ") → (" + list(l.Results) + ")"
}

// SameType reports whether a function has that type, or its type is not known.
func SameType(l meter.Link, params, results []api.ValueType) bool {
	return !l.Typed || slices.Equal(l.Params, params) && slices.Equal(l.Results, results)
}

// MaxNamed is how many names an error has of each sort. It counts the rest.
const MaxNamed = 3

// Enumerate writes names as a, b and c, and how many more of count there are.
func Enumerate(names []string, count int) string {
	last := names[len(names)-1]
	if more := count - len(names); more > 0 {
		last, names = fmt.Sprint(more, " more"), append(slices.Clip(names), "")
	}
	if len(names) == 1 {
		return last
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + last
}
