// Package embedded runs a server of NATS with JetStream in this process, for trying a fleet out on one machine. It serves the
// loopback interface alone, to whoever can reach that.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/filelock"
)

// DefaultListen is where a server listens unless told otherwise: where clients of NATS look for one.
const DefaultListen = "127.0.0.1:4222"

// patience is how long a server may take to be ready.
const patience = 30 * time.Second

// Options are where a server listens and what it keeps. The zero value of a field is its default.
type Options struct {
	// Listen is a loopback address, HOST:PORT, with port 0 for any; default DefaultListen.
	Listen string
	// Dir is a directory for what it stores, which is made if it is not there. There is no default.
	Dir string
	// Logger receives what the server logs; default discards it.
	Logger *slog.Logger
}

// ErrInUse is in the error of a directory that another process has.
var ErrInUse = errors.New("another process has this directory of a server of NATS")

// lockName is the file of a directory whose lock its server holds: two servers would destroy what they store.
const lockName = "resonhost.lock"

// Server is a server of NATS.
type Server struct {
	s    *server.Server
	lock *os.File
}

// Start starts a server, which the caller closes. What is wrong with the options is an [*abi.FieldError].
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		return nil, &abi.FieldError{Field: "Dir", Rule: "must name a directory"}
	}
	if err := CheckListen(o.Listen); err != nil {
		return nil, err
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	e, err := start(ctx, &o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	e.lock = lock
	return e, nil
}

// lockDir makes a directory, and keeps other processes out of it.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	switch err := filelock.Lock(f); {
	case errors.Is(err, filelock.ErrLocked):
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, ErrInUse), f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

func start(ctx context.Context, o *Options) (*Server, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", o.Listen, err)
	}
	addr := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil { // the server listens itself, and can only say that it is not ready
		return nil, err
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "resonhost", Host: addr.IP.String(), Port: addr.Port, NoSigs: true, JetStream: true, StoreDir: o.Dir,
	})
	if err != nil {
		return nil, fmt.Errorf("server of NATS: %w", err)
	}
	s.SetLoggerV2(logger{o.Logger}, false, false, false)
	s.Start()
	e := &Server{s: s}
	if !s.ReadyForConnections(patience) || !s.JetStreamEnabled() {
		e.Close()
		return nil, fmt.Errorf("the server of NATS at %s with what it stores in %s does not get ready; the log says why", o.Listen, o.Dir)
	}
	return e, nil
}

// CheckListen returns what is wrong with Options.Listen, an [*abi.FieldError].
func CheckListen(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err == nil && at.Addr().IsLoopback() {
		return nil
	}
	return &abi.FieldError{Field: "Listen", Rule: "must be an address of the loopback interface, such as " + DefaultListen}
}

// URL is where it listens.
func (e *Server) URL() string { return e.s.ClientURL() }

// Close ends the server. Calling it again is fine.
func (e *Server) Close() {
	e.s.Shutdown()
	e.s.WaitForShutdown()
	if e.lock != nil {
		_ = e.lock.Close() // again, if the server was closed before
	}
}

// logger passes on what a server logs. What it has to say of itself when all is well is for who debugs.
type logger struct{ log *slog.Logger }

func (l logger) put(level slog.Level, format string, v []any) {
	l.log.Log(context.Background(), level, "server of NATS", "says", strings.TrimSpace(fmt.Sprintf(format, v...)))
}

func (l logger) Noticef(format string, v ...any) { l.put(slog.LevelDebug, format, v) }
func (l logger) Warnf(format string, v ...any)   { l.put(slog.LevelWarn, format, v) }
func (l logger) Fatalf(format string, v ...any)  { l.put(slog.LevelError, format, v) }
func (l logger) Errorf(format string, v ...any)  { l.put(slog.LevelError, format, v) }
func (l logger) Debugf(format string, v ...any)  { l.put(slog.LevelDebug, format, v) }
func (l logger) Tracef(format string, v ...any)  { l.put(slog.LevelDebug, format, v) }
