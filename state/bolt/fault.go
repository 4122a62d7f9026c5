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
