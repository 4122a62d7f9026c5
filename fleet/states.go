package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/resonhost/resonhost/internal/wait"
	"github.com/resonhost/resonhost/state"
)

// Bounds of the states that a host remembers of a partition. Beyond them it forgets all, and reads anew what it needs.
const (
	maxKnown      = 4096
	maxKnownBytes = 16 << 20
)

// slowest is how many bytes of states a server takes in a second at least, and slowRead how long it takes at most to send one.
const (
	slowest  = 1 << 20
	slowRead = 50 * time.Millisecond
)

// forEver is the age of a message that is not to expire.
const forEver = "never"

// errFenced is why a frame is done anew whose states another host has stored meanwhile.
var errFenced = errors.New("another host has stored states of the partition meanwhile: what came of the frame here does not count")

// states are those of a partition's streams, which lie in the stream of answers. A host stores what a frame leaves with the frame's
// answer, in one step and on the condition that nobody has stored states of the partition since it read them. So a host that
// is slow, or cut off, stores neither. The number of the message of the partition's owner is what fences it off.
//
// One goroutine uses it.
type states struct {
	fleet     *Fleet
	partition int
	codec     state.Codec
	age       time.Duration // of a state after its last change; 0 for ever

	least uint64 // a message that the stream has for certain: a server that does not have it yet is behind
	fence stored // the owner's message when known was read, without its data; zero before
	known map[state.Key]state.Record
	bytes int // of known
}

// known is what is stored of a stream.
type known struct {
	record state.Record
	err    error // why it cannot be read
}

func (f *Fleet) newStates(partition int, codec state.Codec, age time.Duration) *states {
	s := &states{fleet: f, partition: partition, codec: codec, age: age}
	s.forget()
	return s
}

// forget has all be read anew.
func (s *states) forget() { s.fence, s.known, s.bytes = stored{}, make(map[state.Key]state.Record), 0 }

func (s *states) keep(r state.Record) {
	s.bytes += len(r.Data) - len(s.known[r.Key].Data)
	s.known[r.Key] = r
}

// ease forgets all if that is more than a host is to remember.
func (s *states) ease() {
	if len(s.known) > maxKnown || s.bytes > maxKnownBytes {
		s.forget()
	}
}

// expire forgets states of keys that the server may have forgotten.
func (s *states) expire(keys []state.Key) {
	for _, key := range keys {
		if r, ok := s.known[key]; ok && s.age > 0 && len(r.Data) > 0 && time.Since(r.Changed) >= s.age {
			s.bytes -= len(r.Data)
			delete(s.known, key)
		}
	}
}

// of returns the states of streams, in the order of the keys, as they are stored.
func (s *states) of(ctx context.Context, keys []state.Key) ([]known, error) {
	s.expire(keys)
	for {
		read, err := s.read(ctx, keys)
		if err != nil {
			return nil, fmt.Errorf("%w: read states of partition %d: %w", state.ErrUnavailable, s.partition, err)
		}
		if !read.fence.is(s.fence) && len(s.known) > 0 {
			s.forget() // others have stored some since
			continue
		}
		s.fence = read.fence
		list := make([]known, len(keys))
		for i, key := range keys {
			k, ok := read.states[key]
			switch {
			case !ok:
				k = known{record: s.known[key]}
			case k.err == nil:
				s.keep(k.record)
			}
			list[i] = k
		}
		return list, nil
	}
}

// is reports whether it is the same message. The time of one that this host has stored is not known.
func (m stored) is(other stored) bool {
	return m.sequence == other.sequence && (other.at.IsZero() || m.at.Equal(other.at))
}

// reading is what was read: the owner's message, and states that were not known.
type reading struct {
	fence  stored
	states map[state.Key]known
}

// read reads those states that are not known.
func (s *states) read(ctx context.Context, keys []state.Key) (r reading, err error) {
	owner := s.fleet.names.owner(s.partition)
	subjects, of := []string{owner}, make(map[string]state.Key)
	for _, key := range keys {
		subject := s.fleet.names.state(s.partition, key)
		if _, ok := s.known[key]; !ok && of[subject] == (state.Key{}) {
			of[subject] = key
			subjects = append(subjects, subject)
		}
	}
	l, err := s.latest(ctx, subjects)
	if err != nil {
		return r, err
	}
	r = reading{fence: l.messages[owner], states: make(map[state.Key]known)}
	r.fence.data = nil
	for subject, key := range of {
		msg, ok := l.messages[subject]
		if !ok {
			r.states[key] = known{record: state.Record{Key: key}}
			continue
		}
		record, err := s.codec.Decode(key, msg.data)
		r.states[key] = known{record, err}
	}
	return r, nil
}

// latest is [Fleet.latest] of a server that has what the stream has for certain.
func (s *states) latest(ctx context.Context, subjects []string) (l *latest, err error) {
	for behind := 0; ; behind++ {
		err = s.fleet.againFor(ctx, callTimeout+time.Duration(len(subjects))*slowRead, func(ctx context.Context) (err error) {
			l, err = s.fleet.latest(ctx, subjects)
			return err
		})
		if err != nil {
			return nil, err
		}
		if l.upTo >= s.least {
			return l, nil
		}
		if behind == lagging { // the stream was made anew
			s.least = 0
			s.forget()
			return l, nil
		}
		if err := wait.For(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// publish publishes a frame's answer and what the frame has left as states, in one step, and reports whether the answer was the first.
// The error is errFenced if another host has stored states since they were read: then neither is stored. A frame that has changed no
// state has its answer held to that too, as it may have read what no longer was.
func (s *states) publish(ctx context.Context, answer *nats.Msg, left []state.Record) (first bool, err error) {
	sequence, timeout := uint64(0), callTimeout
	for i := range left {
		timeout += time.Duration(len(left[i].Data)) * time.Second / slowest
	}
	err = s.fleet.whenRoom(ctx, answer.Subject, timeout, func(ctx context.Context) (err error) {
		sequence, err = s.store(ctx, answer, left)
		return err
	})
	if err == nil {
		for i := range left {
			s.keep(left[i])
		}
		// When it came is not known: the next reading is taken as it is, if it has this number.
		s.least, s.fence = sequence, stored{sequence: sequence}
		s.ease()
		return true, nil
	}
	s.forget() // one that was not acknowledged may be stored nevertheless
	if codeOf(err) != errThere {
		return false, err
	}
	if n := lastSequence(err); n > s.least {
		s.least = n
	}
	l, err := s.latest(ctx, []string{answer.Subject, s.fleet.names.owner(s.partition)})
	if err != nil {
		return false, err
	}
	if _, ok := l.messages[answer.Subject]; ok {
		return false, nil
	}
	return false, errFenced
}

// lastSequence is the number that a server's refusal names: that of the message which is there. 0 if it names none.
func lastSequence(err error) uint64 {
	e := (*jetstream.APIError)(nil)
	if !errors.As(err, &e) {
		return 0
	}
	_, text, _ := strings.Cut(e.Description, ": ")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// store tries once to publish all. It returns the number of the owner's message.
func (s *states) store(ctx context.Context, answer *nats.Msg, left []state.Record) (uint64, error) {
	first := &nats.Msg{Subject: answer.Subject, Data: answer.Data, Header: maps.Clone(answer.Header)}
	first.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	batch := []*nats.Msg{first}
	for i := range left {
		data, err := s.codec.Append(nil, &left[i])
		if err != nil {
			return 0, err
		}
		batch = append(batch, s.message(s.fleet.names.state(s.partition, left[i].Key), data))
	}
	last := s.message(s.fleet.names.owner(s.partition), []byte(s.fleet.cfg.Name))
	last.Header.Set(jetstream.MsgTTLHeader, forEver)
	last.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(s.fence.sequence, 10))
	ack, err := jetstreamext.PublishMsgBatch(ctx, s.fleet.js, append(batch, last), jetstreamext.BatchFlowControl{})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// message returns a message that is kept for as long as a state is.
func (s *states) message(subject string, data []byte) *nats.Msg {
	age := forEver
	if s.age > 0 {
		age = max(s.age.Round(time.Second), time.Second).String()
	}
	return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{jetstream.MsgTTLHeader: {age}}}
}

// same reports whether a state need not be stored in place of the one before. What stays the same is stored again now and then, or it
// would expire.
func (s *states) same(r, before *state.Record) bool {
	if len(r.Data) == 0 || !bytes.Equal(r.Data, before.Data) {
		return len(r.Data) == len(before.Data) && len(r.Data) == 0
	}
	return r.Format == before.Format && (s.age == 0 || r.Changed.Sub(before.Changed) < s.age/4)
}

// fits reports whether a message has room for a state.
func (s *states) fits(r *state.Record) bool {
	return s.codec.Stored(len(r.Data)) <= s.fleet.limit-headerRoom && len(r.Data) <= state.MaxData
}

// stateName is what the subject of a stream's state ends with. The record itself says of which key it is.
func stateName(key state.Key) string {
	sum := sha256.Sum256(state.AppendKey(nil, key))
	return hex.EncodeToString(sum[:16])
}
