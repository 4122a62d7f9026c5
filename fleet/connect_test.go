package fleet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/natstest"
)

// key makes an NKey, and returns the user that a server knows and the file of its seed.
func key(tb testing.TB) (*server.NkeyUser, string) {
	tb.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		tb.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		tb.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "seed")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		tb.Fatal(err)
	}
	return &server.NkeyUser{Nkey: public}, file
}

// TestRefusedForAWhile has a server forget the key of a fleet, and know it again later. The fleet goes on.
func TestRefusedForAWhile(t *testing.T) {
	user, file := key(t)
	other, _ := key(t)
	var opts *server.Options
	s := natstest.Start(t, func(o *server.Options) { opts, o.Nkeys = o, []*server.NkeyUser{user} })
	var log logged
	cfg := small(s.URL(), "a")
	cfg.NKey, cfg.Logger = file, log.logger()
	f := open(t, cfg)
	work(t, f, hostile(t, time.Minute))
	s.Stop()
	opts.Nkeys = []*server.NkeyUser{other}
	s.Restart()
	const refused = "the connection to NATS\" fleet=default error=\"nats: authorization violation"
	eventually(t, "a key that is refused again and again", func() bool { return log.count(refused) > 4 })
	if n := log.count("level=WARN msg=\"" + refused); n != 1 {
		t.Errorf("the log is warned %d times", n)
	}
	s.Stop()
	opts.Nkeys = []*server.NkeyUser{user}
	s.Restart()
	eventually(t, "an answer", func() bool {
		out, err := f.Client("", host.PriorityNormal).Run(t.Context(), "hostile.echo", []byte("a"))
		return err == nil && string(out) == "a"
	})
}

// TestGone has a server end the connection for good. The fleet says so, and workers take no more.
func TestGone(t *testing.T) {
	s := natstest.Start(t)
	addr, say := between(t, strings.TrimPrefix(s.URL(), "nats://"))
	var log logged
	cfg := small("nats://"+addr, "a")
	cfg.Logger = log.logger()
	f := open(t, cfg)
	w := f.NewWorker(hostile(t, time.Minute), fleet.WorkerOptions{})
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.Gone():
		t.Fatal("it is gone before")
	default:
	}
	say("-ERR 'Frobnication Violation'\r\n")
	<-f.Gone()
	if n := log.count("level=ERROR msg=\"the connection to NATS has ended for good, and is not tried again\" fleet=default error=\"nats: Frobnication Violation\""); n != 1 {
		t.Errorf("the log was told %d times: %s", n, log.lines)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Error(err)
	}
	whole := open(t, small(s.URL(), "a"))
	if err := whole.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-whole.Gone():
		t.Error("one that was closed is not gone")
	default:
	}
}

// between stands between one client and the server at to. say says something to the client in the server's name.
func between(tb testing.TB, to string) (addr string, say func(text string)) {
	tb.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	client, ended := make(chan net.Conn, 1), make(chan struct{})
	go func() { // until the client or the listener is closed
		defer close(ended)
		down, err := l.Accept()
		if err != nil {
			return
		}
		defer down.Close()
		up, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
		if err != nil {
			return
		}
		client <- down
		copied := make(chan struct{})
		go func() { // until up is closed
			defer close(copied)
			_, _ = io.Copy(down, up)
		}()
		_, _ = io.Copy(up, down)
		_ = up.Close()
		<-copied
	}()
	tb.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String(), func(text string) {
		c := <-client
		if _, err := io.WriteString(c, text); err != nil {
			tb.Error(err)
		}
	}
}

// TestOpenEnds opens a fleet at a server that takes the connection and says nothing. Opening ends with its context.
func TestOpenEnds(t *testing.T) {
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	tired := errors.New("tired of waiting")
	accepted := make(chan net.Conn, 1)
	go func() { // until the client has come
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
		cancel(tired)
	}()
	if _, err := fleet.Open(ctx, fleet.Config{URLs: "nats://" + l.Addr().String()}); !errors.Is(err, tired) {
		t.Errorf("error %v", err)
	}
	_ = (<-accepted).Close()
}
