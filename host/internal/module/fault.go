package module

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

type (
	// Fault is a call that failed.
	Fault = contract.Fault //nolint:errname // what befell the guest; the host makes its Error of it
	// FaultKind says what went wrong.
	FaultKind = contract.FaultKind
)

// Kinds of a [Fault].
const (
	Trap        = contract.Trap
	Exit        = contract.Exit
	OutOfMemory = contract.OutOfMemory
	ABI         = contract.ABI
	Fuel        = contract.Fuel
	Timeout     = contract.Timeout
	Cancelled   = contract.Cancelled
	Stopped     = contract.Stopped
)

// ofTask reports whether an error is a [Fault] of the task alone.
func ofTask(err error) bool {
	f := (*Fault)(nil)
	return errors.As(err, &f) && f.Task
}

// fault tells from what a call of export returned what happened.
func (in *Instance) fault(ctx context.Context, export string, err error) *Fault {
	if f := (*Fault)(nil); errors.As(err, &f) { // raised by a host function
		if f.Kind >= Fuel {
			f.Message = export + " " + f.Message
		}
		if f.Kind != ABI {
			_, f.Stack = trace(err) // where it was
		}
		return f
	}
	// A guest can exit with any code, the runtime's own included: only the
	// context tells whether the host stopped it.
	exit := (*sys.ExitError)(nil)
	exited := errors.As(err, &exit)
	if exited && ctx.Err() != nil {
		f := interrupted(ctx)
		f.Message = export + " " + f.Message
		return f
	}
	if f := in.quota.fault(export); f != nil {
		return f
	}
	if exited {
		return &Fault{
			Kind: Exit, ExitCode: exit.ExitCode(),
			Message: fmt.Sprintf("%s ended the module with exit code %d", export, exit.ExitCode()),
		}
	}
	msg, stack := trace(err)
	msg = strings.TrimPrefix(msg, "wasm error: ")
	overflow := msg == "stack overflow"
	switch {
	case !overflow:
	case in.module.opts.Interpret:
		msg += ": calls nest deeper than 2000, the interpreter's limit"
	default:
		msg += ": calls nest so deep that their native stack reached wazero's bound of 100 MB"
	}
	return &Fault{Kind: Trap, Message: export + ": " + msg, Stack: stack, Engine: overflow}
}

// trace parts an error of wazero's from the guest's stack. What the rewriter has guests call is
// left out: their authors know nothing of it.
func trace(err error) (msg, stack string) {
	msg, stack, _ = strings.Cut(err.Error(), "\nwasm stack trace:\n")
	var frames []string
	for frame := range strings.SplitSeq(stack, "\n") {
		if frame = strings.TrimPrefix(frame, "\t"); !strings.HasPrefix(frame, meter.ImportModule+".") {
			frames = append(frames, frame)
		}
	}
	return msg, strings.Join(frames, "\n")
}

// interrupted is the fault of a call whose context ended. As with those below, the
// name of the export goes before the message.
func interrupted(ctx context.Context) *Fault {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errTimeout):
		return timedOut()
	case errors.Is(cause, errStopped):
		return stopped()
	}
	return &Fault{Kind: Cancelled, Message: "was cancelled", Cause: cause}
}

func timedOut() *Fault {
	return &Fault{Kind: Timeout, Message: "ran past its deadline", Cause: errTimeout}
}

func stopped() *Fault { return &Fault{Kind: Stopped, Message: "was stopped", Cause: errStopped} }

// addOutput adds to the stack what the guest wrote last, and to the message why it ended, if
// it ended by itself and says so.
func (in *Instance) addOutput(f *Fault) {
	words := in.stderr.words()
	if words == "" {
		words = in.stdout.reason() // where TinyGo's runtime writes
	}
	if words == "" {
		words = onOneLine(bytes.Split(in.logged, []byte("\n")))
	}
	if f.Kind.ByGuest() && words != "" {
		f.Message += "; its last words: " + words
	}
	tail := in.stderr.tail()
	if f.Stack != "" && tail != "" {
		f.Stack += "\n"
	}
	f.Stack += tail
}
