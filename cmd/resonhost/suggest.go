package main

import (
	"fmt"
	"strings"
)

// didYouMean suggests the one of known that is at most a third of its letters
// away from name, or nothing.
func didYouMean(name string, known []string) string {
	best, distance := "", 0
	for _, k := range known {
		d := slips(strings.ToLower(name), k)
		if d <= max(1, len(k)/3) && (best == "" || d < distance) {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
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
