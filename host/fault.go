package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/form"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/schema"
	"github.com/resonhost/resonhost/state"
)

// errReplaced is why a task ends whose version was replaced. The task had the swap timeout to end by
// itself.
var errReplaced = errors.New("the version was replaced, and the task took longer than the swap timeout")

// ended says of a task whose context ended why.
func ended(ctx context.Context, e *Error, did string) {
	cause := context.Cause(ctx)
	e.Kind, e.Err = KindCancelled, cause
	if !errors.Is(cause, ctx.Err()) {
		e.Err = errors.Join(ctx.Err(), cause)
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Message = did + " past the caller's deadline"
	default:
		e.Message = "the caller cancelled while the task " + did
		return
	}
	e.Kind, e.Err = KindTimeout, context.DeadlineExceeded
}

// refusal is the error of a task that did not get a slot. ctx is what it waited
// with.
func (t *transform) refusal(ctx context.Context, err error) *Error {
	if err == sched.ErrFull { //nolint:errorlint // Submit's, as it is
		return t.fullQueue()
	}
	e := t.current().sign(&Error{Kind: KindQueueFull, Transform: t.name, Message: err.Error(), Err: ErrQueueFull})
	switch {
	case errors.Is(err, sched.ErrDropped):
		e.Message += " (QueueCapacity, --queue-capacity; QueuePolicy, --queue-policy)"
	case errors.Is(err, sched.ErrLate):
		e.Err = ErrTooLate
	case errors.Is(err, sched.ErrTimeout):
		e.Message += " (QueueTimeout, --queue-timeout)"
		e.Kind, e.Err = KindTimeout, context.DeadlineExceeded
	case errors.Is(err, sched.ErrRetired):
		e.Err = err // for who can look the name up again
	case errors.Is(err, ErrSuspended), errors.Is(err, ErrPaused):
		e.Kind, e.Err = KindUnavailable, err
	case errors.Is(err, sched.ErrClosed):
		e.Kind, e.Message, e.Err = KindUnavailable, ErrClosed.Error(), ErrClosed
	case errors.Is(err, ErrStateUnavailable):
		e.Kind, e.Message, e.Err = KindStateUnavailable, stateMessage(ErrStateUnavailable, err), err
	case errors.Is(err, ErrStateUnreadable):
		e.Kind, e.Message, e.Err = KindStateUnreadable, stateMessage(ErrStateUnreadable, err), err
	default:
		ended(ctx, e, "waited")
	}
	return e
}

// stateMessage says of which sort a failure of the store is. What it was in detail, such as at which
// address, is for the log and not for who has sent the task.
func stateMessage(sentinel, err error) string {
	return sentinel.Error() + " (" + string(state.FaultOf(err)) + ")"
}

// fullQueue is the error of a full queue. Under overload most tasks have it, which are to
// cost little: it is the same for all tasks of a version.
func (t *transform) fullQueue() *Error {
	v := t.current()
	if e := t.full.Load(); e != nil && e.Hash == v.hash {
		return e
	}
	e := v.sign(&Error{Kind: KindQueueFull, Transform: t.name, Message: sched.ErrFull.Error() + " (QueueCapacity, --queue-capacity)", Err: ErrQueueFull})
	e.refused = &Pending{done: t.over, finished: true, result: Result{Err: e}}
	t.full.Store(e)
	return e
}

var faultKinds = map[module.FaultKind]Kind{
	module.Trap:        KindTrap,
	module.Exit:        KindExit,
	module.OutOfMemory: KindOutOfMemory,
	module.Fuel:        KindOutOfFuel,
	module.ABI:         KindABI,
	module.HostPanic:   KindHost,
}

// kindOf is the kind of a fault that faultKinds has, or that the memory budget had no room.
func kindOf(fault *module.Fault) Kind {
	if errors.Is(fault, ErrMemoryBudget) {
		return KindMemoryFull
	}
	return faultKinds[fault.Kind]
}

// runFailure is the error of a call of a version that did not come back in order.
func runFailure(ctx context.Context, t *transform, v *version, err error) *Error {
	e := v.sign(&Error{Kind: KindHost, Transform: t.name, Message: err.Error(), Err: err})
	fault := (*module.Fault)(nil)
	switch {
	case errors.As(err, &fault):
		e.Message, e.Stack, e.Err = fault.Message, fault.Stack, fault.Cause
		switch fault.Kind {
		case module.Stopped:
			e.Kind, e.Message, e.Err = KindUnavailable, "the host closed while the task ran", ErrClosed
			if cause := context.Cause(v.ctx); errors.Is(cause, errReplaced) {
				e.Message, e.Err = cause.Error(), cause
			}
		case module.Timeout:
			e.Kind, e.Err = KindTimeout, context.DeadlineExceeded
			e.Message = fmt.Sprintf("ran longer than its run timeout of %v (%s)", v.spec(t.slot).timeout, v.spec(t.slot).timeoutBy)
		case module.Cancelled:
			ended(ctx, e, "ran")
		default:
			e.Kind = kindOf(fault)
		}
	case errors.Is(err, module.ErrInputSize):
		e.Kind = KindInvalidArgument
	case errors.Is(err, module.ErrOutputSum):
		e.Kind = KindABI // unless the tasks are run again one by one
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		ended(ctx, e, "ran")
	}
	e.Message = v.cfg.named(e.Message)
	return e
}

// notBorrowed is the error of a task that has a slot and gets no instance.
func notBorrowed(ctx context.Context, t *transform, v *version, err error) *Error {
	e := v.sign(&Error{Kind: KindHost, Transform: t.name, Message: "no instance could be made: " + err.Error(), Err: err})
	if fault := (*module.Fault)(nil); errors.As(err, &fault) {
		e.Stack = fault.Stack
	}
	if errors.Is(err, ErrMemoryBudget) {
		e.Kind, e.Err = KindMemoryFull, ErrMemoryBudget
	}
	if ctx.Err() != nil {
		ended(ctx, e, "waited")
	}
	return e
}

// rejection is the error of a version's result whose status is not ok.
func rejection(t *transform, v *version, r *abi.Result, input []byte) *Error {
	if r.Status == abi.StatusOK {
		return nil
	}
	kind, message := KindFailed, string(r.Payload)
	var cause error
	if r.Status == abi.StatusInvalidArgument {
		kind, cause = KindInvalidArgument, fieldOf(message)
		if spec := v.spec(t.slot); spec != nil && !form.Known(spec.Input) && form.IsJSON(input) {
			message += "; the input is JSON, and " + spec.Name + " takes " + spec.Input +
				": host.Call makes that of a Go value, and package invoke of JSON, with a codec for that media type, which the plugin's author may have"
		}
	}
	return v.sign(&Error{Kind: kind, Transform: t.name, Message: message, Err: cause})
}

// maxField is how long the path of an argument is at most, in bytes.
const maxField = 256

// fieldOf returns the [*abi.FieldError] whose text a plugin's message has, as the contract asks for
// it; nil if it begins with no path.
func fieldOf(message string) error {
	field, rule, ok := strings.Cut(message, ": ")
	if !ok || field == "" || len(field) > maxField || strings.ContainsFunc(field, func(r rune) bool { return unicode.IsSpace(r) || r == ':' }) {
		return nil
	}
	return &abi.FieldError{Field: field, Rule: rule}
}

// checkInput returns what is wrong with an input that is JSON, by the schema of the version that
// serves now. A canary may have another. The input's size is looked at first, as reading a document takes
// time. The error of patience, which ends the check too, is that the host closes.
func (t *transform) checkInput(ctx, patience context.Context, s *schema.Schema, input []byte) *Error {
	limits := frameLimits(t.current().cfg.PluginConfig)
	if err := limits.CheckInput([]abi.Item{{Payload: input}}); err != nil {
		return runFailure(ctx, t, t.current(), err)
	}
	held := ctx
	if len(input) > longDocument {
		both, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		defer context.AfterFunc(patience, func() { stop(ErrClosed) })()
		held = both
	}
	err := s.Check(held, input)
	if err == nil {
		return nil
	}
	e := t.current().sign(fail(KindInvalidArgument, t.name, err))
	switch {
	case errors.As(err, new(*abi.FieldError)):
	case ctx.Err() == nil:
		e.Kind, e.Message, e.Err = KindUnavailable, "the host closed while the task ran", ErrClosed
	default:
		ended(ctx, e, "ran")
	}
	return e
}

// longDocument is from how many bytes on a document takes long enough to read that a host which closes does
// not wait for it.
const longDocument = 16 << 10

// noRoom reports whether a task failed for what others hold of the memory budget, of which
// no version is to blame.
func noRoom(fault *Error) bool { return fault != nil && fault.Kind == KindMemoryFull }

func frameLimits(cfg PluginConfig) module.FrameLimits {
	return module.FrameLimits{MaxInput: cfg.MaxInput, MaxOutput: cfg.MaxOutput}
}
