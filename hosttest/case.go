package hosttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/jsondiff"
)

// Case is a task with a known outcome.
type Case struct {
	// Name is the subtest's; default what go test makes of none.
	Name string
	// Transform is by which name the plugin has it; default its first.
	Transform string
	// Input is the payload, bytes as the transform takes them.
	Input string
	// Stream is the key of a stream, whose state the case finds and leaves. Cases of a
	// [Plugin] with the same key follow one another. Default none: the case finds no state.
	Stream string
	// Output is what the transform must answer: the same bytes, or of transforms that answer
	// in application/json the same value.
	Output string
	// Error is the kind of error that there must be in place of an output, such as
	// [host.KindInvalidArgument], and Message something that must be in its text. A Message
	// without an Error fails the case.
	Error   host.Kind
	Message string
	// MaxFuel is the most fuel that the task may burn; default any. The same binary burns the
	// same for the same input and state. Only a plugin that is interrupted by
	// [host.InterruptMetered], the default, burns fuel: with another a case that has a MaxFuel
	// fails.
	MaxFuel uint64
}

// Check runs cases one after the other, each as a subtest if tb is a [*testing.T].
func (p *Plugin) Check(tb testing.TB, cases ...Case) {
	tb.Helper()
	for _, c := range cases {
		sub(tb, c.Name, func(tb testing.TB) {
			tb.Helper()
			if err := p.check(tb.Context(), &c); err != nil {
				tb.Error(err)
			}
		})
	}
}

// check returns what is not as it should be.
func (p *Plugin) check(ctx context.Context, c *Case) error {
	switch {
	case c.Message != "" && c.Error == "":
		return errors.New("Message: is for a case with an Error, and there is none")
	case c.MaxFuel > 0 && !p.metered:
		return errors.New("MaxFuel: the plugin burns no fuel; leave Interrupt of its configuration at host.InterruptMetered")
	}
	transform := c.Transform
	if transform == "" {
		transform = p.plugin.Transforms[0].Name
	}
	spec, err := p.host.Lookup(transform)
	if err != nil {
		return err
	}
	got := run(ctx, p.host.Client("", host.PriorityNormal), transform, c.Stream, []byte(c.Input))
	switch {
	case got.Err != nil && c.Error == "":
		return fmt.Errorf("got the error %w, want an output", got.Err)
	case got.Err != nil && host.KindOf(got.Err) != c.Error:
		return fmt.Errorf("got the error %w, want one of kind %s", got.Err, c.Error)
	case got.Err != nil && !strings.Contains(got.Err.Error(), c.Message):
		return fmt.Errorf("got the error %w, want one with %q", got.Err, c.Message)
	case got.Err == nil && c.Error != "":
		return fmt.Errorf("got the output %.200q, want an error of kind %s", got.Output, c.Error)
	case got.Err == nil && spec.Output == manifest.MediaTypeJSON:
		if err := jsondiff.Diff(got.Output, []byte(c.Output)); err != nil {
			return fmt.Errorf("the output differs: %w", err)
		}
	case string(got.Output) != c.Output:
		return fmt.Errorf("got %s, want %s", excerpt(string(got.Output)), excerpt(c.Output))
	}
	if c.MaxFuel > 0 && got.Fuel > c.MaxFuel {
		return fmt.Errorf("burnt %d fuel, want at most %d", got.Fuel, c.MaxFuel)
	}
	return nil
}

// excerpt quotes bytes for a message.
func excerpt(s string) string {
	const most = 400
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
}
