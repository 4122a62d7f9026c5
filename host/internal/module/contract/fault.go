package contract

import "fmt"

// FaultKind says what went wrong in a call of an instance.
type FaultKind int

// Kinds of a [Fault].
const (
	Trap        FaultKind = iota // the guest trapped
	Exit                         // the guest ended itself
	OutOfMemory                  // the guest asked for more memory than it may have
	ABI                          // the guest broke the contract of its kind
	Fuel                         // the guest burnt more fuel than it may
	Timeout                      // the call took longer than it may
	Cancelled                    // the call's context ended
	Stopped                      // Limits.Stop ended
	HostPanic                    // a function of the host panicked, which is no doing of the guest's
)

func (k FaultKind) String() string {
	return [...]string{"trap", "exit", "out of memory", "abi", "fuel", "timeout", "cancelled", "stopped", "host"}[k]
}

// ByGuest reports whether the guest ended the call, and not the host.
func (k FaultKind) ByGuest() bool { return k == Trap || k == Exit || k == OutOfMemory }

// Fault is a call that failed. The instance must not be used again, unless it is of the task
// alone.
//
//nolint:errname // what befell the guest; the host makes its Error of it
type Fault struct {
	Kind    FaultKind
	Message string
	// Stack is the guest's stack, a frame a line, and what it wrote to its
	// standard error; empty where there is none.
	Stack string
	// Task is whether the guest did its part, and the task was too large for it or had
	// too large an output.
	Task bool
	// ExitCode is what the guest ended itself with, for Exit.
	ExitCode uint32
	// Engine is whether it is a limit of the engine's, which another need not have.
	Engine bool
	// Cause is why the context ended, for Timeout, Cancelled and Stopped, and that the budget has
	// no room, for OutOfMemory if that was it.
	Cause error
}

func (f *Fault) Error() string { return f.Kind.String() + ": " + f.Message }
func (f *Fault) Unwrap() error { return f.Cause }

// Broken is the fault of a guest that broke the contract of its kind.
func Broken(format string, args ...any) *Fault {
	return &Fault{Kind: ABI, Message: fmt.Sprintf(format, args...)}
}
