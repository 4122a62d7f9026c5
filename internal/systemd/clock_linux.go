package systemd

import "golang.org/x/sys/unix"

// monotonic is the time of the clock that systemd goes by, in microseconds, 0 if it cannot be told.
func monotonic() int64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return now.Nano() / 1000
}
