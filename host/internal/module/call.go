package module

import "github.com/resonhost/resonhost/host/internal/module/contract"

// What host and kinds of guests have in common.
type (
	// Call is a crossing into the guest.
	Call = contract.Call
	// Limits are those of one call.
	Limits = contract.Limits
	// FrameLimits are the largest frames.
	FrameLimits = contract.FrameLimits
	// Fault is a call that failed.
	Fault = contract.Fault //nolint:errname // what befell the guest; the host makes its Error of it
	// FaultKind says what went wrong.
	FaultKind = contract.FaultKind
)

// Errors of [Instance.Run], beside a [*Fault].
var (
	ErrInputSize = contract.ErrInputSize
	ErrOutputSum = contract.ErrOutputSum
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
	HostPanic   = contract.HostPanic
)
