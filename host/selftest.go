package host

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/form"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/testcase"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/jsondiff"
)

// tester runs the tests that came with a version.
type tester struct {
	version   *version
	translate Translator
	stop      context.Context //nolint:containedctx // ends what the guest does
	states    map[[2]string][]byte
	last      map[int]abi.Item // of each transform, that of its last test with an output
}

// comparison is a test that ended well, for the interpreter to do it again.
type comparison struct {
	*testcase.Case

	call module.Call // with its Results
	fuel uint64
}

var errSharedTests = fmt.Errorf("%w: instances keep what tests leave, so that an answer may depend on those before it", module.ErrUnchecked)

var errTestsTimeout = fmt.Errorf("the tests take longer than the init timeout together: %w", context.DeadlineExceeded)

func parseTests(s *Source) ([]testcase.Case, error) {
	return testcase.Parse(s.Name+testsSuffix, s.Tests, func(kind string) bool { return slices.Contains(kinds[:], Kind(kind)) })
}

// runTests runs the tests that came with a version, in an instance that then goes: they
// are nobody's but its author's, and leave nothing behind. Then it compares them with the
// interpreter, whose time is not the tests'.
func runTests(ctx context.Context, t *tester) (n int, err error) {
	cases, err := parseTests(&t.version.record.source)
	if err != nil {
		return 0, err
	}
	m := t.version.engine.(sandbox).Module()
	checker := m.TakeChecker() // there is one for tests of blank lines alone, too
	defer func() { err = errors.Join(err, checker.Close(context.WithoutCancel(ctx))) }()
	compare, err := t.runAll(ctx, cases, checker != nil)
	if err != nil || checker == nil {
		return len(cases), err
	}
	for _, c := range compare {
		if err := m.Verify(ctx, checker, c.call, c.call.Results, c.fuel); err != nil {
			return 0, c.Wrap(&module.StepError{Step: module.StepVerify, Err: err})
		}
	}
	m.Remember()
	return len(cases), nil
}

// runAll returns which tests are to be compared, if any are.
func (t *tester) runAll(ctx context.Context, cases []testcase.Case, verify bool) (compare []comparison, err error) {
	v := t.version
	ctx, cancel := context.WithTimeoutCause(ctx, v.cfg.InitTimeout, errTestsTimeout)
	defer cancel()
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
				return nil, c.Wrap(err)
			}
		}
		done, err := t.run(ctx, in, c)
		switch {
		case err != nil:
			return nil, c.Wrap(err)
		case done == nil || !verify || varies(v.cfg.Grants): // answers may depend on the time
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
	t.tryFrames(ctx)
	return compare, nil
}

// tryFrames notes which transforms grow an instance if their last test shares a frame with as many like it
// as may: tests beside a plugin may be larger than its self-tests, by which instances begin.
func (t *tester) tryFrames(ctx context.Context) {
	v, sandbox := t.version, t.version.engine.(sandbox)
	for at := range v.manifest.Transforms {
		item, ok := t.last[at]
		if !ok || !v.cfg.Isolation.resets() {
			continue
		}
		in, err := sandbox.Plugin.Borrow(ctx)
		if err != nil {
			return // it is only tried
		}
		if sandbox.Module().Grows(ctx, in.Instance, at, item) {
			v.growing = append(v.growing, v.manifest.Transforms[at].Name)
		}
		in.Discard()
	}
}

// run runs a test. What it returns is nil if the guest did not end it well.
func (t *tester) run(ctx context.Context, in *registry.Instance, c *testcase.Case) (*comparison, error) {
	v := t.version
	at := slices.IndexFunc(v.manifest.Transforms, func(t manifest.Transform) bool { return t.Name == c.Transform })
	if at < 0 {
		return nil, errors.New("the plugin has no such transform")
	}
	of := spec{Transform: v.manifest.Transforms[at], schemas: v.schemas[at]}
	of.timeout, _ = v.cfg.timeoutOf(&of.Transform)
	described := v.describe(&of)
	payload, encode, err := t.translate.guarded(described, c.Input)
	if err == nil {
		err = described.CheckInput(ctx, c.Input)
	}
	if err != nil {
		if field := (*abi.FieldError)(nil); errors.As(err, &field) && Kind(c.Error) == KindInvalidArgument {
			return nil, nil //nolint:nilnil // it ended as it should, without the guest
		}
		return nil, fmt.Errorf("input: %w", err)
	}
	key := [2]string{c.Transform, c.Key}
	item := [1]abi.Item{{Payload: payload}}
	if c.Key != "" {
		item[0].State = t.states[key]
	}
	var got [1]abi.Result
	call := module.Call{
		Transform: at, Items: item[:], Results: got[:],
		Limits: module.Limits{Timeout: of.timeout, Fuel: uint64(v.cfg.MaxFuel), Stop: t.stop},
	}
	fuel, err := in.Run(ctx, &call)
	var done *comparison
	if err == nil {
		done = &comparison{c, call, fuel}
	}
	kind, message, err := outcomeOf(&got[0], err)
	if err == nil {
		err = wanted(c, kind, message)
	}
	if err != nil {
		return nil, err
	}
	if kind != "" {
		return done, nil
	}
	if c.Key != "" {
		t.states[key] = got[0].State
	}
	t.last[at] = item[0]
	output, err := encode(got[0].Payload)
	if err != nil {
		return nil, fmt.Errorf("the output is not of its media type: %w", err)
	}
	if err := described.CheckOutput(ctx, output); err != nil {
		return nil, fmt.Errorf("the output breaks its schema: %w", err)
	}
	return done, jsondiff.Diff(output, ofBytes(of.Output, output, c.Output))
}

// ofBytes returns what a test wants of a media type. Bytes may be a string there too, as they may be in
// inputs and in companion files. Where a Config.Translate of the embedder's makes a string of them itself,
// got is one, and is compared as it is.
func ofBytes(mediaType string, got, want []byte) []byte {
	text := (*string)(nil)
	if mediaType != manifest.MediaTypeBytes || bytes.HasPrefix(got, []byte(`"`)) || json.Unmarshal(want, &text) != nil || text == nil {
		return want
	}
	doc, err := json.Marshal(manifest.Content(*text))
	if err != nil { // which no bytes are
		return want
	}
	return doc
}

// outcomeOf returns of which kind the outcome of a test is, "" for an output. It returns an
// error if the test was ended from outside.
func outcomeOf(got *abi.Result, failed error) (kind Kind, message string, err error) {
	switch {
	case failed != nil:
		kind, message = KindHost, failed.Error()
		if fault := (*module.Fault)(nil); errors.As(failed, &fault) {
			kind = cmp.Or(kindOf(fault), KindTimeout)
			if fault.Kind == module.Stopped || fault.Kind == module.Cancelled || kind == KindMemoryFull {
				return "", "", failed
			}
		}
	case got.Status == abi.StatusInvalidArgument:
		kind, message = KindInvalidArgument, string(got.Payload)
	case got.Status != abi.StatusOK:
		kind, message = KindFailed, string(got.Payload)
	}
	return kind, message[:min(len(message), 1000)], nil
}

// wanted returns an error if a test wants another kind of outcome.
func wanted(c *testcase.Case, kind Kind, message string) error {
	want := Kind(c.Error)
	switch {
	case kind == want:
		return nil
	case want == "":
		return fmt.Errorf("got the error %s (%s), want %.200s", kind, message, c.Output)
	case kind == "":
		return fmt.Errorf("got an output, want the error %s", want)
	}
	return fmt.Errorf("got the error %s (%s), want the error %s", kind, message, want)
}

// guarded is the translator, but that a panic is an error: it may be anybody's, and its defect is to
// refuse a version and not to end the process.
func (f Translator) guarded(t Transform, input []byte) (_ []byte, _ func([]byte) ([]byte, error), err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errTranslator(v)
		}
	}()
	payload, encode, err := f(t, input)
	if err != nil {
		return nil, nil, err
	}
	return payload, func(output []byte) (doc []byte, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = errTranslator(v)
			}
		}()
		return encode(output)
	}, nil
}

// errTranslator is the error of what a translator panicked with.
func errTranslator(v any) error {
	return fmt.Errorf("the translator (Config.Translate) panicked: %s", foreign.Cut(fmt.Sprint(v)))
}

// formsOfJSON is Config.Translate's default.
func formsOfJSON(t Transform, input []byte) ([]byte, func([]byte) ([]byte, error), error) {
	payload, encode, err := form.Translate(t.Input, t.Output, input)
	if errors.Is(err, form.ErrUnknown) {
		err = fmt.Errorf("there is no JSON form of %s and %s: set Config.Translate to what translates them, such as Translate of a codec.Set with a codec for them", t.Input, t.Output)
	}
	return payload, encode, err
}
