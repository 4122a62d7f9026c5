//go:build unix

package workload

import (
	"runtime"
	"syscall"
	"time"
)

// GiveWay has the process, and what it starts, compute after who started it, and after others that are
// as urgent as that.
func GiveWay() {
	nice, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return // else it does not
	}
	if runtime.GOOS == "linux" { // whose kernel returns no negative numbers
		nice = 20 - nice
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice+10) // else it does not
}

// cpuTime is how long the process has computed, over all its threads.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
