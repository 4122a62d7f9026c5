package fleet

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/wait"
)

// Defaults and bounds of a roll-out.
const (
	DefaultShare     = 0.1
	DefaultWatch     = 30 * time.Second
	DefaultMaxErrors = 0.01
	MaxWatch         = 24 * time.Hour
)

// Keys of the bucket of what is wanted.
const (
	pluginKey = "plugin."
	drainKey  = "drain."
)

var (
	// ErrRolling is in the error of a push while a roll-out of the plugin is under way.
	ErrRolling = errors.New("a roll-out of the plugin is under way")
	// ErrNotPushed is in the error about a plugin that was never pushed.
	ErrNotPushed = errors.New("the fleet has no such plugin")
	// ErrNoPrevious is in the error of a rollback to no version.
	ErrNoPrevious = errors.New("there is no version before")
	// ErrNoHost is in the error about a host that is not there.
	ErrNoHost = errors.New("there is no such host")
	// ErrConflict is in the error of a change that another has come before.
	ErrConflict = errors.New("somebody else has changed it meanwhile: try again")
)

// Control is what says what hosts are to serve, and what they do. It may be used concurrently.
type Control struct {
	fleet   *Fleet
	log     *slog.Logger
	wanted  jetstream.KeyValue
	hosts   jetstream.KeyValue
	objects objects
	age     time.Duration // after which a sign of life is forgotten

	garbled atomic.Uint64 // entries that could not be read
	mu      sync.Mutex
	told    map[string]bool // guarded by mu: garbled entries that the log was told of, by bucket and key
}

// Control opens the fleet's buckets, and makes them if they are not there, but with [Config.MustExist]. Those that are there must be as a
// fleet needs them, else the error is a [*StreamError].
func (f *Fleet) Control(ctx context.Context) (*Control, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c := &Control{fleet: f, log: f.log, told: make(map[string]bool)}
	c.objects.age = orphanAge
	bucket := func(name, what string, ttl time.Duration) jetstream.KeyValueConfig {
		return jetstream.KeyValueConfig{
			Bucket: f.bucketName(name), Description: "resonhost: " + what, TTL: ttl, MaxValueSize: maxEntry,
			History: 1, Storage: jetstream.FileStorage, Replicas: f.cfg.Replicas,
		}
	}
	var err error
	if c.wanted, err = f.openBucket(ctx, bucket("WANTED", "what hosts are to serve", 0)); err != nil {
		return nil, err
	}
	if c.hosts, err = f.openBucket(ctx, bucket(hostsBucket, "signs of life", 2*f.cfg.AckWait)); err != nil {
		return nil, err
	}
	var status jetstream.KeyValueStatus
	if err := f.again(ctx, func(ctx context.Context) (err error) {
		status, err = c.hosts.Status(ctx)
		return err
	}); err != nil {
		return nil, &StreamError{c.hosts.Bucket(), "the bucket cannot be read", err}
	}
	if c.age = status.TTL(); c.age < MinAckWait || c.age > 2*MaxAckWait {
		return nil, &StreamError{c.hosts.Bucket(), fmt.Sprintf("the bucket keeps signs of life for %v, and must for 1s to 1h: delete it (nats kv del), and it is made anew", c.age), nil}
	}
	c.objects.store, err = f.openObjects(ctx)
	return c, err
}

func (f *Fleet) openBucket(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := opened(ctx, f, jetstream.ErrBucketNotFound, jetstream.ErrBucketExists,
		func(ctx context.Context) (jetstream.KeyValue, error) { return f.js.KeyValue(ctx, cfg.Bucket) },
		func(ctx context.Context) (jetstream.KeyValue, error) { return f.js.CreateKeyValue(ctx, cfg) })
	if err != nil {
		return nil, f.notMade(cfg.Bucket, 0, err)
	}
	return kv, f.checkBucket(ctx, "KV_"+cfg.Bucket, cfg.TTL == 0, maxEntry)
}

func (f *Fleet) openObjects(ctx context.Context) (jetstream.ObjectStore, error) {
	cfg := jetstream.ObjectStoreConfig{
		Bucket: f.bucketName("FILES"), Description: "resonhost: files of plugins", MaxBytes: objectBytes,
		Storage: jetstream.FileStorage, Replicas: f.cfg.Replicas,
	}
	store, err := opened(ctx, f, jetstream.ErrBucketNotFound, jetstream.ErrBucketExists,
		func(ctx context.Context) (jetstream.ObjectStore, error) { return f.js.ObjectStore(ctx, cfg.Bucket) },
		func(ctx context.Context) (jetstream.ObjectStore, error) { return f.js.CreateObjectStore(ctx, cfg) })
	if err != nil {
		return nil, f.notMade(cfg.Bucket, cfg.MaxBytes, err)
	}
	return store, f.checkBucket(ctx, "OBJ_"+cfg.Bucket, true, objectChunk)
}

// checkBucket refuses a bucket whose stream is not as a fleet needs it: what it has goes for ever or not at all, and messages
// have size bytes.
func (f *Fleet) checkBucket(ctx context.Context, name string, forever bool, size int32) error {
	var have jetstream.StreamConfig
	if err := f.again(ctx, func(ctx context.Context) error {
		s, err := f.js.Stream(ctx, name)
		if err == nil {
			have = s.CachedInfo().Config
		}
		return err
	}); err != nil {
		return &StreamError{name, "the bucket cannot be read", err}
	}
	reason := ""
	switch {
	case have.Storage != jetstream.FileStorage:
		reason = mustBe("storage", have.Storage, jetstream.FileStorage)
	case have.Discard != jetstream.DiscardNew:
		reason = mustBe("the discard policy", have.Discard, jetstream.DiscardNew)
	case have.Replicas < f.cfg.Replicas:
		reason = mustBe("the number of replicas", have.Replicas, fmt.Sprintf("at least %d", f.cfg.Replicas))
	case forever && have.MaxAge > 0:
		reason = mustBe("max_age", have.MaxAge, "unlimited")
	case have.MaxMsgSize > 0 && have.MaxMsgSize < size:
		reason = mustBe("max_msg_size", have.MaxMsgSize, fmt.Sprintf("unlimited, or at least %d", size))
	}
	if reason != "" {
		return &StreamError{name, reason, nil}
	}
	return nil
}

// refused notes an entry that cannot be read. The log is told once, until the entry can be read or is gone.
func (c *Control) refused(e jetstream.KeyValueEntry, err error) {
	c.garbled.Add(1)
	name := entryName(e)
	c.mu.Lock()
	known := c.told[name]
	c.told[name] = true
	c.mu.Unlock()
	if !known {
		c.log.Warn("an entry of the fleet is refused", "fleet", c.fleet.cfg.Fleet, "bucket", e.Bucket(), "key", cut(e.Key()), "revision", e.Revision(), "error", err)
	}
}

func entryName(e jetstream.KeyValueEntry) string { return e.Bucket() + "/" + e.Key() }

// sift reads those of all entries of a bucket whose keys begin with prefix, and has those refused for which read returns an error. whole is whether
// there were none.
func (c *Control) sift(ctx context.Context, kv jetstream.KeyValue, prefix string, read func(e jetstream.KeyValueEntry, name string) error) (whole bool, err error) {
	all, err := entries(ctx, kv)
	if err != nil {
		return false, err
	}
	bad := make(map[string]bool)
	for _, e := range all {
		if name, ok := strings.CutPrefix(e.Key(), prefix); ok {
			if err := read(e, name); err != nil {
				c.refused(e, err)
				bad[entryName(e)] = true
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.told, func(name string, _ bool) bool {
		return strings.HasPrefix(name, kv.Bucket()+"/"+prefix) && !bad[name]
	})
	return len(bad) == 0, nil
}

// entries returns all that a bucket has.
func entries(ctx context.Context, kv jetstream.KeyValue) (list []jetstream.KeyValueEntry, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read the bucket %s: %w", kv.Bucket(), err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return nil, fmt.Errorf("read the bucket %s: %w", kv.Bucket(), cmp.Or(context.Cause(ctx), nats.ErrConnectionClosed))
			case e == nil:
				return list, nil
			}
			list = append(list, e)
		case <-ctx.Done():
			return nil, fmt.Errorf("read the bucket %s: %w", kv.Bucket(), context.Cause(ctx))
		}
	}
}

// Hosts returns the hosts that have given a sign of life, sorted by name. One whose sign cannot be read is there as well: see
// [HostInfo.Unreadable].
func (c *Control) Hosts(ctx context.Context) (list []HostInfo, err error) {
	_, err = c.sift(ctx, c.hosts, "", func(e jetstream.KeyValueEntry, instance string) error {
		h, err := hostOf(e, instance)
		list = append(list, *h)
		return err
	})
	if err != nil {
		return nil, err
	}
	if list, err = c.complete(ctx, list); err != nil {
		return nil, err
	}
	sortHosts(list)
	return list, nil
}

// complete adds the hosts that a read of all signs of life has missed: a sign that is stored anew meanwhile may be missing there. A roll-out
// would be stopped for such a host, or be through without it.
func (c *Control) complete(ctx context.Context, list []HostInfo) ([]HostInfo, error) {
	known := make(map[string]bool, len(list))
	for i := range list {
		known[list[i].Instance] = true
	}
	instances, err := c.instances(ctx)
	for _, instance := range instances {
		if known[instance] {
			continue
		}
		h, failed := c.find(ctx, instance)
		err = errors.Join(err, failed)
		if h != nil {
			list = append(list, *h)
		}
	}
	return list, err
}

// hostOf reads a sign of life. With an error it is of a host that is there, and cannot be read.
func hostOf(e jetstream.KeyValueEntry, instance string) (*HostInfo, error) {
	h, err := parseHost(instance, e.Value())
	if err != nil {
		h = &HostInfo{Host: instance, Instance: instance, Unreadable: oneLine(err.Error())}
	}
	h.Age, h.revision = max(0, time.Since(e.Created())), e.Revision()
	return h, err
}

// instances returns which hosts have a sign of life, at one moment.
func (c *Control) instances(ctx context.Context) (list []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var info *jetstream.StreamInfo
	stream, err := c.fleet.js.Stream(ctx, "KV_"+c.hosts.Bucket())
	if err == nil {
		info, err = stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	}
	if err != nil {
		return nil, fmt.Errorf("read the bucket %s: %w", c.hosts.Bucket(), err)
	}
	for subject := range info.State.Subjects {
		if instance, ok := strings.CutPrefix(subject, "$KV."+c.hosts.Bucket()+"."); ok {
			list = append(list, instance)
		}
	}
	return list, nil
}

// find returns the sign of life of one host, nil without one.
func (c *Control) find(ctx context.Context, instance string) (*HostInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	switch e, err := c.hosts.Get(ctx, instance); {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the sign of life of %s: %w", instance, err)
	default:
		h, err := hostOf(e, instance)
		if err != nil {
			c.refused(e, err)
		}
		return h, nil
	}
}

// Plugins returns what the fleet wants of each plugin that was pushed, sorted by name. Records that cannot be read are left out.
func (c *Control) Plugins(ctx context.Context) ([]*Wanted, error) {
	list, _, err := c.records(ctx)
	return list, err
}

// records is Plugins, and reports whether all records could be read.
func (c *Control) records(ctx context.Context) (list []*Wanted, whole bool, err error) {
	whole, err = c.sift(ctx, c.wanted, pluginKey, func(e jetstream.KeyValueEntry, plugin string) error {
		w, err := parseWanted(plugin, e.Value())
		if err == nil {
			list = append(list, w)
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(list, func(a, b *Wanted) int { return strings.Compare(a.Plugin, b.Plugin) })
	return list, whole, nil
}

// Plugin returns what the fleet wants of one plugin. Without it the error wraps [ErrNotPushed].
func (c *Control) Plugin(ctx context.Context, plugin string) (*Wanted, error) {
	if err := checkSourceName(plugin); err != nil {
		return nil, err
	}
	e, err := c.wanted.Get(ctx, pluginKey+plugin)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil, fmt.Errorf("plugin %s: %w", plugin, ErrNotPushed)
	case err != nil:
		return nil, fmt.Errorf("plugin %s: %w", plugin, err)
	}
	w, err := parseWanted(plugin, e.Value())
	if err != nil {
		c.refused(e, err)
		return nil, fmt.Errorf("plugin %s: the fleet's record cannot be read; delete it (nats kv del %s %s%s) and push again: %w", plugin, e.Bucket(), pluginKey, plugin, err)
	}
	w.revision = e.Revision()
	return w, nil
}

// Queue asks the server what waits in the fleet. Before a first host has joined, that is nothing.
func (c *Control) Queue(ctx context.Context) (QueueStats, error) {
	return c.fleet.queue(ctx)
}

// save stores an entry, if it still is of the revision that was read. Else the error wraps [ErrConflict].
func (c *Control) save(ctx context.Context, w *Wanted) error {
	data, err := w.encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var revision uint64
	if w.revision == 0 {
		revision, err = c.wanted.Create(ctx, pluginKey+w.Plugin, data)
	} else {
		revision, err = c.wanted.Update(ctx, pluginKey+w.Plugin, data, w.revision)
	}
	switch {
	case changed(err):
		return fmt.Errorf("plugin %s: %w", w.Plugin, ErrConflict)
	case err != nil:
		return fmt.Errorf("plugin %s: %w", w.Plugin, err)
	}
	w.revision = revision
	return nil
}

// order is save for an operator. An error that leaves open whether the entry was stored is settled by reading it: done again, the
// order could be another one.
func (c *Control) order(ctx context.Context, w *Wanted) error {
	for open := false; ; {
		err := c.save(ctx, w)
		switch {
		case err == nil:
			return nil
		case passes(err):
			open = true
		case !open:
			return err
		}
		var now *Wanted
		if e := c.fleet.again(ctx, func(ctx context.Context) (err error) {
			now, err = c.Plugin(ctx, w.Plugin)
			return err
		}); e != nil && !errors.Is(e, ErrNotPushed) {
			return fmt.Errorf("it is not known whether this was done: see resonhost fleet ls: %w", errors.Join(err, e))
		}
		switch {
		case now != nil && now.follows(w):
			w.revision = now.revision
			return nil
		case now != nil && now.revision != w.revision:
			return fmt.Errorf("plugin %s: %w", w.Plugin, ErrConflict)
		case wait.For(ctx, reconnectWait) != nil:
			return err
		}
	}
}

// PushOptions are how a release is rolled out. The zero value of a field is its default.
type PushOptions struct {
	// Share is which share of the hosts tries the release at a time, at least one host, above 0 to 1; default DefaultShare.
	Share float64
	// Watch is for how long a host watches the release before it counts as good; default DefaultWatch, at most MaxWatch.
	Watch time.Duration
	// MaxErrors is which share of its tasks may fail by the plugin's fault, beyond those that did before; default
	// DefaultMaxErrors, negative for none.
	MaxErrors float64
}

func (o PushOptions) withDefaults() PushOptions {
	o.Share = cmp.Or(o.Share, DefaultShare)
	o.Watch = cmp.Or(o.Watch, DefaultWatch)
	o.MaxErrors = max(0, cmp.Or(o.MaxErrors, DefaultMaxErrors))
	return o
}

func (o *PushOptions) validate() error {
	return errors.Join(
		must(o.Share > 0 && o.Share <= 1, "Share", "must be above 0, and at most 1"),
		must(o.Watch >= time.Millisecond && o.Watch <= MaxWatch, "Watch", fmt.Sprintf("must be 1ms to %v", MaxWatch)),
		must(o.MaxErrors <= 1, "MaxErrors", "must be at most 1"))
}

// Push stores a plugin's files, and begins a roll-out of them, which hosts see through. Begun is false if the fleet has
// this release already. While a roll-out of the plugin is under way the error wraps [ErrRolling].
func (c *Control) Push(ctx context.Context, s host.Source, o PushOptions) (w *Wanted, begun bool, err error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, false, err
	}
	release, contents, err := newRelease(&s)
	if err != nil {
		return nil, false, err
	}
	before, err := c.Plugin(ctx, s.Name)
	switch {
	case errors.Is(err, ErrNotPushed):
		before = &Wanted{}
	case err != nil:
		return nil, false, err
	case before.rolling():
		return before, false, fmt.Errorf("%w: since %s, of the release %.12s: wait for its end, or stop it (resonhost fleet rollback %s)",
			ErrRolling, before.Rollout.Began.Format(time.RFC3339), before.Rollout.Release.Hash, s.Name)
	case before.Current.same(&release):
		return before, false, nil
	}
	if err := c.store(ctx, &release, contents); err != nil {
		return nil, false, err
	}
	w = &Wanted{
		Format: wantedFormat, Plugin: s.Name, Current: before.Current, Previous: before.Previous, revision: before.revision,
		Rollout: Rollout{
			ID: nuid.Next(), Release: release, State: RolloutRolling, Began: time.Now().UTC(),
			Share: o.Share, WatchMS: o.Watch.Milliseconds(), MaxErrors: o.MaxErrors,
		},
	}
	return w, true, c.order(ctx, w)
}

// store stores a release's files, once those are gone that nobody needs.
func (c *Control) store(ctx context.Context, r *Release, contents map[string][]byte) error {
	records, whole, err := c.records(ctx)
	if err != nil {
		return err
	}
	if whole { // else files may be of a record that only a newer program can read
		err = c.objects.prune(ctx, records)
	} else {
		err = errors.New("a record cannot be read, which may name them")
	}
	if err != nil {
		c.log.Warn("objects that no plugin of the fleet needs are not deleted", "fleet", c.fleet.cfg.Fleet, "error", err)
	}
	for name, f := range r.Files {
		if err := c.objects.put(ctx, f, contents[f.SHA256]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Rollback stops the roll-out of a plugin that is under way. Without one it has all hosts serve the version before, at once. If
// there is none the error wraps [ErrNoPrevious].
func (c *Control) Rollback(ctx context.Context, plugin string) (*Wanted, error) {
	w, err := c.Plugin(ctx, plugin)
	if err != nil {
		return nil, err
	}
	if w.rolling() {
		return c.stop(ctx, w)
	}
	if w.Previous == nil {
		return w, fmt.Errorf("plugin %s: %w, or the fleet is back at it already: push the file of the one that you want", plugin, ErrNoPrevious)
	}
	next := w.stopped("rolled back by request", time.Now())
	next.Current, next.Previous = w.Previous, nil
	return next, c.order(ctx, next)
}

// stop stops the roll-out that an entry has, also while hosts change the entry. That a host has stopped it meanwhile is as good.
func (c *Control) stop(ctx context.Context, w *Wanted) (*Wanted, error) {
	for id := w.Rollout.ID; ; {
		next := w.stopped("by request", time.Now())
		err := c.order(ctx, next)
		if !errors.Is(err, ErrConflict) {
			return next, err
		}
		if w, err = c.Plugin(ctx, w.Plugin); err != nil {
			return nil, err
		}
		switch {
		case w.Rollout.ID != id:
			return w, fmt.Errorf("plugin %s: %w: another roll-out has begun", w.Plugin, ErrConflict)
		case w.Rollout.State == RolloutStopped:
			return w, nil
		case w.Rollout.State == RolloutDone:
			return w, fmt.Errorf("plugin %s: the roll-out was done before it could be stopped: roll back again for the version before", w.Plugin)
		}
	}
}

// drainKeyOf is the key by which a host is drained.
func drainKeyOf(name string) string {
	return drainKey + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// drainedBy is the name of the host that is drained by a key, without drainKey.
func drainedBy(encoded string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(encoded)
	return string(name), errors.Join(err, checkHostName(string(name)))
}

// Drain has hosts of a name take no frames and no calls, or take them again. It holds until it is undone, also for hosts of that
// name that come later. Without a host of the name that is there or drained, the error wraps [ErrNoHost].
func (c *Control) Drain(ctx context.Context, name string, drained bool) error {
	if err := checkHostName(name); err != nil {
		return err
	}
	hosts, err := c.Hosts(ctx)
	if err != nil {
		return err
	}
	known, err := c.Drained(ctx)
	if err != nil {
		return err
	}
	there := slices.ContainsFunc(hosts, func(h HostInfo) bool { return h.Host == name })
	if !there && !slices.Contains(known, name) {
		var names []string
		for i := range hosts {
			if hosts[i].Unreadable == "" {
				names = append(names, hosts[i].Host)
			}
		}
		return fmt.Errorf("%w: %q; there are: %s", ErrNoHost, cut(name), cut(strings.Join(slices.Compact(names), ", ")))
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if drained {
		_, err = c.wanted.Put(ctx, drainKeyOf(name), []byte("1"))
	} else {
		err = c.wanted.Purge(ctx, drainKeyOf(name))
	}
	if err != nil {
		return fmt.Errorf("drain %s: %w", name, err)
	}
	return nil
}

// Drained returns the names of hosts that are to take no frames, sorted.
func (c *Control) Drained(ctx context.Context) (names []string, err error) {
	_, err = c.sift(ctx, c.wanted, drainKey, func(_ jetstream.KeyValueEntry, encoded string) error {
		name, err := drainedBy(encoded)
		if err == nil {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}
