package wasi

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// Subscriptions and events, which poll_oneoff makes of those that come true.
const (
	// maxSubscriptions is how many a call may have. A runtime has one to sleep, and
	// one for either direction of a stream at most.
	maxSubscriptions = 64
	// subscriptionSize is the size of a subscription in bytes: at 0 user data
	// (u64), at 8 the type (u8), at 16 a descriptor (u32) or else a clock (u32), at
	// 24 its timeout (u64), at 32 a precision (u64), at 40 flags (u16).
	subscriptionSize = 48
	// eventSize is the size of an event in bytes: at 0 user data (u64), at 8 an
	// errno (u16), at 10 the type (u8), and for descriptors at 16 how many bytes
	// can be read or written (u64), at 24 flags (u16).
	eventSize = 32

	flagAbsolute = 1 // of a clock: the timeout is no duration, but a time
	flagHangup   = 1 // of a stream: nothing follows
)

// eventType is what a subscription waits for.
type eventType uint8

// Types of event.
const (
	eventClock eventType = 0
	eventRead  eventType = 1
	eventWrite eventType = 2
)

// event is a subscription, and what will come true of it.
type event struct {
	userdata uint64
	after    time.Duration // how long it takes, not negative
	nbytes   uint64
	flags    uint16
	errno    errno
	typ      eventType
}

// subscribe reads a subscription. It is false if nothing can be made of it.
// Those that will never come true do at once, with an errno.
func (s *System) subscribe(sub []byte) (event, bool) {
	e := event{userdata: binary.LittleEndian.Uint64(sub), typ: eventType(sub[8])}
	subject := binary.LittleEndian.Uint32(sub[16:])
	switch e.typ {
	case eventClock:
		timeout, flags := binary.LittleEndian.Uint64(sub[24:]), binary.LittleEndian.Uint16(sub[40:])
		id := clockID(subject)
		if !id.known() || flags&^flagAbsolute != 0 {
			e.errno = einval
			break
		}
		e.after = time.Duration(min(timeout, math.MaxInt64))
		if flags&flagAbsolute != 0 {
			e.after = max(e.after-time.Duration(s.time(id)), 0)
		}
	case eventRead:
		switch e.nbytes = uint64(len(s.Input)); {
		case subject != stdin:
			e.errno = ebadf
		case e.nbytes == 0:
			e.flags = flagHangup // the end of the standard input
		}
	case eventWrite:
		e.nbytes = chunk
		if subject != stdout && subject != stderr {
			e.errno = ebadf
		}
	default:
		return event{}, false
	}
	return e, true
}

// put writes an event.
func (e *event) put(b []byte) {
	clear(b[:eventSize])
	binary.LittleEndian.PutUint64(b, e.userdata)
	binary.LittleEndian.PutUint16(b[8:], uint16(e.errno))
	b[10] = byte(e.typ)
	if e.errno == success {
		binary.LittleEndian.PutUint64(b[16:], e.nbytes)
		binary.LittleEndian.PutUint16(b[24:], e.flags)
	}
}

// pollOneoff lets pass as much time as the first subscription takes to come true,
// and writes the events of all that have by then.
func pollOneoff(ctx context.Context, s *System, mod api.Module, stack []uint64) errno {
	count := api.DecodeU32(stack[2])
	if count == 0 || count > maxSubscriptions {
		return einval
	}
	mem := mod.Memory()
	in, okIn := mem.Read(api.DecodeU32(stack[0]), count*subscriptionSize)
	out, okOut := mem.Read(api.DecodeU32(stack[1]), count*eventSize)
	nevents, ok := mem.Read(api.DecodeU32(stack[3]), 4)
	if !okIn || !okOut || !ok {
		return efault
	}
	s.charge(len(in) + len(out))
	// Read before any is written, since out may lie upon in.
	var room [maxSubscriptions]event
	events := room[:count]
	wait := time.Duration(math.MaxInt64)
	for i := range events {
		e, ok := s.subscribe(in[i*subscriptionSize:][:subscriptionSize])
		if !ok {
			return einval
		}
		events[i] = e
		wait = min(wait, e.after)
	}
	s.sleep(ctx, wait)
	n := 0
	for i := range events {
		if events[i].after <= wait {
			events[i].put(out[n*eventSize:])
			n++
		}
	}
	binary.LittleEndian.PutUint32(nevents, uint32(n))
	return success
}
