package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// spareConnections are those beyond Options.MaxConnections whose requests are refused, so that their
// clients, and what spreads clients over servers, learn why. Further clients wait to be accepted.
const spareConnections = 64

// Many clients that come at once would have their first requests served before all that others send meanwhile, because whatever can run
// has its turn. So no more than newcomers come at a time. One has come once something is written to it, or after comesFor.
const (
	newcomers = 16
	comesFor  = 5 * time.Millisecond
)

// connections are those of a server's listeners.
type connections struct {
	most   int
	places chan struct{} // has a place for each connection that there may be
	coming chan struct{} // has a place for each of the newcomers
	open   atomic.Int64
	over   prometheus.Counter
}

func newConnections(most int) *connections {
	return &connections{
		most: most, places: make(chan struct{}, most+spareConnections), coming: make(chan struct{}, newcomers),
		over: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "resonhost_http_connections_refused_total", Help: "Connections whose requests were refused because there were as many as there may be.",
		}),
	}
}

// collectors are the metrics.
func (c *connections) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		c.over,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "resonhost_http_connections", Help: "Connections that are open, idle ones included.",
		}, func() float64 { return float64(c.open.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "resonhost_http_connections_limit", Help: "How many connections are served at once.",
		}, func() float64 { return float64(c.most) }),
	}
}

// take counts a connection that has a place. over says that there are too many.
func (c *connections) take() (release func(), over bool) {
	if over = c.open.Add(1) > int64(c.most); over {
		c.over.Inc()
	}
	return sync.OnceFunc(func() {
		c.open.Add(-1)
		<-c.places
	}), over
}

// Listener is [Listener] of connections that are bounded by Options.MaxConnections, together with those of
// the server's other listeners. Beyond it requests get 503, but for routes without a scope, such as
// /healthz; and once there are 64 more connections, the next waits to be accepted. That holds for
// connections of all kinds, such as those of a Unix socket. Without [ConnContext] as the server's ConnContext
// requests of those up to 64 connections are served.
func (s *Server) Listener(l net.Listener) net.Listener {
	return &bounded{Listener: listener{l}, of: s.connections, closed: make(chan struct{})}
}

type bounded struct {
	net.Listener

	of     *connections
	once   sync.Once
	closed chan struct{} // by Close
}

// Accept implements [net.Listener].
func (b *bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for _, place := range []chan struct{}{b.of.places, b.of.coming} {
		select {
		case place <- struct{}{}:
		case <-b.closed:
			return nil, errors.Join(net.ErrClosed, c.Close())
		}
	}
	came := sync.OnceFunc(func() { <-b.of.coming })
	time.AfterFunc(comesFor, came)
	release, over := b.of.take()
	leave := func() {
		came()
		release()
	}
	if c, ok := c.(*conn); ok {
		c.came, c.release, c.over = came, leave, over
		return c, nil
	}
	return &placed{c, came, leave, over}, nil
}

// Close implements [net.Listener].
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// placed is a connection of another kind than TCP.
type placed struct {
	net.Conn

	came    func() // once it is answered
	release func()
	over    bool // it is one too many
}

// Write implements [net.Conn].
func (c *placed) Write(p []byte) (int, error) {
	defer c.came()
	return c.Conn.Write(p)
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	if c.came != nil {
		defer c.came()
	}
	return c.TCPConn.Write(p)
}

// Close implements [net.Conn].
func (c *placed) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	if c.release != nil {
		defer c.release()
	}
	return c.TCPConn.Close()
}

type overKey struct{}

// isOver reports whether a connection, which TLS may hide, is one too many.
func isOver(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	switch c := c.(type) {
	case *conn:
		return c.over
	case *placed:
		return c.over
	}
	return false
}

// refuseOver refuses a request of a connection that is one too many, and reports whether it did.
func (s *Server) refuseOver(w http.ResponseWriter, r *http.Request) bool {
	if r.Context().Value(overKey{}) == nil {
		return false
	}
	w.Header().Set("Connection", "close")
	s.unavailable(w, "there are as many connections as are served at once (MaxConnections, --max-connections); try again when some have ended")
	return true
}
