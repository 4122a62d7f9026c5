// Package systemd speaks systemd's two protocols with services: sd_notify, by which a service says that
// it is ready, and the passing of sockets, by which it gets those that were opened for it.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier tells the service manager how far the service has come. A nil one tells nobody.
type Notifier struct {
	addr     net.UnixAddr
	watchdog time.Duration
}

// States that [Notifier.Notify] sends. More are in sd_notify(3).
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Reloading are the states of a service that reads its settings anew, until it says [Ready] again.
func Reloading() []string {
	states := []string{"RELOADING=1"}
	if usec := monotonic(); usec > 0 {
		// By this systemd knows this reload's READY=1 from one that was on its way before.
		states = append(states, "MONOTONIC_USEC="+strconv.FormatInt(usec, 10))
	}
	return states
}

// NewNotifier returns the notifier that the environment asks for, by NOTIFY_SOCKET, WATCHDOG_USEC and
// WATCHDOG_PID, or nil if it asks for none.
func NewNotifier(getenv func(string) string) (*Notifier, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET=%s: must begin with / or @", path)
	}
	n := &Notifier{addr: net.UnixAddr{Name: path, Net: "unixgram"}}
	usec, pid := getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID")
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil
	}
	d, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || d <= 0 || d > int64(365*24*time.Hour/time.Microsecond) {
		return nil, fmt.Errorf("WATCHDOG_USEC=%s: must be a number of microseconds", usec)
	}
	n.watchdog = time.Duration(d) * time.Microsecond
	return n, nil
}

// Watchdog is how often the manager wants to hear [Alive] at least, 0 if it does not.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Notify sends states in one message.
func (n *Notifier) Notify(states ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix(n.addr.Net, nil, &n.addr)
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	_, err = c.Write([]byte(strings.Join(states, "\n")))
	return errors.Join(err, c.Close())
}
