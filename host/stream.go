package host

import "context"

// Stream is a sequence of tasks that share a state, for transforms that keep
// one: its tasks run one at a time, in the order in which they were submitted;
// other streams run beside it. A task that fails leaves the state as it was. Each
// transform has a state of its own, and each tenant has streams of its own.
type Stream struct {
	of  submitter
	key string
}

// Run is [Host.Run] in the stream.
func (s *Stream) Run(ctx context.Context, transform string, input []byte) ([]byte, error) {
	return s.of.run(ctx, transform, s.key, true, args{input: input})
}

// RunAppend is [Client.RunAppend] in the stream.
func (s *Stream) RunAppend(ctx context.Context, transform string, dst, input []byte) ([]byte, error) {
	return s.of.run(ctx, transform, s.key, true, args{input, dst})
}

// Submit is [Host.Submit] in the stream.
func (s *Stream) Submit(ctx context.Context, transform string, input []byte) *Pending {
	return s.of.submit(ctx, transform, s.key, true, args{input: input})
}

// SubmitAppend is [Client.SubmitAppend] in the stream.
func (s *Stream) SubmitAppend(ctx context.Context, transform string, dst, input []byte) *Pending {
	return s.of.submit(ctx, transform, s.key, true, args{input, dst})
}

func (s *Stream) sign(e *Error) { s.of.sign(e) }
