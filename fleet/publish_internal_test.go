package fleet

import (
	"errors"
	"net"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestBrokenPasses writes to a connection that its peer has reset until that fails, and once it is closed. NATS passes such errors on.
func TestBrokenPasses(t *testing.T) {
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(peer.(*net.TCPConn).SetLinger(0), peer.Close()); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for range 1000 { // the first fails as soon as the reset is there, the later ones otherwise
		if _, err = c.Write(make([]byte, 1<<10)); err != nil {
			seen[err.Error()] = true
			if !passes(err) {
				t.Fatalf("%v does not pass", err)
			}
		}
	}
	if len(seen) == 0 {
		t.Fatal("nothing failed")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); !passes(err) {
		t.Errorf("%v does not pass", err)
	}
	for _, err := range []error{nats.ErrConnectionClosed, nats.ErrAuthorization, jetstream.ErrStreamNotFound, errors.New("another")} {
		if passes(err) {
			t.Errorf("%v passes", err)
		}
	}
}
