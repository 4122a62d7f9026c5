package auth

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds of failed attempts.
const (
	// attemptsWindow is the time for which they are counted.
	attemptsWindow = time.Minute
	// attemptsAllowed is how many an address has in that time until it is told to come again later.
	attemptsAllowed = 10
	// attemptsTracked is how many addresses are counted by themselves; the others are counted
	// together, and have as many attempts as a hundred addresses.
	attemptsTracked = 4096
	attemptsOthers  = 100 * attemptsAllowed
)

// attempts counts failed attempts by address: in a table of fixed size, and in constant time. A good
// token is never counted, and its request never waits: tokens are looked up first.
type attempts struct {
	mu     sync.Mutex
	began  time.Time // of the window
	counts map[netip.Prefix]int
	others int
}

// failed counts an attempt of an address that failed. Beyond what it may have it returns how long
// the address is to wait. first says that this is the attempt with which that began.
func (a *attempts) failed(from netip.Addr, now time.Time) (wait time.Duration, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if since := now.Sub(a.began); a.counts == nil || since >= attemptsWindow || since < 0 {
		a.began, a.others = now, 0
		if len(a.counts) > 0 || a.counts == nil {
			a.counts = make(map[netip.Prefix]int) // a map that was cleared keeps its size
		}
	}
	key, allowed := network(from), attemptsAllowed
	n := a.counts[key] + 1
	if n > 1 || len(a.counts) < attemptsTracked {
		a.counts[key] = n
	} else {
		a.others++
		n, allowed = a.others, attemptsOthers
	}
	if n <= allowed {
		return 0, false
	}
	return a.began.Add(attemptsWindow).Sub(now), n == allowed+1
}

// network is what is counted as one address: of IPv6 the 64 bits that a site has at least.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of an address that is none it is the zero prefix
	return p
}
