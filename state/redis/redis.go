// Package redis keeps state in Redis 6.2 or newer: one server, Sentinel or a cluster, by URL.
//
// A name in a server has one owner at a time. A second [Open] is refused and told who has it, and an
// owner that has lost its lease to another cannot save any more. How durable a save is, is the
// server's to decide: see its appendfsync, and replicas in [Options.URL].
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/internal/calls"
)

// Options of a store. All but URL may be zero.
type Options struct {
	// URL says where the store is, in one of these forms; rediss instead of redis is with TLS:
	//
	//	redis://USER:PASSWORD@HOST:PORT/DB
	//	redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB
	//	redis+cluster://HOST:PORT,HOST:PORT
	//
	// User, password, ports and DB may be left out. These keys may follow a question mark:
	//
	//	name=NAME                    of the store in the server; default resonhost
	//	password_file=FILE           instead of a password in the URL
	//	sentinel_user=USER           of the Sentinels, which have none by default
	//	sentinel_password_file=FILE
	//	ca=FILE                      certificates in PEM that sign the servers', instead of the system's
	//	timeout=5s                   how long an exchange may take, 100 ms to 1 min
	//	lease=10s                    how long an owner that has gone keeps others out, 1 s to 10 min
	//	replicas=N                   how many replicas must have each save before it is done; default 0
	//	evict=allow                  use the server though it may evict records
	URL string
	// Codec makes of records what is stored, such as sealed.
	Codec state.Codec
	// ReadOnly has nothing written to the server, so that a user who may only read is enough, and so is a replica. Who
	// reads does not keep others out: an owner may come meanwhile. Save returns errors that wrap [state.ErrReadOnly].
	ReadOnly bool
	// Logger is told of the lease, and of a server that may lose records; nil is for none.
	Logger *slog.Logger
}

// Store is a [state.Store] in Redis. Make one with [Open].
type Store struct {
	*target

	opt    Options
	client goredis.UniversalClient
	prefix string // of all keys; what is in braces puts them into one slot of a cluster

	me     holder
	meText string
	epoch  string

	turnMu sync.Mutex
	turn   int64 // of saves that begin; see the scripts

	calls   calls.Group
	lostErr atomic.Pointer[error] // why nothing more is saved
	stop    context.CancelFunc    // ends keep
	kept    chan struct{}         // closed when keep has ended

	evictionTold, infoTold atomic.Bool
}

var _ state.Store = (*Store)(nil)

// ErrURL is wrapped by the error of [Open] for a URL that is wrong, or names a file that cannot be
// read.
var ErrURL = errors.New("the URL of the store of states is wrong")

// Open opens the store that a URL names. If its last owner has gone without closing it, Open waits
// until that owner's lease has ended, or the context.
//
// The error wraps [state.ErrInUse], and is an [*state.OwnerError], if another process has the store;
// [state.ErrUnavailable] if the server cannot be reached or may evict records; [ErrURL] if the URL is
// wrong. No error has a password.
func Open(ctx context.Context, opt Options) (*Store, error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	t, err := parseURL(opt.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	s := &Store{target: t, opt: opt, client: t.connect(), prefix: "resonhost:{" + t.name + "}:", me: newHolder(), kept: make(chan struct{})}
	err = s.calls.Run(ctx, func() error {
		if !opt.ReadOnly {
			if err := s.checkEviction(ctx); err != nil {
				return err
			}
		}
		return s.acquire(ctx)
	})
	if err != nil {
		// What is under way ends by its timeouts. The client waits for nothing.
		return nil, errors.Join(err, s.client.Close())
	}
	if opt.ReadOnly {
		return s, nil
	}
	keeping, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() {
		defer close(s.kept)
		s.keep(keeping)
	}()
	return s, nil
}

// connect returns a client of the servers. It connects when it is first used.
func (t *target) connect() goredis.UniversalClient {
	return goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs:                    t.addresses,
		MasterName:               t.master,
		IsClusterMode:            t.cluster,
		DB:                       t.db,
		Username:                 t.user,
		Password:                 t.password,
		SentinelUsername:         t.sentinelUser,
		SentinelPassword:         t.sentinelPassword,
		Dialer:                   t.dial,
		Protocol:                 2, // which the guard knows
		MaxRetries:               1,
		DialTimeout:              t.timeout,
		DialerRetries:            1,
		ReadTimeout:              t.timeout,
		WriteTimeout:             t.timeout,
		ContextTimeoutEnabled:    true,
		PoolTimeout:              t.timeout,
		DisableIdentity:          true, // it takes a command that a user may not have
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// dial connects to a server, with the guard around what it answers.
func (t *target) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: t.timeout}
	if t.tls == nil {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &guarded{Conn: c, answered: &t.answered}, nil
	}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	of := t.tls.Clone()
	if of.ServerName, _, err = net.SplitHostPort(addr); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	over := tls.Client(c, of)
	if err := over.HandshakeContext(ctx); err != nil {
		_ = c.Close() // what went wrong before is the error
		return nil, &handshakeError{err}
	}
	return &guarded{Conn: over, answered: &t.answered}, nil
}

func (s *Store) ownerKey() string { return s.prefix + "owner" }

// fence are the keys with which all scripts begin.
func (s *Store) fence() []string { return []string{s.ownerKey(), s.prefix + "epoch"} }

// recordPrefix is what the keys of records begin with. The stored key follows.
func (s *Store) recordPrefix() string { return s.prefix + "r:" }

func (s *Store) recordKey(k state.Key) string {
	return string(state.AppendKey([]byte(s.recordPrefix()), k))
}

// Eviction: how often the server is asked again, in renewals of the lease.
const evictionEvery = 10

// checkEviction returns an error if the server may throw records away for want of memory. If it does
// not say, that is told.
func (s *Store) checkEviction(ctx context.Context) error {
	policy, err := s.evicts(ctx)
	switch {
	case mayNot(err):
		s.tellInfo()
		return nil
	case err != nil:
		return s.fault(ctx, asks, err)
	case policy == "":
		return nil
	case !s.mayEvict:
		return fmt.Errorf("%s: %w: it may evict records, as its maxmemory-policy is %.40s: set it to noeviction, or say evict=allow in the URL", s.shown, state.ErrUnavailable, policy)
	}
	s.warnOfEviction(policy)
	return nil
}

// evicts returns the server's policy if it may evict records, which have no time to live.
func (s *Store) evicts(ctx context.Context) (policy string, err error) {
	c, err := s.home(ctx)
	if err != nil {
		return "", err
	}
	info, err := c.Info(ctx, "memory").Result()
	if err != nil {
		return "", err
	}
	limit := ""
	for line := range strings.SplitSeq(info, "\r\n") {
		if v, ok := strings.CutPrefix(line, "maxmemory:"); ok {
			limit = v
		}
		if v, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok {
			policy = v
		}
	}
	if limit == "0" || !strings.HasPrefix(policy, "allkeys-") {
		return "", nil
	}
	return policy, nil
}

// tellInfo tells once what is not known of a server that may not be asked.
func (s *Store) tellInfo() {
	if !s.infoTold.Swap(true) {
		s.opt.Logger.Warn("the user may not ask the server about itself: see to it that maxmemory-policy is noeviction, and give the user the command info, or a failover during a listing leaves records out", "store", s.shown)
	}
}

func (s *Store) watchEviction(ctx context.Context) {
	if policy, err := s.evicts(ctx); err == nil && policy != "" {
		s.warnOfEviction(policy)
	}
}

func (s *Store) warnOfEviction(policy string) {
	if !s.evictionTold.Swap(true) {
		s.opt.Logger.Warn("the server may evict records of states", "store", s.shown, "maxmemory-policy", policy)
	}
}

// home is the server that has all keys of the store.
func (s *Store) home(ctx context.Context) (goredis.Cmdable, error) {
	if c, ok := s.client.(*goredis.ClusterClient); ok {
		return c.MasterForKey(ctx, s.ownerKey())
	}
	return s.client, nil
}

// Load implements [state.Store].
func (s *Store) Load(ctx context.Context, key state.Key) (state.Record, error) {
	if err := key.Check(); err != nil {
		return state.Record{}, err
	}
	var r state.Record
	err := s.calls.Run(ctx, func() (err error) {
		r, err = s.load(ctx, key)
		return err
	})
	if err != nil {
		return state.Record{}, err
	}
	return r, nil
}

func (s *Store) load(ctx context.Context, key state.Key) (state.Record, error) {
	values, err := s.read(ctx, []string{s.recordKey(key)}, []any{state.MaxStored}) // a byte more than the most
	if err == nil {
		err = values[0].check(key)
	}
	if err != nil {
		return state.Record{}, err
	}
	return s.opt.Codec.Decode(key, []byte(values[0].text))
}

// How much a script saves at a time, as the server does nothing else meanwhile.
const (
	saveRecords = 1000
	saveBytes   = 1 << 20
)

// After how many records or bytes of them that are encoded other work of the process goes first.
const (
	yieldRecords = 64
	yieldBytes   = 64 << 10
)

// Save implements [state.Store]. The changes of a call are kept in pieces. Without changes one piece asks
// whether the store is still this owner's.
func (s *Store) Save(ctx context.Context, changes []state.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := state.CheckChanges(changes); err != nil {
		return err
	}
	if s.opt.ReadOnly {
		return fmt.Errorf("%s: %w: it was opened to be read", s.shown, state.ErrReadOnly)
	}
	var pieces []piece
	for len(changes) > 0 || len(pieces) == 0 {
		p, n, err := s.piece(ctx, changes)
		if err != nil {
			return err
		}
		pieces = append(pieces, p)
		changes = changes[n:]
	}
	c := &saving{}
	err := s.calls.Run(ctx, func() error {
		for _, p := range pieces {
			if err := s.save(ctx, c, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.giveUp(c)
	}
	return err
}

// piece is what one script saves.
type piece struct {
	keys   []string
	values []any
}

// piece encodes the first changes, and returns how many they are.
func (s *Store) piece(ctx context.Context, changes []state.Change) (p piece, n int, err error) {
	p.keys, p.values = append(s.fence(), s.prefix+"turn"), []any{s.epoch, int64(0)} // of which save makes its turn
	size, yielded, yieldedBytes := 0, 0, 0
	for n < len(changes) && n < saveRecords && (n == 0 || size < saveBytes) {
		c := &changes[n]
		value := []byte{}
		if !c.Delete {
			if value, err = s.opt.Codec.Append(make([]byte, 0, s.opt.Codec.Stored(len(c.Data))), &c.Record); err != nil {
				return p, 0, err
			}
		}
		p.keys, p.values = append(p.keys, s.recordKey(c.Key)), append(p.values, value)
		size += len(value)
		if n++; n-yielded >= yieldRecords || size-yieldedBytes >= yieldBytes {
			yielded, yieldedBytes = n, size
			state.Yield(ctx)
		}
	}
	return p, n, nil
}

// Close implements [state.Store]. It gives the lease back, so that the next owner need not wait.
func (s *Store) Close() error {
	if first, _ := s.calls.Close(); !first {
		return nil
	}
	if s.opt.ReadOnly {
		return s.client.Close()
	}
	s.stop()
	<-s.kept
	ctx, cancel := context.WithTimeout(context.Background(), min(s.timeout, 2*time.Second))
	defer cancel()
	_, _, err := result(release.Run(ctx, s.client, s.fence(), s.epoch, s.meText))
	if err != nil {
		s.opt.Logger.Warn("the store of states could not be given back: the next owner waits for the end of the lease", "store", s.shown, "error", s.fault(ctx, returns, err))
	}
	return s.client.Close()
}
