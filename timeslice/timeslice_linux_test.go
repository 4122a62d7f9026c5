package timeslice_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/resonhost/resonhost/timeslice"
)

// TestSet looks at the threads that there were and at new ones.
func TestSet(t *testing.T) {
	old := threads(t, nil)
	for _, d := range []time.Duration{timeslice.Longest, 3 * time.Millisecond, timeslice.Default} {
		switch err := timeslice.Set(d); {
		case errors.Is(err, errors.ErrUnsupported) && before612(t):
			return
		case err != nil:
			t.Fatal(err)
		}
		check(t, "old", old, d)
	}
	// Each of these needs a thread of its own.
	const more = 16
	var ready, all sync.WaitGroup
	over := make(chan struct{})
	ready.Add(more)
	for range more {
		all.Go(func() {
			runtime.LockOSThread() // and ends it
			ready.Done()
			<-over
		})
	}
	ready.Wait()
	started := threads(t, old)
	if len(started) == 0 {
		t.Error("no thread has been started")
	}
	check(t, "new", started, timeslice.Default)
	close(over)
	all.Wait()
}

// threads returns the process's threads but for those.
func threads(t *testing.T, but map[int]bool) map[int]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[int]bool)
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !but[id] {
			ids[id] = true
		}
	}
	return ids
}

// check fails the test for each thread that has another time slice. Threads may have ended.
func check(t *testing.T, what string, threads map[int]bool, want time.Duration) {
	t.Helper()
	for id := range threads {
		switch attr, err := unix.SchedGetAttr(id, 0); {
		case errors.Is(err, unix.ESRCH):
		case err != nil:
			t.Error(err)
		case time.Duration(attr.Runtime) != want:
			t.Errorf("thread %d, which is %s, has %v, want %v", id, what, time.Duration(attr.Runtime), want)
		}
	}
}

func before612(t *testing.T) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major < 6 || major == 6 && minor < 12
}
