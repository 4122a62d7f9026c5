package auth

import (
	"bytes"
	"fmt"
	"strings"
)

// Line returns a line of a file of tokens. The credentials are hashes as [Hash] returns them, or cert.
// Values of keys are as the file has them, such as tenant=acme; its error is a [*LineError] of line 1.
func Line(name, credentials string, keys ...string) (string, error) {
	words := append([]string{name, credentials}, keys...)
	for _, w := range words {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r == '#' || r == 0x7f }) {
			return "", &LineError{1, "line", "must have no blank and no # within a value"}
		}
	}
	line := strings.Join(words, " ") + "\n"
	if _, err := Parse([]byte(line)); err != nil {
		return "", err
	}
	return line, nil
}

// Append returns a file of tokens with a line more. The error is that of [Parse], also of a name that
// is there already.
func Append(file []byte, line string) ([]byte, error) {
	if len(file) > 0 && !bytes.HasSuffix(file, []byte("\n")) {
		line = "\n" + line
	}
	file = append(bytes.Clone(file), line...)
	if _, err := Parse(file); err != nil {
		return nil, err
	}
	return file, nil
}

// Remove returns a file of tokens without the line of a name. All other lines, comments too, stay as
// they are. If there is none, a comment says that nobody may call.
func Remove(file []byte, name string) ([]byte, error) {
	entries, err := Parse(file)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name != name {
			continue
		}
		var kept []byte
		n := 0
		for line := range bytes.Lines(file) {
			if n++; n != e.Line {
				kept = append(kept, line...)
			}
		}
		if len(bytes.TrimSpace(kept)) == 0 { // an empty file counts as a broken one
			kept = []byte("# Nobody may call by a token.\n")
		}
		return kept, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return nil, &NameError{Name: name, Known: names}
}

// NameError is that a file of tokens has no line of a name.
type NameError struct {
	Name  string
	Known []string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("there is no line of the name %q", shown(e.Name))
}
