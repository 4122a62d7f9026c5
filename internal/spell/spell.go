// Package spell suggests what a misspelt name may have been meant to be.
package spell

import (
	"fmt"
	"strings"
)

// DidYouMean returns "; did you mean NAME?" for [Nearest], or "" if there is none.
func DidYouMean(name string, known []string) string {
	best := Nearest(name, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// ThereAre returns "; there are NAMES", or what says the same of one name; "" if there is none.
func ThereAre(known []string) string {
	switch len(known) {
	case 0:
		return ""
	case 1:
		return "; there is only " + known[0]
	}
	return "; there are " + strings.Join(known, ", ")
}

// shortest is how long the beginning of a name must be to stand for it.
const shortest = 3

// Nearest returns the one of known that is nearest to name, in letters of either case. If more
// than a third of its letters would have to change, it is the only one that begins with name, or
// "" without one.
func Nearest(name string, known []string) (best string) {
	distance := 0
	for _, k := range known {
		if len(name) > 2*len(k) {
			continue // too far, and perhaps very long
		}
		d := slips(strings.ToLower(name), strings.ToLower(k))
		if d <= len(k)/3 && (best == "" || d < distance) {
			best, distance = k, d
		}
	}
	if best == "" && len(strings.TrimLeft(name, "-")) >= shortest {
		return begun(name, known)
	}
	return best
}

// begun returns the only one of known that begins with name, "" if there is none, or are several.
func begun(name string, known []string) (only string) {
	for _, k := range known {
		if len(name) > len(k) || !strings.EqualFold(k[:len(name)], name) {
			continue
		}
		if only != "" {
			return ""
		}
		only = k
	}
	return only
}

// slips is how many bytes have to be changed, left out, put in, or swapped with the next, to
// make one word of another.
func slips(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
