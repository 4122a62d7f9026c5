package host

import (
	"context"
	"encoding"
	"fmt"
)

// Runner runs tasks: a [*Host], a [*Client] or a [*Stream].
type Runner interface {
	Run(ctx context.Context, transform string, input []byte) ([]byte, error)
	Submit(ctx context.Context, transform string, input []byte) *Pending
}

// Call runs one task on Go values: in is encoded, and the output decoded into an
// Out. If in has a method Validate() error, its error refuses the task first.
//
//	answer, err := host.Call[ask.Answer](ctx, h, "ask", &question)
func Call[Out any, P interface {
	*Out
	encoding.BinaryUnmarshaler
}](ctx context.Context, r Runner, transform string, in encoding.BinaryAppender) (Out, error) {
	var out Out
	if v, ok := in.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return out, fail(KindInvalidArgument, transform, err)
		}
	}
	input, err := in.AppendBinary(nil)
	if err != nil {
		return out, fail(KindInvalidArgument, transform, err)
	}
	output, err := r.Run(ctx, transform, input)
	if err != nil {
		return out, err
	}
	if err := P(&out).UnmarshalBinary(output); err != nil {
		return out, &Error{Kind: KindABI, Transform: transform, Message: fmt.Sprintf("output is not a %T: %v", out, err), Err: err}
	}
	return out, nil
}
