//go:build unix

package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// firstSocket is the descriptor of the first socket that is passed.
const firstSocket = 3

// Listener returns the one socket that the service manager has passed to this process, by LISTEN_PID and
// LISTEN_FDS. A process that it begins does not get it.
func Listener(getenv func(string) string) (net.Listener, error) {
	switch n, err := strconv.Atoi(getenv("LISTEN_FDS")); {
	case err != nil || getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()):
		return nil, errors.New("no socket was passed to this process (LISTEN_PID, LISTEN_FDS)")
	case n != 1:
		return nil, fmt.Errorf("one socket must be passed to this process, and there are %d (LISTEN_FDS)", n)
	}
	unix.CloseOnExec(firstSocket)
	f := os.NewFile(firstSocket, "LISTEN_FD_3")
	l, err := net.FileListener(f) // of a copy
	return l, errors.Join(err, f.Close())
}
