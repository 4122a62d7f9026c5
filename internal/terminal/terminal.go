// Package terminal makes text fit for one.
package terminal

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Printable makes text that may come from a plugin fit for a terminal: what does not
// print, but a tab, is written as in Go.
func Printable(s string) string {
	clean := true
	for _, r := range s {
		clean = clean && (unicode.IsPrint(r) || r == '\t') && r != unicode.ReplacementChar
	}
	if clean {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// Width is how many columns text takes.
func Width(s string) int { return uniseg.StringWidth(s) }

// Split divides text where it comes to a number of columns. The head is not empty, unless
// the text is.
func Split(s string, width int) (head, rest string) {
	at := 0
	for state := -1; at < len(s); {
		cluster, _, w, next := uniseg.FirstGraphemeClusterInString(s[at:], state)
		if width -= w; width < 0 && at > 0 {
			break
		}
		at, state = at+len(cluster), next
	}
	return s[:at], s[at:]
}

// Cut cuts text to a number of columns; where some is lost, the last is "…".
func Cut(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	head, _ := Split(s, width-1)
	return head + "…"
}

// Pad cuts text to a number of columns, or fills it up with spaces.
func Pad(s string, width int) string {
	s = Cut(s, width)
	return s + strings.Repeat(" ", max(width-Width(s), 0))
}
