// Package serve serves networks of resonance nodes over HTTP: to create them, change and read them,
// and follow them. A server takes its routes as server.Options.Routes.
//
// Networks belong to tenants, which see none but their own. They are in memory, and end with the
// process unless there is a store for them.
package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/resonance/collect"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/events"
)

// Defaults of Options.
const (
	DefaultMaxNetworks    = 32
	DefaultMaxNodes       = 10_000
	DefaultMaxConnections = 100_000
)

// history is how many events of a network are kept for clients that come again.
const history = 256

// Options bound networks. The zero value of a field is its default.
type Options struct {
	// MaxNetworks is how many networks there are at most; default 32. The last quarter is for
	// tenants that have less than an eighth.
	MaxNetworks int
	// MaxNodes and MaxConnections are how many a network has at most; default 10,000 and 100,000.
	MaxNodes, MaxConnections int
	// Hub streams the events of networks; default one of its own.
	Hub *events.Hub
	// Principals returns who goes by a name, such as auth.Identity.Named. So a network that comes
	// back ticks if who used it still may. Default is nil, for a server that does not ask.
	Principals func(name string) []*auth.Principal
	// Logger receives that ticks fail, and that networks are not saved; default discards it.
	Logger *slog.Logger
}

// Service has networks. Make one with [New]. Its methods may be called concurrently.
type Service struct {
	host    *host.Host
	opts    Options
	refused prometheus.Counter

	mu       sync.Mutex // guards the rest
	networks map[key]*served
	gone     network.Stats // counters of networks that were deleted
	closed   bool

	saver

	watching sync.WaitGroup // goroutines that look at users of networks
}

// key is a network's tenant and ID.
type key struct{ tenant, id string }

// served is one network.
type served struct {
	*network.Network

	id      string
	created time.Time
	bus     *event.Bus
	feed    *events.Feed
	keeper  *network.Keeper // nil without a store
	// nodePeriod and networkPeriod are those that were asked for.
	nodePeriod, networkPeriod time.Duration

	stop  func() // ends that its users are looked at
	ended <-chan struct{}
	ticks bool // whether it was started; Service.mu guards it

	mu         sync.Mutex // guards the rest
	connecting int        // connections that are being computed
	// users are who has used the network and may have it tick. It ticks for as long as one may.
	users []*auth.Principal
	// waiting are the names of those who had used one that has come back.
	waiting []string
}

// New returns a service without networks. The host need not be started. Its error is an
// [*abi.FieldError].
func New(h *host.Host, o Options) (*Service, error) {
	o.MaxNetworks = cmp.Or(max(o.MaxNetworks, 0), DefaultMaxNetworks)
	o.MaxNodes = cmp.Or(max(o.MaxNodes, 0), DefaultMaxNodes)
	o.MaxConnections = cmp.Or(max(o.MaxConnections, 0), DefaultMaxConnections)
	if o.MaxNodes > network.MaxCapacity {
		return nil, &abi.FieldError{Field: "MaxNodes", Rule: fmt.Sprintf("must be at most %d, is %d", network.MaxCapacity, o.MaxNodes)}
	}
	if o.Hub == nil {
		o.Hub = events.NewHub(events.Options{})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{
		host: h, opts: o, networks: make(map[key]*served), saver: newSaver(),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "resonhost_networks_refused_total", Help: "Networks that were refused because there were as many as there may be.",
		}),
	}, nil
}

// Collectors are the metrics of all networks together.
func (s *Service) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		collect.NewNetwork(s), s.refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "resonhost_networks", Help: "Networks of nodes."}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(len(s.networks))
		}),
		s.saves, s.failures,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "resonhost_networks_unserved", Help: "Stored networks that cannot be served."}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(len(s.unserved))
		}),
	}
}

// Stats adds up what networks count. Those that were deleted have counted, too.
func (s *Service) Stats() network.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := counters(s.gone)
	for _, n := range s.networks {
		add(&sum, n.Stats())
	}
	return sum
}

// counters returns the part of statistics that never shrinks, in memory of its own.
func counters(s network.Stats) network.Stats {
	var c network.Stats
	add(&c, s)
	c.Nodes, c.Active, c.Capacity, c.Connections, c.NowMS = 0, 0, 0, 0, 0
	return c
}

func add(sum *network.Stats, s network.Stats) {
	sum.Nodes += s.Nodes
	sum.Active += s.Active
	sum.Capacity += s.Capacity
	sum.Connections += s.Connections
	sum.Ticks += s.Ticks
	sum.Coalesced += s.Coalesced
	sum.Failed += s.Failed
	sum.FailedTasks += s.FailedTasks
	sum.NowMS = max(sum.NowMS, s.NowMS)
	addHistogram(&sum.Lag, s.Lag)
	addHistogram(&sum.Took, s.Took)
}

// addHistogram adds one of the same bounds, as all networks' are.
func addHistogram(sum *host.Histogram, h host.Histogram) {
	if len(h.Counts) == 0 {
		return
	}
	if sum.Counts == nil {
		sum.Bounds, sum.Counts = h.Bounds, make([]uint64, len(h.Counts))
	}
	for i, n := range h.Counts {
		sum.Counts[i] += n
	}
	sum.Count += h.Count
	sum.Sum += h.Sum
}

// create makes a network of a tenant, for somebody who may have it tick, and starts it.
func (s *Service) create(who *auth.Principal, tenant string, r *NetworkRequest) (*served, error) {
	n := &served{id: cmp.Or(r.ID, strings.ToLower(rand.Text()[:12])), created: time.Now().UTC(), bus: event.New(history)}
	if err := cmp.Or(parsePeriod(&n.nodePeriod, "node_period", r.NodePeriod), parsePeriod(&n.networkPeriod, "network_period", r.NetworkPeriod), checkID(r.ID)); err != nil {
		return nil, err
	}
	n.use(who)
	k := key{tenant, n.id}
	var err error
	if n.keeper, err = s.newKeeper(k); err != nil {
		return nil, err
	}
	if err := s.open(k, n); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.roomLocked(k); err != nil {
		return nil, err
	}
	if err := s.beginLocked(k, n); err != nil {
		return nil, &problem{api.New(host.KindUnavailable, "networks need the plugin tick: "+strings.TrimPrefix(err.Error(), "network: "))}
	}
	if before := s.deletions[k]; before != nil { // there is one keeper of a name
		n.keeper = before
		delete(s.deletions, k)
	}
	s.networks[k] = n
	return n, nil
}

// open makes the network that is to be served.
func (s *Service) open(k key, n *served) (err error) {
	n.feed = s.opts.Hub.Feed(n.bus)
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.ended = cancel, ctx.Done()
	n.Network, err = network.New(network.Config{
		Host: s.host, Tenant: k.tenant, Capacity: s.opts.MaxNodes, NodePeriod: n.nodePeriod, NetworkPeriod: n.networkPeriod,
		Events: n.bus, Logger: s.opts.Logger,
	})
	return err
}

// begin has a network tick that does not yet, once somebody may have it so, and the plugin is there.
func (s *Service) begin(k key, n *served) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beginLocked(k, n)
}

func (s *Service) beginLocked(k key, n *served) error {
	who := n.user()
	if n.ticks || s.closed || who == nil {
		return nil
	}
	if err := n.Start(); err != nil {
		return err
	}
	n.ticks = true
	if !who.Anonymous() { // who is never withdrawn
		s.watching.Go(func() { s.watch(k, n) })
	}
	return nil
}

// roomLocked looks whether there may be a further network.
func (s *Service) roomLocked(k key) error {
	own := 0
	for other := range s.networks {
		if other.tenant == k.tenant {
			own++
		}
	}
	most := s.opts.MaxNetworks
	if own >= max(most/8, 1) {
		most -= most / 4
	}
	switch {
	case s.closed:
		return &problem{api.New(host.KindUnavailable, "draining: no further network is made")}
	case s.networks[k] != nil:
		return &problem{api.New(api.KindConflict, fmt.Sprintf("there is a network %s already", k.id))}
	case s.unserved[k]:
		return &problem{api.New(api.KindConflict, fmt.Sprintf("a network %s is stored and cannot be served; the server has logged why", k.id))}
	case len(s.networks) >= most:
		s.refused.Inc()
		return &problem{api.New(host.KindQueueFull, fmt.Sprintf("there are %d networks already, of %d (MaxNetworks, --max-networks), the last quarter of which is for tenants that have few; delete one", len(s.networks), s.opts.MaxNetworks))}
	}
	return nil
}

// maxID is the longest ID of a network, in bytes.
const maxID = 64

func checkID(id string) error {
	valid := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r)
	}
	if len(id) > maxID || id == "." || id == ".." || strings.ContainsFunc(id, func(r rune) bool { return !valid(r) }) {
		return &abi.FieldError{Field: "id", Rule: "must be 1 to 64 letters, digits, and - . _"}
	}
	return nil
}

// parsePeriod reads a period, which "" leaves at its default.
func parsePeriod(p *time.Duration, field, text string) (err error) {
	if text == "" {
		return nil
	}
	if *p, err = time.ParseDuration(text); err != nil || *p < network.MinPeriod || *p > network.MaxPeriod {
		return &abi.FieldError{Field: field, Rule: fmt.Sprintf("must be a duration from %v to 1h, such as 20ms", network.MinPeriod)}
	}
	return nil
}

// find returns the network of a tenant's that a request names, and keeps who uses it.
func (s *Service) find(r *http.Request, tenant string) (*served, error) {
	s.mu.Lock()
	n := s.networks[key{tenant, r.PathValue("network")}]
	s.mu.Unlock()
	if n == nil {
		return nil, &problem{api.New(api.KindNotFound, "there is no such network")}
	}
	n.use(auth.Of(r.Context()))
	_ = s.begin(key{tenant, n.id}, n) // which it has a further try of, as long as it does not
	return n, nil
}

// list returns the networks of a tenant, by ID.
func (s *Service) list(tenant string) []*served {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*served
	for k, n := range s.networks {
		if k.tenant == tenant {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *served) int { return strings.Compare(a.id, b.id) })
	return list
}

// endTimeout is how long the last ticks of a network may take that is deleted. Then they are
// interrupted.
const endTimeout = 10 * time.Second

// remove ends a network. It goes on when its caller's ctx ends, as the network would be half gone.
func (s *Service) remove(ctx context.Context, k key, n *served) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	n.stop()
	err := n.Close(ctx) // which waits for ticks; a second caller waits, too
	s.mu.Lock()
	if s.networks[k] == n {
		delete(s.networks, k)
		total := counters(s.gone)
		add(&total, counters(n.Stats()))
		s.gone = total
		if n.keeper != nil {
			s.deletions[k] = n.keeper
		}
	}
	s.mu.Unlock()
	if err = errors.Join(err, n.bus.Close(ctx)); err != nil {
		s.opts.Logger.WarnContext(ctx, "the last ticks of a network were interrupted", "network", k.id, "tenant", k.tenant, "error", err)
	}
}

// connect establishes a connection, if there is room for it.
func (s *Service) connect(ctx context.Context, n *served, a, b string) (network.Connection, error) {
	n.mu.Lock()
	full := n.Stats().Connections+n.connecting >= s.opts.MaxConnections
	if !full {
		n.connecting++
	}
	n.mu.Unlock()
	if full {
		return network.Connection{}, &problem{api.New(api.KindConflict, fmt.Sprintf("the network has %d connections, as many as it may (MaxConnections, --max-network-connections)", s.opts.MaxConnections))}
	}
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.connecting--
	}()
	return n.Connect(ctx, a, b)
}

// Close takes no further network, and ends those that there are. When ctx ends it interrupts their
// ticks, still waits, and returns ctx's cause. If the host has a store it saves all of them, which may
// take a second more. It is to be called before the host is closed.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	var all []*served
	for _, n := range s.networks {
		all = append(all, n)
	}
	s.mu.Unlock()
	if len(all) > 0 && s.host.State() == nil {
		s.opts.Logger.InfoContext(ctx, "networks of nodes end with the process", "networks", len(all))
	}
	var errs []error
	for _, n := range all {
		n.stop()
		errs = append(errs, n.Close(ctx), n.bus.Close(ctx))
	}
	s.watching.Wait()
	return errors.Join(append(errs, s.saveLast(ctx))...)
}

// problem is an error that is answered as it is.
type problem struct{ of api.Error }

// Error implements the error interface.
func (p *problem) Error() string { return p.of.Detail }
