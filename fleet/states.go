package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
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

// slowest is how many bytes of states a server takes in a second at least.
const slowest = 1 << 20

// forEver is the age of a message that is not to expire.
const forEver = "never"

// errFenced is why a frame is left whose states another host has stored meanwhile.
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

	fence uint64 // the number of the owner's message when known was read; 0 before
	known map[state.Key]known
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
func (s *states) forget() { s.fence, s.known, s.bytes = 0, make(map[state.Key]known), 0 }

func (s *states) keep(key state.Key, k known) {
	s.bytes += len(k.record.Data) - len(s.known[key].record.Data)
	s.known[key] = k
}

// of returns the states of streams, in the order of the keys, as they are stored.
func (s *states) of(ctx context.Context, keys []state.Key) ([]known, error) {
	if len(s.known)+len(keys) > maxKnown || s.bytes > maxKnownBytes {
		s.forget()
	}
	for behind := 0; ; {
		read, err := s.read(ctx, keys)
		if err != nil {
			return nil, fmt.Errorf("%w: read states of partition %d: %w", state.ErrUnavailable, s.partition, err)
		}
		switch {
		case read.fence == s.fence || len(s.known) == 0 && read.fence > s.fence:
			s.fence = read.fence
			for key, k := range read.states {
				s.keep(key, k)
			}
			list := make([]known, len(keys))
			for i, key := range keys {
				list[i] = s.known[key]
			}
			return list, nil
		case read.fence < s.fence && behind < lagging: // it is of a server that does not have all yet
			behind++
			if err := wait.For(ctx, 100*time.Millisecond); err != nil {
				return nil, err
			}
		default:
			s.forget()
		}
	}
}

// reading is what was read: the owner's number, and states that were not known.
type reading struct {
	fence  uint64
	states map[state.Key]known
}

// read reads those states that are not known. What a server returns is of one moment: all that was stored
// before the message of the owner is in it.
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
	err = again(ctx, func(ctx context.Context) error {
		r = reading{states: make(map[state.Key]known)}
		for _, key := range of {
			r.states[key] = known{record: state.Record{Key: key}}
		}
		messages, err := jetstreamext.GetLastMsgsFor(ctx, s.fleet.js, s.fleet.names.results, subjects)
		if err != nil {
			return err
		}
		for msg, err := range messages {
			switch {
			case errors.Is(err, jetstreamext.ErrNoMessages):
				return nil
			case err != nil:
				return err
			case msg.Subject == owner:
				r.fence = msg.Sequence
			default:
				if key, ok := of[msg.Subject]; ok {
					record, err := s.codec.Decode(key, msg.Data)
					r.states[key] = known{record, err}
				}
			}
		}
		return nil
	})
	return r, err
}

// publish publishes a frame's answer and what the frame has left as states, in one step, and reports whether the answer was the first.
// The error is errFenced if another host has stored states since they were read: then neither is stored. A frame that has changed no
// state has its answer held to that too, as it may have read what no longer was.
func (s *states) publish(ctx context.Context, answer *nats.Msg, left []state.Record) (first bool, err error) {
	stored, timeout := uint64(0), callTimeout
	for i := range left {
		timeout += time.Duration(len(left[i].Data)) * time.Second / slowest
	}
	err = s.fleet.whenRoom(ctx, answer.Subject, timeout, func(ctx context.Context) (err error) {
		stored, err = s.store(ctx, answer, left)
		return err
	})
	if err == nil {
		for i := range left {
			s.keep(left[i].Key, known{record: left[i]})
		}
		s.fence = stored
		return true, nil
	}
	s.forget() // one that was not acknowledged may be stored nevertheless
	if codeOf(err) != errThere {
		return false, err
	}
	_, err = s.fleet.result(ctx, answer.Subject, false)
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return false, errFenced
	}
	return false, err
}

// store tries once to publish all. It returns the number of the owner's message.
func (s *states) store(ctx context.Context, answer *nats.Msg, left []state.Record) (uint64, error) {
	batch, err := jetstreamext.NewBatchPublisher(s.fleet.js, jetstreamext.BatchFlowControl{})
	if err != nil {
		return 0, err
	}
	done := false
	defer func() {
		if !done {
			_ = batch.Discard() // the server lets go of it by itself as well
		}
	}()
	first := &nats.Msg{Subject: answer.Subject, Data: answer.Data, Header: nats.Header{}}
	for name, values := range answer.Header {
		first.Header[name] = values
	}
	first.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
	if err := batch.AddMsg(first); err != nil {
		return 0, err
	}
	for i := range left {
		data, err := s.codec.Append(nil, &left[i])
		if err != nil {
			return 0, err
		}
		if err := batch.AddMsg(s.message(s.fleet.names.state(s.partition, left[i].Key), data)); err != nil {
			return 0, err
		}
	}
	last := s.message(s.fleet.names.owner(s.partition), []byte(s.fleet.cfg.Name))
	last.Header.Set(jetstream.MsgTTLHeader, forEver)
	last.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(s.fence, 10))
	done = true
	ack, err := batch.CommitMsg(ctx, last)
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
