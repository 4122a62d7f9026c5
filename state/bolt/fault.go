package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/resonhost/resonhost/state"
)

// causes says which errors of the system and of bbolt are which of a store's.
var causes = [...]struct{ cause, sentinel error }{
	{syscall.ENOSPC, state.ErrFull},
	{syscall.EDQUOT, state.ErrFull},
	{syscall.EFBIG, state.ErrFull},
	{berrors.ErrMaxSizeReached, state.ErrFull},
	{syscall.EROFS, state.ErrReadOnly},
	{fs.ErrPermission, state.ErrReadOnly},
}

// classify gives an error what was done, and the sentinel by which callers know it. It returns nil
// of nil.
func classify(what string, err error) error {
	if err == nil {
		return nil
	}
	for _, c := range causes {
		// bbolt has some of its causes as text alone.
		if errors.Is(err, c.cause) || strings.HasSuffix(err.Error(), ": "+c.cause.Error()) {
			return fmt.Errorf("%s: %w: %w", what, c.sentinel, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// lostError is a file that is not where it was opened. It wraps [state.ErrLost].
type lostError struct{ path string }

func (e *lostError) Error() string {
	return e.path + ": the file was moved, deleted or replaced while it was open, and the next start does not find what is saved: put it back, or end the host, import a copy with resonhost state import and start it again"
}

func (e *lostError) Unwrap() error { return state.ErrLost }

// damaged is the error of a file that was damaged while it was open, as the panic says that was recovered, nil
// without one. That is no text for operators; [errors.As] has it.
func (s *Store) damaged(panicked any) error {
	e := &damagedError{path: s.path(fileName)}
	switch p := panicked.(type) {
	case nil:
	case error:
		e.cause = p
	default:
		e.cause = fmt.Errorf("%.200v", p)
	}
	return e
}

// damagedError is a file that was damaged while it was open. It wraps [state.ErrCorrupt] and what was recovered.
type damagedError struct {
	path  string
	cause error // nil if there is none
}

func (e *damagedError) Error() string {
	return e.path + ": is corrupt: it was damaged while it was open, and must be opened anew"
}

func (e *damagedError) Unwrap() []error {
	if e.cause == nil {
		return []error{state.ErrCorrupt}
	}
	return []error{state.ErrCorrupt, e.cause}
}
