package host

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/host/internal/breaker"
	"github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/internal/foreign"
)

// Kind says what kind of failure an [Error] is. Its text is stable: it appears in
// JSON, in metric labels and in logs. The kind of a plugin's guest is another thing, see Plugin.Kind.
type Kind string

// Kinds.
const (
	// KindInvalidArgument: the argument breaks a rule; the same call will fail
	// again.
	KindInvalidArgument Kind = "invalid_argument"
	// KindUnknownTransform: see [ErrUnknownTransform].
	KindUnknownTransform Kind = "unknown_transform"
	// KindQueueFull: see [ErrQueueFull], [ErrTooLate] and [ErrNoRoom].
	KindQueueFull Kind = "queue_full"
	// KindTimeout: the task waited or ran too long. The error is
	// [context.DeadlineExceeded].
	KindTimeout Kind = "timeout"
	// KindCancelled: the caller's context was cancelled. The error is its cause.
	KindCancelled Kind = "cancelled"
	// KindFailed: the transform reports that it could not do the task.
	KindFailed Kind = "failed"
	// KindTrap: the guest trapped.
	KindTrap Kind = "trap"
	// KindExit: the guest ended its module.
	KindExit Kind = "exit"
	// KindOutOfMemory: the guest wanted more memory than it may have.
	KindOutOfMemory Kind = "out_of_memory"
	// KindOutOfFuel: the guest burnt more fuel than it may.
	KindOutOfFuel Kind = "out_of_fuel"
	// KindABI: the guest broke the plugin contract.
	KindABI Kind = "abi"
	// KindMemoryFull: see [ErrMemoryBudget].
	KindMemoryFull Kind = "memory_full"
	// KindUnavailable: see [ErrNotStarted], [ErrLoading], [ErrClosed], [ErrPaused] and [ErrSuspended].
	KindUnavailable Kind = "unavailable"
	// KindStateUnavailable: see [ErrStateUnavailable].
	KindStateUnavailable Kind = "state_unavailable"
	// KindStateUnreadable: see [ErrStateUnreadable].
	KindStateUnreadable Kind = "state_unreadable"
	// KindHost: the host could not do its part, such as making an instance.
	KindHost Kind = "host"
)

// kinds is every Kind, in the order of the constants.
var kinds = [...]Kind{
	KindInvalidArgument, KindUnknownTransform, KindQueueFull, KindTimeout, KindCancelled, KindFailed,
	KindTrap, KindExit, KindOutOfMemory, KindOutOfFuel, KindABI, KindMemoryFull, KindUnavailable,
	KindStateUnavailable, KindStateUnreadable, KindHost,
}

// Kinds returns every Kind, in the order of the constants.
func Kinds() []Kind { return slices.Clone(kinds[:]) }

// guests reports whether a failure of this kind is the doing of one task's guest,
// so that other tasks of its frame need not share it.
func (k Kind) guests() bool {
	switch k {
	case KindTimeout, KindTrap, KindExit, KindOutOfMemory, KindOutOfFuel, KindABI, KindMemoryFull:
		return true
	}
	return false
}

// outcome is what a task that ended so, or well if k is "", says of its plugin.
func (k Kind) outcome() breaker.Outcome {
	switch {
	case k == "" || k == KindFailed || k == KindInvalidArgument:
		return breaker.Worked
	case k == KindMemoryFull: // which others hold
		return breaker.Neither
	case k.guests():
		return breaker.Broke
	}
	return breaker.Neither
}

// Error is a task that failed. Every error of a task is one. Tasks may have one in common, so
// it must not be changed.
type Error struct {
	Kind Kind
	// Transform is the name the task was called by.
	Transform string
	// Plugin, Version and Hash (SHA-256, hexadecimal) say which plugin was to
	// run it; empty if none was reached.
	Plugin, Version, Hash string
	// Message says what happened. Of KindInvalidArgument and KindFailed it is
	// the plugin's own, bounded, valid UTF-8 and not to be trusted. Of KindTrap,
	// KindExit and KindOutOfMemory it ends in the guest's last words, if it had some:
	// at most 512 bytes, on one line, without control characters.
	Message string
	// Stack is the guest's stack and the end of its standard error, where there
	// is one. It is the plugin's own too. Of a codec that panicked it is the goroutine's.
	Stack string
	// Err is the cause, for [errors.Is]; nil where there is none but Message.
	Err error

	refused *Pending // that has this error at once; nil if it is to be made
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Transform, e.Kind, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error that the host returned for a task, and
// KindHost for any other.
func KindOf(err error) Kind {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Kind
	}
	return KindHost
}

// Sentinels, for [errors.Is]. All come wrapped in an [*Error].
var (
	// ErrUnknownTransform: no plugin has a transform of that name.
	ErrUnknownTransform = errors.New("unknown transform")
	// ErrQueueFull: the queue had no room for the task, or dropped it for a newer one;
	// and all that is [ErrTooLate].
	ErrQueueFull = errors.New("queue is full")
	// ErrTooLate: the tasks that stand before the task in its queue take so long that it
	// could not begin by its context's deadline. It wraps ErrQueueFull.
	ErrTooLate = fmt.Errorf("%w for the deadline", ErrQueueFull)
	// ErrNoRoom: there was no room for the output, see [Client.WithRoom].
	ErrNoRoom = errors.New("there is no room for the output")
	// ErrNotStarted: the host has not been started.
	ErrNotStarted = errors.New("host is not started")
	// ErrLoading: no plugin has a transform of that name, and one that is being loaded may. The same task may succeed
	// once that is done.
	ErrLoading = errors.New("a plugin is being loaded")
	// ErrClosed: the host is closed or closing.
	ErrClosed = errors.New("host is closed")
	// ErrMemoryBudget: Config.MemoryBudget has no room for more memory of an instance, or for
	// another instance. The same task may succeed when others have ended.
	ErrMemoryBudget = module.ErrBudget
	// ErrPaused: the plugin is paused, see [Host.Pause].
	ErrPaused = errors.New("plugin is paused")
	// ErrSuspended: the plugin has failed so often in a row that the host gives it a rest, see
	// PluginConfig.BreakAfter.
	ErrSuspended = breaker.ErrSuspended
	// ErrStateUnavailable: the state of the task's stream is stored, see Config.State, and the store
	// could not be reached or did not answer in time. The task has not run. It may succeed later.
	ErrStateUnavailable = keeper.ErrUnavailable
	// ErrStateUnreadable: what is stored of the task's stream cannot be read: it is corrupt, was
	// written by a newer version, or has another key. It stays as it is. The task has not run.
	ErrStateUnreadable = keeper.ErrUnreadable
)

var errPanicked = errors.New("the host panicked")

func fail(kind Kind, name string, cause error) *Error {
	return &Error{Kind: kind, Transform: name, Message: cause.Error(), Err: cause}
}

// notYet is the error of a task for a transform that no plugin has while others are being loaded.
func notYet(name string, loading []string) *Error {
	shown := foreign.Cut(name)
	return &Error{
		Kind: KindUnavailable, Transform: shown, Err: ErrLoading,
		Message: fmt.Sprintf("no plugin has a transform %q yet; being loaded, and may have it: %s", shown, foreign.Cut(strings.Join(loading, ", "))),
	}
}

func unknownTransform(name string) *Error {
	shown := foreign.Cut(name)
	return &Error{
		Kind: KindUnknownTransform, Transform: shown, Err: ErrUnknownTransform,
		Message: fmt.Sprintf("no plugin has a transform %q", shown),
	}
}
