package guest

import (
	"errors"

	"github.com/resonhost/resonhost/abi"
)

// ErrNoFunction is wrapped by the error of [Call] if the host's program offers no function
// of that name, and natively, where there is no host.
var ErrNoFunction = errors.New("there is no such function")

// Call calls a function that the program which embeds the host offers to its plugins, by
// its name (see Function in package host), with one argument. The result is the caller's.
// An error has the function's text. The task's time goes on meanwhile.
//
// A transform that calls functions is not pure. See [Transform].
func Call(name string, arg []byte) ([]byte, error) {
	result, err := call(name, arg)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// CallError is the error of a function that failed.
type CallError struct{ Message string }

func (e *CallError) Error() string { return e.Message }

func callError(status abi.CallStatus, message []byte) error {
	switch status {
	case abi.CallOK:
		return nil
	case abi.CallUnknown:
		return &unknownError{string(message)}
	}
	return &CallError{string(message)}
}

// unknownError is an [ErrNoFunction] with the host's message.
type unknownError struct{ message string }

func (e *unknownError) Error() string { return e.message }
func (e *unknownError) Unwrap() error { return ErrNoFunction }
