package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/state"
)

const (
	// saveTimeout is how long the saving of one network takes at most, and grace how long that of all
	// takes after the context of Close has ended.
	saveTimeout = 10 * time.Second
	grace       = time.Second
)

// saver keeps networks in a store, if there is one.
type saver struct {
	saves, failures prometheus.Counter

	stop func() // ends the saving by the host; nil before Resume
	last sync.Once

	// Service.mu guards these. unserved are networks that are stored and cannot be served, which
	// nothing may take the place of, and deletions are what is to be deleted in the store.
	unserved  map[key]bool
	deletions map[key]*network.Keeper

	// Whoever saves has it: the host, and then Close.
	outage outage.Outage
}

func newSaver() saver {
	return saver{
		saves: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "resonhost_network_saves_total", Help: "Networks that were saved, each time.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "resonhost_network_save_failures_total", Help: "Networks that could not be saved or deleted in the store, each time.",
		}),
		unserved: make(map[key]bool), deletions: make(map[key]*network.Keeper),
	}
}

// meta is what is stored of a network besides its nodes.
type meta struct {
	Created       time.Time     `json:"created"`
	NodePeriod    time.Duration `json:"node_period_ns"`
	NetworkPeriod time.Duration `json:"network_period_ns"`
	// Users are the names of who has used the network and may have it tick.
	Users []string `json:"users,omitempty"`
}

// meta returns what is to be stored.
func (n *served) meta() ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := meta{Created: n.created, NodePeriod: n.nodePeriod, NetworkPeriod: n.networkPeriod}
	for _, who := range n.users {
		if !slices.Contains(m.Users, who.Name()) {
			m.Users = append(m.Users, who.Name())
		}
	}
	if len(m.Users) == 0 {
		m.Users = n.waiting
	}
	return json.Marshal(m)
}

// newKeeper returns what keeps a network, nil without a store.
func (s *Service) newKeeper(k key) (*network.Keeper, error) {
	if s.host.State() == nil {
		return nil, nil //nolint:nilnil // as it says
	}
	cfg := s.keeping()
	cfg.Tenant, cfg.Name = k.tenant, k.id
	return network.NewKeeper(cfg)
}

// keeping is where networks are kept.
func (s *Service) keeping() network.KeeperConfig {
	return network.KeeperConfig{Store: s.host.State(), MaxNodes: s.opts.MaxNodes, MaxConnections: s.opts.MaxConnections}
}

// Resume brings back the networks that the host's store has, and has each save of the host save all of them. They have
// their names, tenants and nodes, and tick if somebody who used them still may. What cannot be read is
// logged and stays in the store. It is to be called once the host is started, before requests come.
// Without a store it does nothing.
func (s *Service) Resume(ctx context.Context) error {
	if s.host.State() == nil {
		return nil
	}
	list, damaged, err := network.Keepers(ctx, s.keeping())
	if err != nil {
		return fmt.Errorf("stored networks: %w", err)
	}
	s.host.NoteUnreadable(state.KindNetwork, damaged)
	if damaged > 0 {
		s.opts.Logger.ErrorContext(ctx, "records of networks cannot be read; they stay as they are, and so does what has no network: restore them from a copy, or delete them with resonhost state rm", "records", damaged)
	}
	for _, keeper := range list {
		k := key{keeper.Tenant(), keeper.Name()}
		switch err := s.resume(ctx, k, keeper); {
		case err == nil:
		case errors.Is(err, state.ErrNotFound) && damaged == 0:
			s.deletions[k] = keeper // what a crash has left of one that was deleted, or never was whole
		case isOfRecord(err):
			s.unserved[k] = true
			s.opts.Logger.ErrorContext(ctx, "a stored network is not served; it stays as it is", "network", k.id, "tenant", k.tenant, "error", err)
		default:
			return fmt.Errorf("stored networks: %w", err)
		}
	}
	s.stop = s.host.OnSave(s.save)
	return nil
}

// errUnserved is wrapped by the error of a network that was read and is not to be served.
var errUnserved = errors.New("the stored network cannot be served")

// isOfRecord reports whether an error is about a network, and not the store's.
func isOfRecord(err error) bool {
	return errors.As(err, new(*state.RecordError)) || errors.Is(err, network.ErrFull) || errors.Is(err, state.ErrNotFound) || errors.Is(err, errUnserved)
}

// resume brings a network back.
func (s *Service) resume(ctx context.Context, k key, keeper *network.Keeper) error {
	kept, err := keeper.Load(ctx)
	if err != nil {
		return err
	}
	var m meta
	if err := json.Unmarshal(kept.Meta, &m); err != nil {
		return fmt.Errorf("%w: what is stored with it: %w", errUnserved, err)
	}
	if err := checkID(k.id); err != nil || k.id == "" {
		return fmt.Errorf("%w: its name is none that a network may have here", errUnserved)
	}
	if len(s.networks) >= s.opts.MaxNetworks {
		return fmt.Errorf("%w: there are %d networks already (MaxNetworks, --max-networks)", errUnserved, len(s.networks))
	}
	n := &served{id: k.id, created: m.Created, bus: event.New(history), keeper: keeper, nodePeriod: m.NodePeriod, networkPeriod: m.NetworkPeriod}
	if err := s.open(k, n); err != nil {
		return fmt.Errorf("%w: %w", errUnserved, err)
	}
	if err := n.Network.Resume(kept.Snapshot, kept.At); err != nil {
		return fmt.Errorf("%w: %w", errUnserved, err)
	}
	n.waiting = m.Users[:min(len(m.Users), maxUsers)]
	s.recognize(k.tenant, n)
	s.mu.Lock()
	s.networks[k] = n
	s.mu.Unlock()
	if err := s.begin(k, n); err != nil {
		s.opts.Logger.WarnContext(ctx, "a stored network does not tick yet", "network", k.id, "tenant", k.tenant, "error", err)
	}
	return nil
}

// recognize finds who had used a network before, if they may still have it tick.
func (s *Service) recognize(tenant string, n *served) {
	if s.opts.Principals == nil {
		n.use(auth.Of(context.Background()))
		return
	}
	for _, name := range n.waiting {
		for _, who := range s.opts.Principals(name) {
			if g := who.Grant(); g.AnyTenant || g.Tenant == tenant {
				n.use(who)
			}
		}
	}
}

// saved is a network that is to be saved, or deleted if it is none.
type saved struct {
	key    key
	of     *served
	keeper *network.Keeper
}

// due are what is to be saved or deleted.
func (s *Service) due() (list []saved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, keeper := range s.deletions {
		list = append(list, saved{k, nil, keeper})
	}
	for k, n := range s.networks {
		list = append(list, saved{k, n, n.keeper})
	}
	return list
}

// save saves all networks as they are, and deletes what is to be deleted.
func (s *Service) save(ctx context.Context) error {
	var errs []error
	for _, due := range s.due() {
		if due.of != nil {
			_ = s.begin(due.key, due.of) // which the plugin may be there for by now
		}
		if err := s.saveOne(ctx, due); err != nil {
			if ctx.Err() != nil {
				return errors.Join(append(errs, err)...) // whoever has ended it knows that, and tells it
			}
			s.failures.Inc()
			errs = append(errs, err)
			if f := state.FaultOf(err); f == state.FaultUnavailable || f == state.FaultTimeout || f == state.FaultCancelled {
				break // the others would wait for the same
			}
		}
	}
	err := errors.Join(errs...)
	switch {
	case err == nil:
		if lasted, ended := s.outage.End(); ended {
			s.opts.Logger.InfoContext(ctx, "networks are saved again", "outage", lasted)
		}
	case s.outage.Begin():
		s.opts.Logger.ErrorContext(ctx, "networks are not saved; they are tried again", "error", errs[0])
	}
	return err
}

func (s *Service) saveOne(ctx context.Context, due saved) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	s.mu.Lock()
	current := due.of == nil && s.deletions[due.key] == due.keeper || due.of != nil && s.networks[due.key] == due.of
	s.mu.Unlock()
	switch {
	case !current:
		return nil
	case due.of == nil:
		err := due.keeper.Delete(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil && s.deletions[due.key] == due.keeper {
			delete(s.deletions, due.key)
		}
		return err
	}
	m, err := due.of.meta()
	if err == nil {
		err = due.keeper.Save(ctx, due.of.Network, m)
	}
	if err == nil {
		s.saves.Inc()
	}
	return err
}

// saveLast saves all networks, which have ended, and ends the saving. Called again it does nothing.
func (s *Service) saveLast(ctx context.Context) (err error) {
	s.last.Do(func() {
		if s.stop == nil {
			return
		}
		s.stop()
		ctx, cancel := patience(ctx)
		defer cancel()
		err = s.save(ctx)
	})
	return err
}

// patience returns a context that outlives ctx by the grace.
func patience(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}
