package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// Listener returns l with connections that tell a client that has sent all it has, and waits for
// the answer with its own side closed, from one that has gone: net/http takes both for gone, and
// ends the request. Where that cannot be told they are as they were. The server's ConnContext
// must be [ConnContext].
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	tune(tcp)
	return &conn{TCPConn: tcp}, nil
}

// ConnContext has the handler find the connection of a request. It is for [http.Server].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

type connKey struct{}

// conn is a connection whose client may close its side before it has the answer.
type conn struct {
	*net.TCPConn

	mu    sync.Mutex // guards the rest, and is held while told is called
	ended bool       // the client has closed its side
	told  func()     // is called then; nil without
}

// Read implements [net.Conn]. While a handler runs that has the whole request, net/http reads
// one byte, for a client that goes; of all else it reads it asks for more at once. That one
// Read does not end with the client's side, but when the whole connection has ended.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if len(p) != 1 || !errors.Is(err, io.EOF) {
		return n, err
	}
	c.mu.Lock()
	c.ended = true
	if told := c.told; told != nil {
		c.told = nil
		told()
	}
	c.mu.Unlock()
	return 0, awaitEnd(c.TCPConn)
}

// onEnd calls f once the client has closed its side, unless stop was called: after that f is
// not running either.
func (c *conn) onEnd(f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		f()
		return func() {}
	}
	c.told = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.told = nil
	}
}

// whenHalfClosed is onEnd of the request's connection, if that can tell.
func whenHalfClosed(r *http.Request, f func()) (stop func()) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		return c.onEnd(f)
	}
	return func() {}
}
