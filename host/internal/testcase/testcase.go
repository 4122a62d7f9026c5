// Package testcase reads the self-tests that lie beside a plugin: JSON lines.
package testcase

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/strictjson"
)

// MaxBytes bounds a file of tests, in bytes.
const MaxBytes = 8 << 20

// Case is a test: a line of the file.
type Case struct {
	Name      string          `json:"name"`
	Transform string          `json:"transform"`
	Input     json.RawMessage `json:"input"`
	// Either is set: the output, or the kind of error.
	Output json.RawMessage `json:"output"`
	Error  string          `json:"error"`
	// Key is that of the stream whose state the test has; "" without.
	Key string `json:"stream"`

	File string `json:"-"` // the name of its file
	Line int    `json:"-"`
}

// Wrap says of which test an error is.
func (c *Case) Wrap(err error) error {
	name := ""
	if c.Name != "" {
		name = fmt.Sprintf(" %q", c.Name)
	}
	return fmt.Errorf("%s: line %d%s of %s: %w", c.File, c.Line, name, c.Transform, err)
}

// What a case must have.
var (
	errNoInput   = errors.New(`must have "transform" and "input"`)
	errNoOutcome = errors.New(`must have either "output" or "error"`)
)

// Parse reads the tests of a file, whose name errors have. Empty lines do not count. known reports whether there is a kind of error.
func Parse(file string, doc []byte, known func(kind string) bool) (cases []Case, err error) {
	if len(doc) > MaxBytes {
		return nil, fmt.Errorf("%s: %d bytes, the limit is %d", file, len(doc), MaxBytes)
	}
	doc, err = foreign.UTF8(doc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	line := 0
	for one := range bytes.Lines(doc) {
		line++
		if len(bytes.TrimSpace(one)) == 0 {
			continue
		}
		c := Case{File: file, Line: line}
		if err := c.parse(one, known); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, line, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func (c *Case) parse(line []byte, known func(kind string) bool) error {
	if err := strictjson.Unmarshal(line, c); err != nil {
		return err
	}
	switch {
	case c.Transform == "" || c.Input == nil:
		return errNoInput
	case (c.Output == nil) == (c.Error == ""):
		return errNoOutcome
	case c.Error != "" && !known(c.Error):
		return &abi.FieldError{Field: "error", Rule: fmt.Sprintf("there is no kind of error %q", foreign.Cut(c.Error))}
	}
	return nil
}
