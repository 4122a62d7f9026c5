// Package replay keeps the first answers to requests that name a key, so that a request that is
// sent again gets the same answer, and is not done again.
//
// A [Keeper] bounds what it keeps in number, bytes and age. It is in memory: a process that ends
// forgets.
package replay

import (
	"bytes"
	"cmp"
	"container/list"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of Options.
const (
	DefaultMaxKeys  = 10_000
	DefaultMaxBytes = 64 << 20
	DefaultAge      = time.Hour
)

// MinBytes is the least that MaxBytes of Options may be.
const MinBytes = 64 << 10

// overhead is what a key takes beside its texts and its answer, in bytes, about.
const overhead = 512

// Options bound a Keeper. The zero value of a field is its default.
type Options struct {
	// MaxKeys is how many keys are known at most, those whose requests are under way included;
	// default 10,000. Beyond it the oldest is forgotten: the owner's own, if with its new one
	// it has more than an eighth of them or of the bytes.
	MaxKeys int
	// MaxBytes is how many bytes keys and answers take at most, [MinBytes] or more; default 64 MiB. An
	// answer that takes more than an eighth is not kept. That it was given is.
	MaxBytes int64
	// Age is how long a key is known from its answer on; default 1 h.
	Age time.Duration
	// Logger is told once that keys are forgotten before their age; default discards it.
	Logger *slog.Logger
}

// Key names a request. Two of different owners have nothing to do with each other.
type Key struct {
	// Tenant and Principal are whose it is.
	Tenant, Principal string
	// Name is what the client has given.
	Name string
}

type owner struct{ tenant, principal string }

// Digest is what a request asks for: one that is sent again has the same.
type Digest [sha256.Size]byte

// Answer is an answer that is kept. It is not changed.
type Answer struct {
	Status int
	// Header has the fields that are given again, by name.
	Header map[string]string
	Body   []byte
}

func (a *Answer) size() int64 {
	n := len(a.Body)
	for name, value := range a.Header {
		n += len(name) + len(value)
	}
	return int64(n)
}

// Errors of [Keeper.Begin].
var (
	// ErrBusy is of a key whose first request is under way.
	ErrBusy = errors.New("a request with this key is under way")
	// ErrReused is of a key that another request has had.
	ErrReused = errors.New("another request has had this key")
	// ErrLarge is of a key whose answer was too large to be kept.
	ErrLarge = errors.New("the request was done, and its answer was too large to be kept")
	// ErrFull is of a key for which there is no room: too many requests with keys are under way.
	ErrFull = errors.New("as many requests with keys are under way as there may be")
)

// Keeper keeps answers. Make one with [New]. Its methods may be called concurrently.
type Keeper struct {
	opts     Options
	requests *prometheus.CounterVec
	evicted  prometheus.Counter
	logged   sync.Once

	mu     sync.Mutex // guards the rest
	keys   map[Key]*entry
	oldest list.List // of *entry that are answered, in the order of their answers
	owners map[owner]*held
	bytes  int64
}

// held is what an owner has.
type held struct {
	oldest list.List // as Keeper's
	keys   int
	bytes  int64
}

// entry is what is known of a key.
type entry struct {
	key       Key
	digest    Digest
	owner     *held
	size      int64
	done      bool
	answer    *Answer // nil before it, and if it was too large
	expires   time.Time
	all, mine *list.Element // in Keeper.oldest and held.oldest, once it is done
}

// Outcomes of requests with keys.
const (
	outcomeKept     = "kept"      // the first answer
	outcomeLarge    = "too_large" // is not kept
	outcomeDropped  = "dropped"   // is none that is to be kept
	outcomeReplayed = "replayed"  // it was given again
	outcomeNotKept  = "not_kept"  // it could not be
	outcomeBusy     = "busy"
	outcomeReused   = "reused"
	outcomeFull     = "full"
)

// New returns a keeper that knows no keys.
func New(o Options) *Keeper {
	o.MaxKeys = cmp.Or(max(o.MaxKeys, 0), DefaultMaxKeys)
	o.MaxBytes = cmp.Or(max(o.MaxBytes, 0), DefaultMaxBytes)
	o.Age = cmp.Or(max(o.Age, 0), DefaultAge)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{
		opts: o, keys: make(map[Key]*entry), owners: make(map[owner]*held),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "resonhost_idempotent_requests_total", Help: "Requests with an Idempotency-Key, by what became of them.",
		}, []string{"outcome"}),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "resonhost_idempotent_evicted_total", Help: "Idempotency-Keys that were forgotten before their age, to make room for others.",
		}),
	}
	for _, outcome := range []string{outcomeKept, outcomeLarge, outcomeDropped, outcomeReplayed, outcomeNotKept, outcomeBusy, outcomeReused, outcomeFull} {
		k.requests.WithLabelValues(outcome)
	}
	return k
}

// Call is a request that is the first with its key. Its owner calls [Call.Keep] or [Call.Drop], of
// which the first counts.
type Call struct {
	keeper *Keeper
	entry  *entry
}

// Begin looks a key up. Of the first request with it there is a call. Of one that was answered there
// is the answer. Otherwise the error is one of this package.
func (k *Keeper) Begin(key Key, digest Digest) (*Call, *Answer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sweepLocked(time.Now())
	e := k.keys[key]
	var answer *Answer
	var err error
	outcome := outcomeReplayed
	switch {
	case e == nil:
		call, err := k.firstLocked(key, digest)
		return call, nil, err
	case e.digest != digest:
		outcome, err = outcomeReused, ErrReused
	case !e.done:
		outcome, err = outcomeBusy, ErrBusy
	case e.answer == nil:
		outcome, err = outcomeNotKept, ErrLarge
	default:
		answer = e.answer
	}
	k.requests.WithLabelValues(outcome).Inc()
	return nil, answer, err
}

// firstLocked makes the entry of a key, if there is room.
func (k *Keeper) firstLocked(key Key, digest Digest) (*Call, error) {
	of := owner{key.Tenant, key.Principal}
	own := k.owners[of]
	if own == nil {
		own = new(held)
		k.owners[of] = own
	}
	e := &entry{key: key, digest: digest, owner: own, size: overhead + int64(len(key.Tenant)+len(key.Principal)+len(key.Name))}
	// It counts before there is room, so that its owner stays known when its other keys have to go.
	k.keys[key] = e
	own.keys++
	k.chargeLocked(e, e.size)
	if !k.roomLocked(own, true) {
		k.forgetLocked(e)
		k.requests.WithLabelValues(outcomeFull).Inc()
		return nil, ErrFull
	}
	return &Call{k, e}, nil
}

func (k *Keeper) chargeLocked(e *entry, n int64) {
	k.bytes += n
	e.owner.bytes += n
}

// roomLocked makes room for what an owner has got anew, which is counted already, and reports whether there
// is some now. Whoever has much makes it among its own keys, so that nobody's are pushed out by one that sends
// many. first is whether it is for a key, which may be refused, and not for an answer.
func (k *Keeper) roomLocked(own *held, first bool) bool {
	for len(k.keys) > k.opts.MaxKeys || k.bytes > k.opts.MaxBytes {
		from, many := &k.oldest, own.keys > max(k.opts.MaxKeys/8, 1)
		if own.oldest.Len() > 0 && (many || own.bytes > k.opts.MaxBytes/8) {
			from = &own.oldest
		} else if many && first { // all of which are under way
			return false
		}
		if from.Len() == 0 {
			return false
		}
		k.forgetLocked(from.Front().Value.(*entry))
		k.evicted.Inc()
		k.logged.Do(func() {
			k.opts.Logger.Warn("keys of requests are forgotten before their age, to make room for others; this is logged once, and counted by resonhost_idempotent_evicted_total",
				"keys", k.opts.MaxKeys, "bytes", k.opts.MaxBytes)
		})
	}
	return true
}

// forgetLocked forgets a key, and an owner that has no other.
func (k *Keeper) forgetLocked(e *entry) {
	delete(k.keys, e.key)
	e.owner.keys--
	k.chargeLocked(e, -e.size)
	if e.done {
		k.oldest.Remove(e.all)
		e.owner.oldest.Remove(e.mine)
	}
	if e.owner.keys == 0 {
		delete(k.owners, owner{e.key.Tenant, e.key.Principal})
	}
}

// sweepLocked forgets what has come of age.
func (k *Keeper) sweepLocked(now time.Time) {
	for front := k.oldest.Front(); front != nil; front = k.oldest.Front() {
		e := front.Value.(*entry)
		if now.Before(e.expires) {
			return
		}
		k.forgetLocked(e)
	}
}

// Keep keeps a copy of the answer of the request; the header is the keeper's then. One that is too large, or
// for which there is no room, is neither copied nor kept, but that it was given is.
func (c *Call) Keep(a *Answer) {
	var kept *Answer
	if c.reserve(a.size()) { // the copy is counted before it is made
		kept = &Answer{Status: a.Status, Header: a.Header, Body: bytes.Clone(a.Body)}
	}
	k, e := c.keeper, c.entry
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.done || k.keys[e.key] != e {
		return
	}
	outcome := outcomeKept
	if kept == nil {
		outcome = outcomeLarge
	}
	e.answer, e.done, e.expires = kept, true, time.Now().Add(k.opts.Age)
	e.all, e.mine = k.oldest.PushBack(e), e.owner.oldest.PushBack(e)
	k.requests.WithLabelValues(outcome).Inc()
}

// reserve counts an answer of n bytes among those of the key, and reports whether there is room for it. No
// room is made among other keys for one that is too large.
func (c *Call) reserve(n int64) bool {
	k, e := c.keeper, c.entry
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.done || k.keys[e.key] != e || n > k.opts.MaxBytes/8 {
		return false
	}
	e.size += n
	k.chargeLocked(e, n)
	if !k.roomLocked(e.owner, false) {
		e.size -= n
		k.chargeLocked(e, -n)
		return false
	}
	return true
}

// Drop forgets the request, which may then be sent again, and is done again.
func (c *Call) Drop() {
	k, e := c.keeper, c.entry
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.done || k.keys[e.key] != e {
		return
	}
	k.forgetLocked(e)
	k.requests.WithLabelValues(outcomeDropped).Inc()
}

// Collectors are the keeper's metrics.
func (k *Keeper) Collectors() []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.sweepLocked(time.Now())
			return f()
		})
	}
	return []prometheus.Collector{
		k.requests, k.evicted,
		gauge("resonhost_idempotent_keys", "Idempotency-Keys that are known.", func() float64 { return float64(len(k.keys)) }),
		gauge("resonhost_idempotent_bytes", "Bytes of Idempotency-Keys and the answers that are kept for them.", func() float64 { return float64(k.bytes) }),
		gauge("resonhost_idempotent_bytes_max", "How many bytes there may be.", func() float64 { return float64(k.opts.MaxBytes) }),
	}
}

// maxName is the longest key that a client may give, in bytes.
const maxName = 255

// ParseKey reads the header Idempotency-Key: a string in quotes, as in Structured Fields (RFC 9651),
// or the same without them, as many clients send it. The error says what it must be.
func ParseKey(header string) (name string, err error) {
	if name = header; len(header) > 0 && header[0] == '"' {
		if name, err = unquote(header); err != nil {
			return "", err
		}
	}
	if len(name) == 0 || len(name) > maxName {
		return "", fmt.Errorf("must have 1 to %d characters, has %d", maxName, len(name))
	}
	for i := range len(name) {
		// A comma without quotes is what becomes of two headers, where something joins them.
		if c := name[i]; c < ' ' || c > '~' || header[0] != '"' && (c == ' ' || c == ',' || c == ';' || c == '"') {
			return "", errors.New(`must be printable ASCII, in quotes if it has a space or one of , ; "`)
		}
	}
	return name, nil
}

func unquote(header string) (string, error) {
	name := make([]byte, 0, len(header))
	for i := 1; i < len(header); i++ {
		switch c := header[i]; {
		case c == '"' && i == len(header)-1:
			return string(name), nil
		case c == '"':
			return "", errors.New("must have nothing behind its closing quote")
		case c == '\\':
			if i++; i == len(header) || header[i] != '"' && header[i] != '\\' {
				return "", errors.New(`may have a backslash before " and \ alone`)
			}
			name = append(name, header[i])
		default:
			name = append(name, c)
		}
	}
	return "", errors.New("lacks its closing quote")
}
