package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/jsondiff"
)

// testCase is a line of Source.Tests.
type testCase struct {
	Name      string          `json:"name"`
	Transform string          `json:"transform"`
	Input     json.RawMessage `json:"input"`
	Output    json.RawMessage `json:"output"`
	Error     Kind            `json:"error"`
	Stream    string          `json:"stream"`

	line int
}

var errTestsTimeout = fmt.Errorf("the tests take longer than the init timeout together: %w", context.DeadlineExceeded)

// What a case must have.
var (
	errNoInput   = errors.New(`must have "transform" and "input"`)
	errNoOutcome = errors.New(`must have either "output" or "error"`)
)

// parseTests reads Source.Tests. Empty lines do not count.
func parseTests(doc []byte) (cases []testCase, err error) {
	if len(doc) > maxTests {
		return nil, fmt.Errorf("tests: %d bytes, the limit is %d", len(doc), maxTests)
	}
	doc, err = foreign.UTF8(doc)
	if err != nil {
		return nil, fmt.Errorf("tests: %w", err)
	}
	line := 0
	for one := range bytes.Lines(doc) {
		line++
		if len(bytes.TrimSpace(one)) == 0 {
			continue
		}
		c := testCase{line: line}
		dec := json.NewDecoder(bytes.NewReader(one))
		dec.DisallowUnknownFields()
		err := dec.Decode(&c)
		if err == nil {
			if _, more := dec.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("something follows the JSON value")
			}
		}
		switch {
		case err != nil:
		case c.Transform == "" || c.Input == nil:
			err = errNoInput
		case (c.Output == nil) == (c.Error == ""):
			err = errNoOutcome
		case c.Error != "" && !slices.Contains(kinds[:], c.Error):
			err = fmt.Errorf("there is no error %q", c.Error)
		}
		if err != nil {
			return nil, fmt.Errorf("tests: line %d: %w", line, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// runTests runs the tests that came with a version, in an instance that then goes: they
// are nobody's but its author's, and leave nothing behind.
func (h *Host) runTests(ctx context.Context, v *version) (n int, err error) {
	cases, err := parseTests(v.record.source.Tests)
	if err != nil || len(cases) == 0 {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, v.cfg.InitTimeout, errTestsTimeout)
	defer cancel()
	m := v.engine.(sandbox).Module()
	checker := m.TakeChecker()
	defer func() { err = errors.Join(err, checker.Close(context.WithoutCancel(ctx))) }()
	states := make(map[[2]string][]byte)
	var in *registry.Instance
	defer func() {
		if in != nil {
			in.Discard()
		}
	}()
	for i := range cases {
		c := &cases[i]
		if in == nil {
			if in, err = v.engine.(sandbox).Plugin.Borrow(ctx); err != nil {
				return 0, fmt.Errorf("tests: line %d: %w", c.line, err)
			}
		}
		if err := h.runTest(ctx, v, in, checker, c, states); err != nil {
			name := ""
			if c.Name != "" {
				name = fmt.Sprintf(" %q", c.Name)
			}
			return 0, fmt.Errorf("tests: line %d%s of %s: %w", c.line, name, c.Transform, err)
		}
		if v.cfg.Isolation != IsolationShared || !in.Usable() { // each test as pristine as a task
			in.Return()
			in = nil
		}
	}
	if checker != nil {
		m.Remember()
	}
	return len(cases), nil
}

// runTest runs a test, and once more with the checker, unless that is nil.
func (h *Host) runTest(ctx context.Context, v *version, in *registry.Instance, checker *module.Checker, c *testCase, states map[[2]string][]byte) error {
	at := slices.IndexFunc(v.manifest.Transforms, func(t manifest.Transform) bool { return t.Name == c.Transform })
	if at < 0 {
		return errors.New("the plugin has no such transform")
	}
	spec := &v.manifest.Transforms[at]
	timeout := orDefault(v.cfg.RunTimeout, orDefault(spec.Timeout(), DefaultRunTimeout))
	t := Transform{Name: spec.Name, Input: spec.Input, Output: spec.Output, StateBytes: spec.StateBytes, Timeout: timeout}
	translate := h.cfg.JSON
	if translate == nil {
		translate = formsOfJSON
	}
	payload, encode, err := translate(t, c.Input)
	if err != nil {
		if field := (*abi.FieldError)(nil); errors.As(err, &field) && c.Error == KindInvalidArgument {
			return nil
		}
		return fmt.Errorf("input: %w", err)
	}
	key := [2]string{c.Transform, c.Stream}
	item := [1]abi.Item{{Payload: payload}}
	if c.Stream != "" {
		item[0].State = states[key]
	}
	var got [1]abi.Result
	call := module.Call{
		Transform: at, Items: item[:], Results: got[:],
		Limits: module.Limits{Timeout: timeout, Fuel: uint64(v.cfg.MaxFuel), Stop: h.ending},
	}
	fuel, err := in.Run(ctx, call)
	if err == nil && checker != nil && len(v.cfg.Grant) == 0 { // else answers may depend on the time
		if v.cfg.Isolation == IsolationShared { // there may have been tests before
			fuel = 0
		}
		if err := v.engine.(sandbox).Module().Verify(ctx, checker, call, got[:], fuel); err != nil {
			return &module.StepError{Step: module.StepVerify, Err: err}
		}
	}
	kind, message := Kind(""), ""
	switch {
	case err != nil:
		kind, message = KindHost, err.Error()
		if fault := (*module.Fault)(nil); errors.As(err, &fault) {
			kind = orDefault(faultKinds[fault.Kind], KindTimeout)
			if fault.Kind == module.Stopped || fault.Kind == module.Cancelled {
				return err
			}
		}
	case got[0].Status == abi.StatusInvalidArgument:
		kind, message = KindInvalidArgument, string(got[0].Payload)
	case got[0].Status != abi.StatusOK:
		kind, message = KindFailed, string(got[0].Payload)
	}
	message = message[:min(len(message), 1000)]
	switch {
	case kind != c.Error && c.Error == "":
		return fmt.Errorf("got the error %s (%s), want %.200s", kind, message, c.Output)
	case kind != c.Error && kind == "":
		return fmt.Errorf("got an output, want the error %s", c.Error)
	case kind != c.Error:
		return fmt.Errorf("got the error %s (%s), want the error %s", kind, message, c.Error)
	case kind != "":
		return nil
	}
	if c.Stream != "" {
		states[key] = got[0].State
	}
	output, err := encode(got[0].Payload)
	if err != nil {
		return fmt.Errorf("the output is not of its media type: %w", err)
	}
	return jsondiff.Diff(output, c.Output)
}
