package module

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// Kind says what went wrong in a call of an instance.
type Kind int

// Kinds of a [Fault].
const (
	Trap        Kind = iota // the guest trapped
	Exit                    // the guest ended itself
	OutOfMemory             // the guest asked for more memory than it may have
	ABI                     // the guest broke the contract of package abi
	Fuel                    // the guest burnt more fuel than it may
	Timeout                 // the call took longer than it may
	Cancelled               // the call's context ended
	Stopped                 // Limits.Stop ended
)

func (k Kind) String() string {
	return [...]string{"trap", "exit", "out of memory", "abi", "fuel", "timeout", "cancelled", "stopped"}[k]
}

// byGuest reports whether the guest ended the call, and not the host.
func (k Kind) byGuest() bool { return k == Trap || k == Exit || k == OutOfMemory }

// Fault is a call that failed. The instance must not be used again, unless it is of the task
// alone.
//
//nolint:errname // what befell the guest; the host makes its Error of it
type Fault struct {
	Kind    Kind
	Message string
	// Stack is the guest's stack, a frame a line, and what it wrote to its
	// standard error; empty where there is none.
	Stack string
	// Task is whether the guest did its part, and the task was too large for it or had
	// too large an output.
	Task bool
	// Engine is whether it is a limit of the engine's, which another need not have.
	Engine bool
	// Cause is why the context ended, for Timeout, Cancelled and Stopped, and [ErrBudget]
	// for OutOfMemory if that was it.
	Cause error
}

func (f *Fault) Error() string { return f.Kind.String() + ": " + f.Message }
func (f *Fault) Unwrap() error { return f.Cause }

func abiFault(format string, args ...any) *Fault {
	return &Fault{Kind: ABI, Message: fmt.Sprintf(format, args...)}
}

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
	if f := in.memory.fault(export); f != nil {
		return f
	}
	if exited {
		return &Fault{Kind: Exit, Message: fmt.Sprintf("%s ended the module with exit code %d", export, exit.ExitCode())}
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

// trace parts an error of wazero's from the guest's stack.
func trace(err error) (msg, stack string) {
	msg, stack, _ = strings.Cut(err.Error(), "\nwasm stack trace:\n")
	return msg, strings.ReplaceAll(strings.TrimPrefix(stack, "\t"), "\n\t", "\n")
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
	if f.Kind.byGuest() && words != "" {
		f.Message += "; its last words: " + words
	}
	tail := in.stderr.tail()
	if f.Stack != "" && tail != "" {
		f.Stack += "\n"
	}
	f.Stack += tail
}
