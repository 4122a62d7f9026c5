//go:build unix

package chaos

import (
	"context"
	"net"
	"sync"
	"testing"
)

// link is a way from one process to another that can be cut. While it is cut nothing passes and nothing is closed, as where packets
// are lost. When it is mended, what was sent arrives.
type link struct {
	listener net.Listener
	group    sync.WaitGroup

	mu     sync.Mutex
	target string        // guarded by mu: where new connections go
	open   chan struct{} // closed while the link is whole
	conns  map[net.Conn]struct{}
	ended  bool
}

// newLink returns a link to an address.
func newLink(t *testing.T, target string) *link {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, target: target, open: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	close(l.open)
	l.group.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

// address is where the link begins.
func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) accept() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.group.Go(func() { l.carry(from) })
	}
}

// carry carries one connection.
func (l *link) carry(from net.Conn) {
	defer from.Close()
	<-l.whole()
	to, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", l.to())
	if err != nil {
		return // as if the other end had refused
	}
	defer to.Close()
	if !l.add(from, to) {
		return
	}
	defer l.remove(from, to)
	var both sync.WaitGroup
	both.Go(func() { l.copy(to, from) })
	both.Go(func() { l.copy(from, to) })
	both.Wait()
}

// copy carries one direction. Where it ends, the other does too.
func (l *link) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		<-l.whole()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// whole returns a channel that is closed once the link is whole.
func (l *link) whole() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

func (l *link) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = struct{}{}
	}
	return !l.ended
}

func (l *link) remove(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.conns, c)
	}
}

// cut has nothing pass until mend.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = make(chan struct{})
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
	default:
		close(l.open)
	}
}

// to is where a new connection goes.
func (l *link) to() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.target
}

// turn has new connections go elsewhere. Those that are there stay.
func (l *link) turn(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

func (l *link) close() {
	_ = l.listener.Close()
	l.mu.Lock()
	l.ended = true
	select {
	case <-l.open:
	default:
		close(l.open)
	}
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.group.Wait()
}
