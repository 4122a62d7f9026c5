//go:build !unix

package systemd

import (
	"errors"
	"net"
)

// Listener fails: there is no systemd.
func Listener(func(string) string) (net.Listener, error) {
	return nil, errors.New("there is no systemd on this system")
}
