package devloop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/resonhost/resonhost/internal/foreign"
)

// maxInputs is how many inputs are replayed at most, and maxInputBytes how long a file of
// them is.
const (
	maxInputs     = 1000
	maxInputBytes = 8 << 20
)

// input is a task to be replayed.
type input struct {
	name              string // "" without one
	file              string
	line              int
	transform, stream string // "" of either is none
	doc               json.RawMessage
}

// at says which one it is.
func (in *input) at() string {
	if in.name != "" {
		return in.name
	}
	return fmt.Sprintf("%s:%d", filepath.Base(in.file), in.line)
}

// readInputs reads a file of JSON lines: objects with "transform" and "input", also those of
// self-tests, or inputs themselves. A file of the plugin's own may be missing.
func readInputs(file string, optional bool) ([]input, error) {
	f, err := os.Open(file)
	if optional && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	doc, err := io.ReadAll(io.LimitReader(f, maxInputBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(doc) > maxInputBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxInputBytes)
	}
	list, err := parseInputs(doc)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", file, err)
	}
	for i := range list {
		list[i].file = file
	}
	return list, nil
}

// parseInputs reads JSON lines. Empty ones do not count. An error begins with the line.
func parseInputs(doc []byte) (list []input, err error) {
	doc, err = foreign.UTF8(doc)
	if err != nil {
		return nil, fmt.Errorf("1: %w", err)
	}
	line := 0
	for one := range bytes.Lines(doc) {
		line++
		one = bytes.TrimSpace(one)
		if len(one) == 0 {
			continue
		}
		if err := json.Unmarshal(one, new(json.RawMessage)); err != nil {
			return nil, fmt.Errorf("%d: %w", line, err)
		}
		in, ok := parseTask(one)
		if !ok {
			in = input{doc: one}
		}
		in.line = line
		if list = append(list, in); len(list) > maxInputs {
			return nil, fmt.Errorf("%d: more than %d inputs", line, maxInputs)
		}
	}
	return list, nil
}

// parseTask reads an object that names its transform. One with other members is an input
// that happens to have those two.
func parseTask(one []byte) (input, bool) {
	var task struct {
		Name      string          `json:"name"`
		Transform *string         `json:"transform"`
		Input     json.RawMessage `json:"input"`
		Stream    string          `json:"stream"`
		Output    json.RawMessage `json:"output"`
		Error     string          `json:"error"`
	}
	dec := json.NewDecoder(bytes.NewReader(one))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&task); err != nil || task.Transform == nil || task.Input == nil {
		return input{}, false
	}
	return input{name: task.Name, transform: *task.Transform, stream: task.Stream, doc: task.Input}, true
}
