package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
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
	if isOver(c) {
		ctx = context.WithValue(ctx, overKey{}, true)
	}
	if c, ok := c.(*conn); ok {
		c.server = ctx
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

type connKey struct{}

// conn is a connection whose client may close its side before it has the answer.
type conn struct {
	*net.TCPConn

	server  context.Context // of all requests, which net/http does not end with the connection
	over    bool            // it is one too many
	came    func()          // says that it has come, and is no newcomer any more; nil without one
	release func()          // gives its place back; nil without one

	broken atomic.Bool // a body's client has closed its side, or let its time pass
	spent  atomic.Bool // nothing is read any more

	unread atomic.Pointer[func() bool] // whether there is more of a body of lines to read; nil outside one

	mu    sync.Mutex // guards the rest, and is held while told is called
	ended bool       // the client has closed its side
	told  func()     // is called then; nil without
}

// Read implements [net.Conn]. While a handler runs that has the whole request, net/http reads
// one byte, for a client that goes. That one Read does not end with the client's side, but when
// the whole connection has ended. All else that net/http reads goes into a buffer, which asks for
// one byte as well when it is full but for that. In a body of lines, which may take for ever,
// whileUnread tells; elsewhere such a Read ends with its deadline.
func (c *conn) Read(p []byte) (int, error) {
	if c.spent.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.TCPConn.Read(p)
	ended := errors.Is(err, io.EOF)
	unread := c.unread.Load()
	within := len(p) != 1 || unread != nil && (*unread)()
	if within && (ended || errors.Is(err, os.ErrDeadlineExceeded)) {
		c.broken.Store(true) // before net/http ends the request
	}
	if !ended {
		return n, err
	}
	c.mu.Lock()
	c.ended = true
	if told := c.told; told != nil {
		c.told = nil
		told()
	}
	c.mu.Unlock()
	if within {
		return n, err
	}
	return 0, awaitEnd(c.TCPConn)
}

// outlive returns a context for the tasks of a request that came before its body broke off, at
// which net/http ends the request's own. It ends with that otherwise, with the server's, and
// when the client has gone. release frees it; interrupt must end all Reads of the connection.
func outlive(r *http.Request, interrupt func()) (_ context.Context, release func()) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return r.Context(), func() {}
	}
	c.broken.Store(false) // which an earlier request may have left
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	own := context.AfterFunc(c.server, func() { cancel(context.Cause(c.server)) })
	ended := make(chan struct{})
	request := context.AfterFunc(r.Context(), func() {
		defer close(ended)
		// After the body broke off nobody reads, and this sees the connection's end.
		if !c.broken.Load() || !errors.Is(awaitEnd(c.TCPConn), os.ErrDeadlineExceeded) {
			cancel(context.Cause(r.Context()))
		}
	})
	return ctx, func() {
		own()
		if !request() {
			interrupt()
			<-ended
		}
		cancel(nil)
	}
}

// spend has the connection of a request serve no further one, whose beginning could be a rest of
// this one's body. It reports whether it could.
func spend(r *http.Request) bool {
	if r.ProtoMajor > 1 { // where requests have frames of their own
		return true
	}
	c, ok := r.Context().Value(connKey{}).(*conn)
	if ok {
		c.spent.Store(true)
	}
	return ok
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

// whileUnread has the request's connection ask f whether its body is still being read, until stop
// is called. f must be safe for concurrent use. A client's end that comes with the body's may be taken
// for one before it: outlive spares the tasks then.
func whileUnread(r *http.Request, f func() bool) (stop func()) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return func() {}
	}
	c.unread.Store(&f)
	return func() { c.unread.Store(nil) }
}

// whenHalfClosed is onEnd of the request's connection, if that can tell.
func whenHalfClosed(r *http.Request, f func()) (stop func()) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		return c.onEnd(f)
	}
	return func() {}
}
