package extism

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// variables are a task's, by name. Their size is that of the state that they are for a stream.
type variables struct {
	values map[string][]byte
	size   int // of the encoding; 0 if there are none
	limit  int
}

// stateVersion is the number of the format of states, for [manifest.Transform]: other kinds of
// guests number their own from 0.
const stateVersion = 19301

// A state begins with its format. Then there is, for each variable in the order of their names, the
// length of the name, the name, the length of the value and the value. Lengths are varints.
const stateFormat = 1

// maxVariables is how many variables there are at most: they become a state, and back, at each task of
// a stream.
const maxVariables = 4096

// maxShown is how much of a name an error looks at, in bytes: 100 characters, of which it shows no more.
const maxShown = 400

// errFull is why no further variable can be set.
var errFull = errors.New("the variables are full")

// clear removes all.
func (v *variables) clear() {
	clear(v.values)
	v.size = 0
}

// entry is how many bytes of a state a variable takes.
func entry(name, value []byte) int {
	return uvarintLen(len(name)) + len(name) + uvarintLen(len(value)) + len(value)
}

func uvarintLen(n int) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], uint64(n))
}

// get returns the value of a variable; nil if there is none of that name.
func (v *variables) get(name []byte) []byte {
	if len(name) > v.limit { // none is that long
		return nil
	}
	return v.values[string(name)]
}

// set sets a variable to a copy of a value; nil removes it. A name may be of any length: it is
// copied only if there is room for the variable.
func (v *variables) set(name, value []byte) error {
	before := v.get(name)
	size := max(v.size, 1) // with the format
	if before != nil {
		size -= entry(name, before)
	}
	if value == nil {
		if before == nil {
			return nil
		}
		delete(v.values, string(name))
		if v.size = size; len(v.values) == 0 {
			v.size = 0
		}
		return nil
	}
	if before == nil && len(v.values) == maxVariables {
		return fmt.Errorf("%w: there are %d, the limit", errFull, maxVariables)
	}
	if size += entry(name, value); size > v.limit {
		return fmt.Errorf("%w: %d bytes with %.100q, the limit is %d", errFull, size, name[:min(len(name), maxShown)], v.limit)
	}
	if v.values == nil {
		v.values = make(map[string][]byte)
	}
	v.values[string(name)] = append([]byte{}, value...)
	v.size = size
	return nil
}

// state is what a stream keeps; nil if there are no variables.
func (v *variables) state() []byte {
	if len(v.values) == 0 {
		return nil
	}
	out := append(make([]byte, 0, v.size), stateFormat)
	for _, name := range slices.Sorted(maps.Keys(v.values)) {
		value := v.values[name]
		out = append(binary.AppendUvarint(out, uint64(len(name))), name...)
		out = append(binary.AppendUvarint(out, uint64(len(value))), value...)
	}
	return out
}

// adopt makes the variables those of a state.
func (v *variables) adopt(state []byte) error {
	v.clear()
	if len(state) == 0 {
		return nil
	}
	if state[0] != stateFormat {
		return fmt.Errorf("the state of the stream is of format %d, and this host has %d", state[0], stateFormat)
	}
	if len(state) > v.limit {
		return fmt.Errorf("the state of the stream has %d bytes, the limit is %d", len(state), v.limit)
	}
	rest, last := state[1:], ""
	for first := true; first || len(rest) > 0; first = false {
		name, more, ok := prefixed(rest)
		if !ok {
			return errCorrupt
		}
		value, more, ok := prefixed(more)
		if n := string(name); !ok || !first && n <= last {
			return errCorrupt
		}
		last, rest = string(name), more
		if err := v.set(name, value); err != nil {
			return err
		}
	}
	if v.size != len(state) { // a length was written longer than it has to be
		return errCorrupt
	}
	return nil
}

var errCorrupt = errors.New("the state of the stream is no list of variables")

// prefixed parts what a length stands before from the rest.
func prefixed(b []byte) (of, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	b = b[used:]
	return b[:n:n], b[n:], true
}
