//go:build !linux

package threads

import (
	"errors"
	"fmt"
	"time"
)

// SetSlice returns [errors.ErrUnsupported].
func SetSlice(int, time.Duration) error {
	return fmt.Errorf("time slice: %w", errors.ErrUnsupported)
}
