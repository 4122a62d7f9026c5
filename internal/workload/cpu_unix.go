//go:build unix

package workload

import (
	"syscall"
	"time"
)

// GiveWay has the process, and what it starts, compute after others that would.
func GiveWay() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10) } // else it does not

// cpuTime is how long the process has computed, over all its threads.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
