package hosttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/jsondiff"
	"github.com/resonhost/resonhost/internal/strictjson"
)

// line is a task of a golden file, in the form of [host.Source].Tests.
type line struct {
	Name      string          `json:"name,omitempty"`
	Transform string          `json:"transform"`
	Stream    string          `json:"stream,omitempty"`
	Input     json.RawMessage `json:"input"`
	Output    json.RawMessage `json:"output,omitempty"`
	Error     host.Kind       `json:"error,omitempty"`

	why error // of an Error that a task gave
}

// Golden runs the tasks of a golden file, each as a subtest if tb is a [*testing.T]. The file has
// a task on each line, as JSON:
//
//	{"name": "a word", "transform": "shout", "input": "hello", "output": "HELLO!"}
//	{"transform": "shout", "input": "", "error": "invalid_argument"}
//
// Lines with the same "stream" follow one another with a state, which is apart from that of
// [Case] and of another call of Golden. With update, what a task now gives is written into the lines where it is another: so a
// new line needs neither output nor error. A flag of the test's own says so:
//
//	var update = flag.Bool("update", false, "write the golden files anew")
func (p *Plugin) Golden(tb testing.TB, file string, update bool) {
	tb.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if doc, err = foreign.UTF8(doc); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	// Each tenant has streams of its own.
	client := p.host.Client(fmt.Sprintf("golden %d", p.goldens.Add(1)), host.PriorityNormal)
	var updated bytes.Buffer
	changed, n := false, 0
	for text := range bytes.Lines(doc) {
		n++
		where := fmt.Sprintf("%s: line %d", file, n)
		l, err := parseLine(text)
		if err != nil {
			tb.Fatalf("%s: %v", where, err)
		}
		if l != nil {
			name := l.Name
			if name == "" {
				name = fmt.Sprintf("line %d", n)
			}
			sub(tb, name, func(tb testing.TB) {
				tb.Helper()
				got, err := p.outcome(tb.Context(), l, client)
				if err != nil {
					tb.Errorf("%s: %v", where, err)
					return
				}
				fault := l.differs(got)
				switch {
				case fault != nil && update:
					if text, err = got.text(); err != nil {
						tb.Errorf("%s: %v", where, err)
					}
					changed = true
				case fault != nil:
					tb.Errorf("%s: %v", where, fault)
				}
			})
		}
		updated.Write(text)
	}
	if !changed {
		return
	}
	if err := os.WriteFile(file, updated.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// parseLine returns nil for an empty line.
func parseLine(text []byte) (*line, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil //nolint:nilnil // see above
	}
	var l line
	if err := strictjson.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	if l.Transform == "" || l.Input == nil {
		return nil, errors.New(`must have "transform" and "input"`)
	}
	if l.Output != nil && l.Error != "" {
		return nil, errors.New(`must have either "output" or "error"`)
	}
	return &l, nil
}

// outcome returns the line with what its task now gives.
func (p *Plugin) outcome(ctx context.Context, l *line, c *host.Client) (*line, error) {
	got := *l
	got.Output, got.Error = nil, ""
	spec, err := p.host.Lookup(l.Transform)
	if err != nil {
		return nil, err
	}
	payload, encode, err := p.translate(spec, l.Input)
	switch field := (*abi.FieldError)(nil); {
	case errors.As(err, &field): // which is what the task gives
		got.Error, got.why = host.KindInvalidArgument, err
		return &got, nil
	case err != nil:
		return nil, fmt.Errorf("input: %w; host.Config.Translate says how", err)
	}
	res := run(ctx, c, l.Transform, l.Stream, payload)
	if res.Err != nil {
		got.Error, got.why = host.KindOf(res.Err), res.Err
		return &got, nil //nolint:nilerr // got has it
	}
	if got.Output, err = encode(res.Output); err != nil {
		return nil, fmt.Errorf("the output is not of its media type: %w", err)
	}
	text := (*string)(nil)
	if spec.Output == manifest.MediaTypeBytes && json.Unmarshal(l.Output, &text) == nil && text != nil && *text == string(res.Output) {
		got.Output = l.Output // which may have bytes as a string
	}
	return &got, nil
}

// differs says in what a task gives something else than its line has.
func (l *line) differs(got *line) error {
	switch {
	case l.Output == nil && l.Error == "":
		return errors.New("has neither output nor error yet: update the golden file, and look at what it has then")
	case got.Error != l.Error && l.Error == "":
		return fmt.Errorf("got the error %w, want %.200s", got.why, l.Output)
	case got.Error != l.Error && got.Error == "":
		return fmt.Errorf("got %.200s, want an error of kind %s", got.Output, l.Error)
	case got.Error != l.Error:
		return fmt.Errorf("got the error %w, want one of kind %s", got.why, l.Error)
	case l.Error != "":
		return nil
	}
	return jsondiff.Diff(got.Output, l.Output)
}

// text returns the line as JSON.
func (l *line) text() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(l)
	return b.Bytes(), err
}
