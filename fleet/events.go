package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/outage"
)

const (
	// maxEvent is the largest event that is told or read, in bytes.
	maxEvent = 512 << 10
	// eventsHeld and eventBytes are how much a reader holds that nobody has read.
	eventsHeld, eventBytes = 4096, 64 << 20
	// eventHosts is of how many hosts a reader knows which event came last.
	eventHosts = 4096
)

// HostEvent is something that happened in a host of the fleet.
type HostEvent struct {
	// Host is the host's name, and Instance the process.
	Host     string `json:"host"`
	Instance string `json:"instance"`
	// Number counts the events that the process has told, from 1.
	Number uint64 `json:"number"`
	// Missed is how many events of the process, of any kind, did not come between the one that was read before and this one.
	Missed uint64 `json:"missed,omitempty"`

	// Type is the kind with the version of the form of Data, such as plugin.changed.v1: those of [api.Event]. So are Time and Data.
	Type string          `json:"type"`
	Time time.Time       `json:"time"`
	Data json.RawMessage `json:"data"`
}

// teller tells the fleet what happens in a host.
type teller struct {
	from *event.Subscription
	lost atomic.Uint64 // that could not be sent
}

// Tell has the fleet told of what a bus tells from now on: of the kinds that are given, or else of all that do not come with every task, tick or save
// and are no lines of plugins. It is called before Start, once, and ends with Close. An event is sent once, and to who reads just then ([Fleet.Events]);
// one that cannot be sent is counted, and not sent again.
func (m *Member) Tell(bus *event.Bus, of ...event.Kind) {
	if len(of) == 0 {
		of = slices.DeleteFunc(event.Kinds(), func(k event.Kind) bool { return k.Transient() || k == event.KindPluginLogged })
	}
	m.teller = &teller{from: bus.Subscribe(0, of...)}
}

// dropped is how many events were not sent.
func (t *teller) dropped() uint64 {
	if t == nil {
		return 0
	}
	return t.from.Dropped() + t.lost.Load()
}

// tell sends events until the member ends.
func (m *Member) tell() {
	f, t := m.control.fleet, m.teller
	defer t.from.Close()
	var away outage.Outage
	for number := uint64(1); ; number++ {
		e, err := t.from.Next(m.ctx)
		if err != nil {
			return // it is the end
		}
		if err := f.tell(HostEvent{Host: m.name, Instance: m.instance, Number: number}, e); err == nil {
			if lasted, ended := away.End(); ended {
				m.log.Info("events reach the fleet again", "fleet", f.cfg.Fleet, "outage", lasted, "dropped", t.dropped())
			}
			continue
		} else if t.lost.Add(1); away.Begin() {
			m.log.Warn("an event does not reach the fleet, and is dropped", "fleet", f.cfg.Fleet, "kind", e.Body.Kind().String(), "error", err)
		}
	}
}

// tell sends an event.
func (f *Fleet) tell(out HostEvent, e event.Event) error {
	of := api.EventOf(e)
	data, err := json.Marshal(of.Data)
	if err != nil {
		return fmt.Errorf("its data are no JSON: %w", err)
	}
	out.Type, out.Time, out.Data = of.Type, of.Time, data
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	if most := min(maxEvent, f.limit-headerRoom); len(text) > most {
		return fmt.Errorf("it has %d bytes, and %d are the most", len(text), most)
	}
	return f.nc.Publish(f.names.event(e.Body.Kind().String()), text)
}

// EventReader reads what happens in the hosts of a fleet, as it happens. Nothing is kept for who comes later. One goroutine at a time may use it.
type EventReader struct {
	fleet *Fleet
	sub   *nats.Subscription
	last  map[string]uint64 // by process, the number of the event that came last
}

// Events begins to read, also of hosts that join later. Hosts tell what [Member.Tell] says. ctx bounds the beginning, and not the reading,
// which Close ends.
func (f *Fleet) Events(ctx context.Context) (*EventReader, error) {
	sub, err := f.nc.SubscribeSync(f.names.event(">"))
	if err != nil {
		return nil, fmt.Errorf("read events of the fleet: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := errors.Join(sub.SetPendingLimits(eventsHeld, eventBytes), f.nc.FlushWithContext(bounded)); err != nil {
		return nil, errors.Join(fmt.Errorf("read events of the fleet: %w", err), sub.Unsubscribe())
	}
	return &EventReader{fleet: f, sub: sub, last: make(map[string]uint64)}, nil
}

// Next returns the next event. It waits for one until ctx ends. An error that wraps [ErrMalformed] is of a message that is no event: the next
// call reads on. Any other is for good.
func (r *EventReader) Next(ctx context.Context) (HostEvent, error) {
	for {
		msg, err := r.sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrSlowConsumer): // the events that were dropped are missed by the next one
			continue
		case ctx.Err() != nil:
			return HostEvent{}, context.Cause(ctx)
		case err != nil:
			return HostEvent{}, fmt.Errorf("read events of the fleet: %w", err)
		}
		e, err := r.fleet.parseEvent(msg)
		if err != nil {
			return HostEvent{}, err
		}
		if last, known := r.last[e.Instance]; known && e.Number > last {
			e.Missed = e.Number - last - 1
		}
		if len(r.last) >= eventHosts {
			clear(r.last)
		}
		r.last[e.Instance] = e.Number
		return e, nil
	}
}

// parseEvent reads what [Fleet.tell] has sent.
func (f *Fleet) parseEvent(msg *nats.Msg) (e HostEvent, err error) {
	if len(msg.Data) > maxEvent {
		return HostEvent{}, fmt.Errorf("%w: an event of %d bytes, and %d are the most", ErrMalformed, len(msg.Data), maxEvent)
	}
	if err := json.Unmarshal(msg.Data, &e); err != nil {
		return HostEvent{}, fmt.Errorf("%w: an event: %w", ErrMalformed, err)
	}
	kind, versioned := strings.CutSuffix(e.Type, api.EventVersion)
	switch {
	case msg.Subject != f.names.event(kind) || !versioned:
		err = fmt.Errorf("%w: an event of the type %q came to %q", ErrMalformed, foreign.Cut(e.Type), foreign.Cut(msg.Subject))
	case checkHostName(e.Host) != nil || !instanceName.MatchString(e.Instance):
		err = fmt.Errorf("%w: an event of the host %q in the process %q, and these are no names", ErrMalformed, foreign.Cut(e.Host), foreign.Cut(e.Instance))
	case e.Number == 0:
		err = fmt.Errorf("%w: an event of the host %s without a number", ErrMalformed, e.Host)
	}
	e.Missed = 0 // which is the reader's to say
	return e, err
}

// Close ends the reading. Calling it again is fine.
func (r *EventReader) Close() {
	_ = r.sub.Unsubscribe() // else it is closed
}
