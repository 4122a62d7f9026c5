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

// Nearest returns the one of known that is nearest to name, in letters of either case, or
// "" if more than a third of its letters would have to change.
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
	return best
}

// slips is the Levenshtein distance of two words, in bytes.
func slips(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
