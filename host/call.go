package host

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
)

// Runner runs tasks: a [*Host], a [*Client], a [*Stream], or what stands in for one, such as in
// a test.
type Runner interface {
	// Run returns the output of one task. Its errors are [*Error]s.
	Run(ctx context.Context, transform string, input []byte) ([]byte, error)
}

// Call runs one task on Go values: in is encoded, and the output decoded into an
// Out. If in has a method Validate() error, its error refuses the task first.
//
//	answer, err := host.Call[ask.Answer](ctx, h, "ask", &question)
func Call[Out any, P interface {
	*Out
	encoding.BinaryUnmarshaler
}](ctx context.Context, r Runner, transform string, in encoding.BinaryAppender) (Out, error) {
	return callAs(ctx, r, transform, in, func() ([]byte, error) { return in.AppendBinary(nil) }, func(output []byte, out *Out) error {
		return P(out).UnmarshalBinary(output)
	})
}

// CallJSON runs one task of a transform of application/json on Go values, by encoding/json: in is
// encoded, and the output decoded into an Out. If in has a method Validate() error, its error
// refuses the task first.
//
//	words, err := host.CallJSON[[]string](ctx, h, "split", text)
func CallJSON[Out any](ctx context.Context, r Runner, transform string, in any) (Out, error) {
	return callAs(ctx, r, transform, in, func() ([]byte, error) { return json.Marshal(in) }, func(output []byte, out *Out) error {
		return json.Unmarshal(output, out)
	})
}

func callAs[Out any](ctx context.Context, r Runner, transform string, in any, encode func() ([]byte, error), decode func([]byte, *Out) error) (out Out, err error) {
	if v, ok := in.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return out, fail(KindInvalidArgument, transform, err)
		}
	}
	input, err := encode()
	if err != nil {
		return out, fail(KindInvalidArgument, transform, err)
	}
	output, err := r.Run(ctx, transform, input)
	if err != nil {
		return out, err
	}
	if err := decode(output, &out); err != nil {
		e := &Error{Kind: KindABI, Transform: transform, Message: fmt.Sprintf("output is not a %T: %v", out, err), Err: err}
		if s, ok := r.(interface{ sign(e *Error) }); ok {
			s.sign(e)
		}
		return out, e
	}
	return out, nil
}
