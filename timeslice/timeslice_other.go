//go:build !linux

package timeslice

import (
	"errors"
	"fmt"
	"time"
)

func set(time.Duration) error { return fmt.Errorf("time slice: %w", errors.ErrUnsupported) }
