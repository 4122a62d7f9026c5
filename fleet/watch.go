package fleet

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/internal/wait"
)

// follow follows a part of what is wanted until the member ends. once does so for a while, and calls heard when it has all that is there.
func (m *Member) follow(what string, once func(heard func()) error) {
	var away outage.Outage
	for m.ctx.Err() == nil {
		err := once(func() { m.readAgain(&away, what) })
		if err != nil && m.ctx.Err() == nil {
			m.readFailed(&away, what, err)
			_ = wait.For(m.ctx, reconnectWait)
		}
	}
}

// readFailed counts that something of the fleet could not be read. The log is told once, until it can be.
func (m *Member) readFailed(away *outage.Outage, what string, err error) {
	m.counts.readsFailed.Add(1)
	if away.Begin() {
		m.log.Warn(what+" cannot be read; it is tried again", "fleet", m.control.fleet.cfg.Fleet, "error", err)
	}
}

func (m *Member) readAgain(away *outage.Outage, what string) {
	if lasted, ended := away.End(); ended {
		m.log.Info(what+" is read again", "fleet", m.control.fleet.cfg.Fleet, "outage", lasted)
	}
}

// watch follows keys of the bucket of what is wanted for a while. changed is called with all that is there, and after each change.
func (m *Member) watch(keys string, heard func(), tick <-chan time.Time, changed func(all map[string]jetstream.KeyValueEntry)) error {
	ctx, cancel := context.WithTimeout(m.ctx, rewatch)
	defer cancel()
	w, err := m.control.wanted.Watch(ctx, keys)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	whole, all := false, make(map[string]jetstream.KeyValueEntry)
	for {
		select {
		case <-ctx.Done():
			if !whole {
				return context.Cause(ctx)
			}
			return nil
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return cmp.Or(context.Cause(ctx), nats.ErrConnectionClosed)
			case e == nil:
				whole = true
				heard()
			case e.Operation() == jetstream.KeyValuePut:
				all[e.Key()] = e
			default:
				delete(all, e.Key())
			}
			if !whole || len(w.Updates()) > 0 {
				continue
			}
		case <-tick:
			if !whole {
				continue
			}
		}
		changed(all)
	}
}

// followWanted follows all that is wanted.
func (m *Member) followWanted() {
	tick := time.NewTicker(min(time.Second, m.control.BeatEvery()))
	defer tick.Stop()
	m.follow("what the fleet wants", func(heard func()) error {
		return m.watch(">", heard, tick.C, func(all map[string]jetstream.KeyValueEntry) {
			m.entries = all
			m.look(true)
		})
	})
}

// followDrain follows whether the host is to take no frames, also while a release is deployed.
func (m *Member) followDrain() {
	key := drainKeyOf(m.name)
	m.follow("whether the host is drained", func(heard func()) error {
		return m.watch(key, heard, nil, func(all map[string]jetstream.KeyValueEntry) { m.drain(all[key] != nil) })
	})
}

// drain has the host take no frames, or take them again, and tells others at once.
func (m *Member) drain(drained bool) {
	if drained == m.worker.Draining() {
		return
	}
	m.worker.SetDraining(drained)
	select {
	case m.news <- struct{}{}:
	default:
	}
}
