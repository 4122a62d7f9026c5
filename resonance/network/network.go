// Package network advances resonance nodes and the network they form, on time, by the
// transforms of the plugin "tick".
//
//	n, err := network.New(network.Config{Host: h})
//	…
//	id, err := n.CreateNode(network.NodeSpec{Frequency: 432, Patterns: []string{"golden_ratio_harmonics"}})
//	…
//	if err := n.Start(); err != nil { … }
//	defer n.Close(ctx)
//
// One loop begins the ticks of all nodes: those of one period together, at multiples
// of it since the start, so that nothing drifts. Nodes lie in arrays, in chunks, each
// of which is one task of priority [host.PriorityUrgent]. A tick that is late by more
// than a period stands for those before it, which are counted; ticks never pile up.
//
// The clock of the network begins at 0 ms and tells each tick when it was due, not
// when it ran: the same nodes advance the same way, however busy the machine.
package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/histogram"
	"github.com/resonhost/resonhost/resonance/tick"
)

// Defaults and bounds.
const (
	DefaultNodePeriod    = 10 * time.Millisecond
	DefaultNetworkPeriod = 100 * time.Millisecond
	DefaultCapacity      = 1 << 20
	DefaultChunkNodes    = 4096
	// MinPeriod and MaxPeriod bound periods.
	MinPeriod = time.Millisecond
	MaxPeriod = time.Hour
	// MaxPeriods is how many different periods nodes can have.
	MaxPeriods = 64
	// MaxCapacity is the most nodes there can be.
	MaxCapacity = 1 << 24
)

// Transforms that a network needs, and media types that they take and give.
var needed = [...]struct{ name, input, output string }{
	{TransformNode, tick.MediaTypeNodes, tick.MediaTypeNodesResult},
	{TransformNetwork, tick.MediaTypeNetwork, tick.MediaTypeNetwork},
	{TransformConnection, tick.MediaTypeConnection, tick.MediaTypeConnectionResult},
}

// Names of the transforms that a network calls: the first for nodes and the second for the network,
// at each tick, and the third for each connection.
const (
	TransformNode       = "tick.node"
	TransformNetwork    = "tick.network"
	TransformConnection = "tick.connection"
)

// Errors.
var (
	// ErrNotFound is wrapped by the error for a node that does not exist.
	ErrNotFound = errors.New("there is no such node")
	// ErrExists is wrapped by the error for an ID that is another node's.
	ErrExists = errors.New("there is such a node already")
	// ErrFull is wrapped by the error for a node beyond Config.Capacity, a period beyond
	// MaxPeriods, and a node after 2^53-1 of them.
	ErrFull = errors.New("network is full")
	// ErrClosed is returned once Close has begun.
	ErrClosed = errors.New("network is closed")
)

// Config is how a network is set up. The zero value of a field is its default.
type Config struct {
	// Host runs the plugin "tick". Its owner starts it before the network, and closes
	// it after.
	Host *host.Host
	// Tenant is on whose behalf its tasks run, see [host.Client]; default "".
	Tenant string
	// NodePeriod is the period of nodes that state none; default 10 ms.
	NodePeriod time.Duration
	// NetworkPeriod is that of fields, patterns and metrics; default 100 ms.
	NetworkPeriod time.Duration
	// Capacity is how many nodes there are at most; default 1,048,576.
	Capacity int
	// ChunkNodes is how many nodes are one task; default 4096, at most
	// tick.MaxNodes.
	ChunkNodes int
	// Events receives what happens; default nothing does. The bus is the caller's.
	Events *event.Bus
	// Logger receives that ticks fail, and that they do no longer; default discards it.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.NodePeriod = cmp.Or(c.NodePeriod, DefaultNodePeriod)
	c.NetworkPeriod = cmp.Or(c.NetworkPeriod, DefaultNetworkPeriod)
	c.Capacity = cmp.Or(c.Capacity, DefaultCapacity)
	c.ChunkNodes = cmp.Or(c.ChunkNodes, DefaultChunkNodes)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c *Config) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Host != nil, "Host: must be set")
	check(isPeriod(c.NodePeriod), "NodePeriod: %s", periodRule)
	check(isPeriod(c.NetworkPeriod), "NetworkPeriod: %s", periodRule)
	check(c.Capacity > 0 && c.Capacity <= MaxCapacity, "Capacity: must be 1 to %d, is %d", MaxCapacity, c.Capacity)
	check(c.ChunkNodes > 0 && c.ChunkNodes <= tick.MaxNodes, "ChunkNodes: must be 1 to %d, is %d", tick.MaxNodes, c.ChunkNodes)
	return errors.Join(errs...)
}

const periodRule = "must be 1ms to 1h"

func isPeriod(d time.Duration) bool { return d >= MinPeriod && d <= MaxPeriod }

// Network is a set of nodes with the fields, patterns and metrics they share. Make one
// with [New]. Its methods may be called concurrently, before Start and after Close too.
type Network struct {
	cfg    Config
	log    *slog.Logger
	client runner // of ticks
	// dispatchers is as many as the host has workers.
	dispatchers int

	// graph is what the network has; Restore replaces it. It is written with mu held.
	graph atomic.Pointer[graph]
	// mu guards what graph says it does. It goes before the mutexes of chunks.
	mu sync.RWMutex

	// ctx ends running ticks, when Close's patience does.
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   chan struct{} // closed by Close
	ended  chan struct{} // closed when the goroutines of Start have ended
	wake   chan struct{} // has a token if the loop is to look at the periods again
	// finished brings ticks back to the loop.
	finished chan *round
	feed     feed
	// telling makes what is told of ticks one sequence, and that a network takes the place
	// of another: nothing is told of ticks of the old one after that. It goes after mu.
	telling sync.Mutex

	life            sync.Mutex // guards started and closed
	started, closed bool

	lag, took                       histogram.Recorder
	ticks, coalesced, failed, tasks atomic.Uint64
}

// runner runs tasks: a [*host.Client].
type runner interface {
	RunAppend(ctx context.Context, transform string, dst, input []byte) ([]byte, error)
}

// New returns a network without nodes, with the fields, patterns and
// metrics of [Initial]. It validates the configuration, all faults at once, and starts
// nothing.
func New(cfg Config) (*Network, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("network configuration: %w", err)
	}
	n := &Network{
		cfg: cfg, log: cfg.Logger, client: cfg.Host.Client(cfg.Tenant, host.PriorityUrgent).Quiet(), dispatchers: cfg.Host.Workers(),
		stop: make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1), finished: make(chan *round, MaxPeriods),
	}
	n.feed.init()
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.graph.Store(newGraph(&n.cfg, Initial(), 0))
	return n, nil
}

// Start begins to tick. It fails if the host lacks a transform that a network needs.
func (n *Network) Start() error {
	for _, want := range needed {
		got, err := n.cfg.Host.Lookup(want.name)
		if err != nil {
			return fmt.Errorf("network: %w", err)
		}
		if got.Input != want.input || got.Output != want.output {
			return fmt.Errorf("network: transform %s takes %s and gives %s, must take %s and give %s",
				want.name, got.Input, got.Output, want.input, want.output)
		}
	}
	n.life.Lock()
	defer n.life.Unlock()
	switch {
	case n.closed:
		return ErrClosed
	case n.started:
		return errors.New("network is started already")
	}
	n.started = true
	n.mu.Lock()
	g := n.graph.Load()
	for _, r := range (*g.rates.Load())[1:] {
		g.compact(r)
	}
	g.begin()
	n.cfg.Events.Publish(event.NetworkActivated{Nodes: len(g.ids)}) // before it ticks
	n.mu.Unlock()
	var running sync.WaitGroup
	running.Go(n.loop)
	for range n.dispatchers {
		running.Go(n.dispatch)
	}
	go func() {
		running.Wait()
		close(n.ended)
	}()
	return nil
}

// Close ends the ticks and waits for those that run; when ctx ends first, it
// interrupts them, still waits, and returns ctx's cause. The nodes stay, and can be
// saved. Calling it again is fine, and waits as well.
func (n *Network) Close(ctx context.Context) error {
	n.life.Lock()
	first, started := !n.closed, n.started
	n.closed = true
	n.life.Unlock()
	if first {
		close(n.stop)
	}
	if !started {
		n.cancel(ErrClosed)
		return nil
	}
	defer n.cancel(ErrClosed)
	select {
	case <-n.ended:
		return nil
	case <-ctx.Done():
		n.cancel(ErrClosed)
		<-n.ended
		return context.Cause(ctx)
	}
}

// Stats is a snapshot of a network. Counters count from New.
type Stats struct {
	// Nodes is how many there are, Active how many of them are not stopped, Capacity
	// how many there can be.
	Nodes, Active, Capacity int
	Connections             int
	// Ticks is how often the nodes of a period, or the network, were advanced. A tick
	// is Coalesced if a later one stood for it, and Failed if a task of it failed.
	Ticks, Coalesced, Failed uint64
	// FailedTasks is how many tasks failed: chunks of nodes, or the network, which kept
	// their last state. A chunk that a tick went without, as its task of an earlier one
	// was not back, is among them.
	FailedTasks uint64
	// Lag is from when a tick was due to when the loop began it, and Took from then to
	// when its results were merged.
	Lag, Took host.Histogram
	// NowMS is the network's clock: when the latest tick was due, in ms since the
	// network first started. Lag of a network that goes on counts from when it did.
	NowMS float64
}

// Stats returns a snapshot.
func (n *Network) Stats() Stats {
	n.mu.RLock()
	g := n.graph.Load()
	s := Stats{Nodes: len(g.ids), Active: g.active(), Capacity: n.cfg.Capacity, Connections: g.connections}
	n.mu.RUnlock()
	s.Ticks, s.Coalesced, s.Failed = n.ticks.Load(), n.coalesced.Load(), n.failed.Load()
	s.FailedTasks, s.NowMS = n.tasks.Load(), g.now()
	s.Lag, s.Took = host.Histogram(n.lag.Snapshot()), host.Histogram(n.took.Snapshot())
	return s
}
