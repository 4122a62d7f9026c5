package module

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWords is how much of a guest's last words the message of an error has, in bytes.
const maxWords = 512

// headlines are how Go's runtime begins to say why it ends, whatever a task wrote before and
// however long a stack follows.
var headlines = [][]byte{[]byte("panic: "), []byte("fatal error: ")}

func isHeadline(line []byte) bool {
	for _, h := range headlines {
		if bytes.HasPrefix(line, h) {
			return true
		}
	}
	return false
}

// headline returns where the last headline of a text begins, or -1.
func headline(text []byte) int {
	at := -1
	for i := 0; i < len(text); {
		if isHeadline(text[i:]) {
			at = i
		}
		n := bytes.IndexByte(text[i:], '\n')
		if n < 0 {
			break
		}
		i += n + 1
	}
	return at
}

// goReason returns of what Go's runtime writes as it ends the paragraph that says why, and
// the innermost call that is not the runtime's with its file and line.
func goReason(text []byte) [][]byte {
	why, stack, _ := bytes.Cut(text, []byte("\n\n"))
	lines := bytes.Split(why, []byte("\n"))
	var call []byte
	for line := range bytes.Lines(stack) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if bytes.HasPrefix(line, []byte("\t")) && len(call) > 0 {
			return append(lines, call, line)
		}
		call = nil
		if open := bytes.IndexByte(line, '('); open > 0 && !ofRuntime(line) {
			call = line
		}
	}
	return lines
}

// ofRuntime reports whether a line of a Go stack is of the runtime's own calls, or of where
// a goroutine was begun.
func ofRuntime(line []byte) bool {
	for _, p := range []string{"runtime.", "panic(", "created by ", "internal/runtime/"} {
		if bytes.HasPrefix(line, []byte(p)) {
			return true
		}
	}
	return false
}

// lastLines returns the last whole lines of a text that have room in an error.
func lastLines(text []byte) [][]byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	room := maxWords
	for i, line := range slices.Backward(lines) {
		if room -= len(line) + len(lineBreak); room < 0 {
			return lines[min(i+1, len(lines)-1):]
		}
	}
	return lines
}

// lineBreak stands for the end of a line in a message, which has one line.
const lineBreak = " | "

// onOneLine joins lines, as many as there is room for; what does not print it replaces. A
// first line that is too long by itself is cut.
func onOneLine(lines [][]byte) string {
	var b strings.Builder
	for _, line := range lines {
		s := printable(string(bytes.TrimSpace(line)))
		if s == "" {
			continue
		}
		if b.Len() == 0 {
			b.WriteString(cut(s, maxWords))
			continue
		}
		if b.Len()+len(lineBreak)+len(s) > maxWords {
			break
		}
		b.WriteString(lineBreak)
		b.WriteString(s)
	}
	return b.String()
}

// printable replaces what could make a line look like several, or like something else, on a
// terminal or in a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return utf8.RuneError
	}, s)
}

// cut shortens a text to n bytes at most, and says so.
func cut(s string, n int) string {
	const more = "…"
	if len(s) <= n {
		return s
	}
	n -= len(more)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + more
}
