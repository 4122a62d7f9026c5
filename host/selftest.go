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
	"github.com/resonhost/resonhost/host/internal/form"
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

// comparison is a test that ended well, for the interpreter to do it again.
type comparison struct {
	*testCase

	call module.Call // with its Results
	fuel uint64
}

// wrap says of which test an error is.
func (c *testCase) wrap(err error) error {
	name := ""
	if c.Name != "" {
		name = fmt.Sprintf(" %q", c.Name)
	}
	return fmt.Errorf("tests: line %d%s of %s: %w", c.line, name, c.Transform, err)
}

var errSharedTests = fmt.Errorf("%w: instances keep what tests leave, so that an answer may depend on those before it", module.ErrUnchecked)

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
// are nobody's but its author's, and leave nothing behind. Then it compares them with the
// interpreter, whose time is not the tests'.
func (h *Host) runTests(ctx context.Context, v *version) (n int, err error) {
	cases, err := parseTests(v.record.source.Tests)
	if err != nil {
		return 0, err
	}
	m := v.engine.(sandbox).Module()
	checker := m.TakeChecker() // there is one for tests of blank lines alone, too
	defer func() { err = errors.Join(err, checker.Close(context.WithoutCancel(ctx))) }()
	compare, err := h.runCases(ctx, v, cases, checker != nil)
	if err != nil || checker == nil {
		return len(cases), err
	}
	for _, c := range compare {
		if err := m.Verify(ctx, checker, c.call, c.call.Results, c.fuel); err != nil {
			return 0, c.wrap(&module.StepError{Step: module.StepVerify, Err: err})
		}
	}
	m.Remember()
	return len(cases), nil
}

// runCases returns which tests are to be compared, if any are.
func (h *Host) runCases(ctx context.Context, v *version, cases []testCase, verify bool) (compare []comparison, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, v.cfg.InitTimeout, errTestsTimeout)
	defer cancel()
	states := make(map[[2]string][]byte)
	var in *registry.Instance
	defer func() {
		if in != nil {
			in.Discard()
		}
	}()
	for i := range cases {
		c := &cases[i]
		fresh := in == nil
		if fresh {
			if in, err = v.engine.(sandbox).Plugin.Borrow(ctx); err != nil {
				return nil, fmt.Errorf("tests: line %d: %w", c.line, err)
			}
		}
		done, err := h.runTest(ctx, v, in, c, states)
		switch {
		case err != nil:
			return nil, c.wrap(err)
		case done == nil || !verify || len(v.cfg.Grant) > 0: // answers may depend on the time
		case in.Starved():
			v.engine.(sandbox).Module().Unchecked(module.ErrStarved)
		case !fresh:
			v.engine.(sandbox).Module().Unchecked(errSharedTests)
		default:
			compare = append(compare, *done)
		}
		if v.cfg.Isolation != IsolationShared || !in.Usable() { // each test as pristine as a task
			in.Return()
			in = nil
		}
	}
	return compare, nil
}

// runTest runs a test. What it returns is nil if the guest did not end it well.
func (h *Host) runTest(ctx context.Context, v *version, in *registry.Instance, c *testCase, states map[[2]string][]byte) (*comparison, error) {
	at := slices.IndexFunc(v.manifest.Transforms, func(t manifest.Transform) bool { return t.Name == c.Transform })
	if at < 0 {
		return nil, errors.New("the plugin has no such transform")
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
			return nil, nil //nolint:nilnil // it ended as it should, without the guest
		}
		return nil, fmt.Errorf("input: %w", err)
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
	var done *comparison
	if err == nil {
		done = &comparison{c, call, fuel}
	}
	kind, message := Kind(""), ""
	switch {
	case err != nil:
		kind, message = KindHost, err.Error()
		if fault := (*module.Fault)(nil); errors.As(err, &fault) {
			kind = orDefault(faultKinds[fault.Kind], KindTimeout)
			if fault.Kind == module.Stopped || fault.Kind == module.Cancelled {
				return nil, err
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
		return nil, fmt.Errorf("got the error %s (%s), want %.200s", kind, message, c.Output)
	case kind != c.Error && kind == "":
		return nil, fmt.Errorf("got an output, want the error %s", c.Error)
	case kind != c.Error:
		return nil, fmt.Errorf("got the error %s (%s), want the error %s", kind, message, c.Error)
	case kind != "":
		return done, nil
	}
	if c.Stream != "" {
		states[key] = got[0].State
	}
	output, err := encode(got[0].Payload)
	if err != nil {
		return nil, fmt.Errorf("the output is not of its media type: %w", err)
	}
	return done, jsondiff.Diff(output, c.Output)
}

// formsOfJSON is Config.JSON's default.
func formsOfJSON(t Transform, input []byte) ([]byte, func([]byte) ([]byte, error), error) {
	payload, encode, err := form.Translate(t.Input, t.Output, input)
	if errors.Is(err, form.ErrUnknown) {
		err = fmt.Errorf("there is no JSON form of %s and %s: set Config.JSON to what translates them, such as Translate of a codec.Set with a codec for them", t.Input, t.Output)
	}
	return payload, encode, err
}
