package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How a connection finds out that its server is gone. The client's own default is two minutes, in which it waits for
// a server that has stopped.
const (
	pingInterval  = time.Second
	maxPings      = 2
	dialTimeout   = 2 * time.Second
	reconnectWait = 250 * time.Millisecond
	// callTimeout bounds each request to JetStream. A publish is sent again after it.
	callTimeout = 2 * time.Second
	// silentFor is for how long a request is made again in vain until another server is tried. An election takes up to some 9 s, in which no
	// server answers, and moving costs little.
	silentFor = 5 * time.Second
	// stayMost is how long a connection stays at least after many moves in vain.
	stayMost = time.Minute
)

// connect connects to one of the servers. From then on the connection looks for a server for ever.
func (f *Fleet) connect(ctx context.Context) error {
	o := nats.GetDefaultOptions()
	o.Servers, o.Name = f.cfg.servers(), f.cfg.Name
	o.PingInterval, o.MaxPingsOut = pingInterval, maxPings
	o.Timeout, o.ReconnectWait, o.MaxReconnect = dialTimeout, reconnectWait, -1
	// A server that refuses the credentials twice may take them later, as after an edit of its users.
	o.IgnoreAuthErrorAbort = true
	// What cannot be sent at once is an error, and sent again by who sent it: held back it would come late.
	o.ReconnectBufSize = -1
	// A reader of events that may not subscribe is told so.
	o.PermissionErrOnSubscribe = true
	o.TLSConfig, o.Secure = f.cfg.TLS, f.cfg.TLS != nil
	f.handle(&o)
	switch {
	case f.cfg.Credentials != "":
		if err := nats.UserCredentials(f.cfg.Credentials)(&o); err != nil {
			return fmt.Errorf("credentials of NATS: %w", err)
		}
	case f.cfg.NKey != "":
		option, err := nats.NkeyOptionFromSeed(f.cfg.NKey)
		if err == nil {
			err = option(&o)
		}
		if err != nil {
			return fmt.Errorf("NKey: %w", err)
		}
	}
	d := dialer{ctx: ctx}
	o.CustomDialer, o.SkipHostLookup = &d, true // the dialer looks up, as long as ctx lasts
	nc, err := o.Connect()
	if ended := d.opened(); ended != nil {
		if err == nil {
			nc.Close()
		}
		err = ended
	}
	if err != nil {
		return fmt.Errorf("connect to NATS at %s: %w", Shown(f.cfg.URLs), err)
	}
	f.nc = nc
	f.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(callTimeout))
	return err
}

// dialer connects to servers. Until it is opened, its context ends what it does.
type dialer struct {
	mu   sync.Mutex
	ctx  context.Context // guarded by mu
	keep func() bool     // guarded by mu: keeps the connection though ctx ends; false if it is too late
}

// Dial implements [nats.CustomDialer].
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
	if err == nil {
		d.keep = context.AfterFunc(d.ctx, func() { _ = c.Close() })
	}
	return c, err
}

// opened has no context end anything any more. It returns the cause of the context if that has ended before.
func (d *dialer) opened() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keep != nil {
		d.keep()
	}
	err := context.Cause(d.ctx)
	d.ctx = context.Background()
	return err
}

// handle has the log told of what happens to the connection.
func (f *Fleet) handle(o *nats.Options) {
	o.DisconnectedErrCB = func(_ *nats.Conn, err error) {
		if err != nil { // else it was closed
			f.log.Warn("the connection to NATS is lost; it is tried again", "fleet", f.cfg.Fleet, "error", err)
		}
	}
	o.ReconnectedCB = func(nc *nats.Conn) {
		f.log.Info("connected to NATS again", "fleet", f.cfg.Fleet, "server", nc.ConnectedUrlRedacted())
	}
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		f.log.Log(context.Background(), f.refused.level(err), "the connection to NATS", "fleet", f.cfg.Fleet, "error", err)
	}
	o.ClosedCB = func(nc *nats.Conn) {
		if !f.closing.Load() {
			f.log.Error("the connection to NATS has ended for good, and is not tried again", "fleet", f.cfg.Fleet, "error", nc.LastError())
			close(f.gone)
		}
		close(f.closed)
	}
}

// moves is when a connection may go to another server. The zero value is that of one which has never moved.
type moves struct {
	mu   sync.Mutex
	last time.Time     // guarded by mu
	stay time.Duration // guarded by mu: from last until the next move
}

// may reports whether the connection moves now: not at once again, and more and more seldom while that is of no use.
func (m *moves) may(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch since := now.Sub(m.last); {
	case since < m.stay:
		return false
	case since > 2*stayMost: // what was in vain then is long over
		m.stay = silentFor
	default:
		m.stay = min(2*m.stay, stayMost)
	}
	m.last = now
	return true
}

// unheard is told that what is asked of JetStream has failed for so long, at last with err. A server that is cut off from the others keeps its clients, and
// answers none of what takes a majority, so that the connection goes to another server.
func (f *Fleet) unheard(silent time.Duration, err error) {
	if silent < silentFor || !passes(err) || !f.nc.IsConnected() || !f.moves.may(time.Now()) {
		return
	}
	f.log.Warn("the server of NATS does not answer for JetStream; another is tried", "fleet", f.cfg.Fleet,
		"server", f.nc.ConnectedUrlRedacted(), "seconds", int(silent.Seconds()), "error", err)
	if err := f.nc.ForceReconnect(); err != nil { // it is closed
		f.log.Debug("the connection to NATS does not move", "fleet", f.cfg.Fleet, "error", err)
	}
}

// repeatsEnd is after how long without an error the same error is told anew.
const repeatsEnd = 10 * time.Second

// repeats has an error that a connection tells again and again logged once.
type repeats struct {
	mu   sync.Mutex
	last time.Time // guarded by mu
	what string    // guarded by mu
}

// level is at which an error is logged: as a warning once, until it is another one or repeatsEnd has passed without.
func (r *repeats) level(err error) slog.Level {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := time.Since(r.last) < repeatsEnd && err.Error() == r.what
	r.last, r.what = time.Now(), err.Error()
	if known {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// Shown returns URLs without what is secret in them.
func Shown(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		parsed, err := url.Parse(strings.TrimSpace(u))
		if err != nil {
			list[i] = "a URL that is none"
			continue
		}
		if _, password := parsed.User.Password(); parsed.User != nil && !password {
			parsed.User = url.User("xxxxx") // a token
		}
		list[i] = parsed.Redacted()
	}
	return strings.Join(list, ",")
}
