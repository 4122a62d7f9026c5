package fleet

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
)

// A frame is a head of 28 bytes and a body. All numbers are little-endian.
//
//	 0  2  magic, "RF"
//	 2  1  version, 1
//	 3  1  priority
//	 4  8  deadline, in milliseconds since 1970, or 0 for none
//	12 12  0, for what a later version has to say
//	24  4  how many tasks
//
// The body has the transform, the tenant and the media type, and of each task the key of its stream, "" for none, and its
// input. Each has its length before it, as 4 bytes.
const (
	frameMagic   = "RF"
	frameVersion = 1
	frameHead    = 28
)

// reserved are the bytes of a head that must be 0.
var reserved [12]byte

// Bounds of a frame.
const (
	// MaxTasks is how many tasks share a message.
	MaxTasks = 64

	maxTransform = 256
	maxMediaType = 256
	maxName      = 256
	// maxDeadline is in milliseconds since 1970. Beyond it a time is none in nanoseconds.
	maxDeadline = math.MaxInt64 / 1_000_000
)

// ErrMalformed is in the error of a message that is no frame, or no answer, or has bytes too many or too few.
var ErrMalformed = errors.New("malformed")

// Frame is what a message carries to a host: tasks that have all but their inputs and streams in common.
type Frame struct {
	// Transform is the name of what does the tasks.
	Transform string
	// Tenant is on whose behalf; "" for nobody's.
	Tenant   string
	Priority host.Priority
	// MediaType is of the inputs, and outputs; "" for those of the transform. With another, which package codec
	// has to know, hosts translate.
	MediaType string
	// Deadline is until when the answer is wanted, to a millisecond, after 1970 and before 2262; zero for ever. A task that is not done by then is given up.
	Deadline time.Time
	// Tasks are 1 to MaxTasks. Their streams are of one partition.
	Tasks []Task
	// At is where the tasks were in the list of which [Client.Frames] made the frame. It is not sent.
	At []int
}

// Task is one task of a frame.
type Task struct {
	// Stream is the key of its stream, at most [host.MaxStreamKey] bytes; "" for none.
	Stream string
	Input  []byte
}

// Append appends the frame's stored form to b. Its error is an [*abi.FieldError].
func (f *Frame) Append(b []byte) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	b = append(b, frameMagic...)
	b = append(b, frameVersion, byte(f.Priority))
	deadline := uint64(0)
	if !f.Deadline.IsZero() {
		deadline = uint64(f.Deadline.UnixMilli())
	}
	b = binary.LittleEndian.AppendUint64(b, deadline)
	b = append(b, reserved[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Tasks)))
	b = appendText(b, f.Transform)
	b = appendText(b, f.Tenant)
	b = appendText(b, f.MediaType)
	for i := range f.Tasks {
		b = appendText(b, f.Tasks[i].Stream)
		b = appendText(b, f.Tasks[i].Input)
	}
	return b, nil
}

// size returns how many bytes a task takes in a frame.
func (t *Task) size() int { return 8 + len(t.Stream) + len(t.Input) }

// size returns how many bytes the frame takes without its tasks.
func (f *Frame) size() int {
	return frameHead + 12 + len(f.Transform) + len(f.Tenant) + len(f.MediaType)
}

// check returns the first thing that is wrong with a frame.
func (f *Frame) check() error {
	bad := func(field, rule string, args ...any) error {
		return &abi.FieldError{Field: field, Rule: fmt.Sprintf(rule, args...)}
	}
	switch {
	case f.Transform == "" || len(f.Transform) > maxTransform || !printable(f.Transform):
		return bad("Transform", "must be 1 to %d bytes of text without control characters", maxTransform)
	case len(f.Tenant) > host.MaxTenant || !printable(f.Tenant):
		return bad("Tenant", "must be at most %d bytes of text without control characters", host.MaxTenant)
	case len(f.MediaType) > maxMediaType || !printable(f.MediaType):
		return bad("MediaType", "must be at most %d bytes of text without control characters", maxMediaType)
	case f.Priority < host.PriorityNormal || f.Priority > host.PriorityBulk:
		return bad("Priority", "must be host.PriorityNormal, PriorityUrgent or PriorityBulk, is %d", f.Priority)
	case !f.Deadline.IsZero() && (f.Deadline.UnixMilli() <= 0 || f.Deadline.UnixMilli() > maxDeadline):
		return bad("Deadline", "must be after 1970 and before 2262")
	case len(f.Tasks) == 0 || len(f.Tasks) > MaxTasks:
		return bad("Tasks", "must be 1 to %d, are %d", MaxTasks, len(f.Tasks))
	}
	for i := range f.Tasks {
		switch t := &f.Tasks[i]; {
		case len(t.Stream) > host.MaxStreamKey:
			return bad(fmt.Sprintf("Tasks[%d].Stream", i), "must have at most %d bytes", host.MaxStreamKey)
		case uint64(len(t.Input)) > math.MaxUint32:
			return bad(fmt.Sprintf("Tasks[%d].Input", i), "must have less than 4 GiB")
		}
	}
	return nil
}

// ParseFrame reads what [Frame.Append] has written, and nothing else. Inputs share b's memory. Its error wraps [ErrMalformed].
func ParseFrame(b []byte) (*Frame, error) {
	if err := checkHead(b, "frame", frameMagic, frameVersion, frameHead); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(b[24:])
	if [12]byte(b[12:24]) != reserved {
		return nil, fmt.Errorf("%w: the frame has bytes in its head that this program does not know", ErrMalformed)
	}
	if n == 0 || n > MaxTasks {
		return nil, fmt.Errorf("%w: the frame has %d tasks, and 1 to %d are allowed", ErrMalformed, n, MaxTasks)
	}
	f := &Frame{Priority: host.Priority(b[3])}
	if ms := binary.LittleEndian.Uint64(b[4:]); ms > 0 {
		f.Deadline = time.UnixMilli(int64(min(ms, maxDeadline+1))) // which check refuses
	}
	r := reader{rest: b[frameHead:]}
	f.Transform, f.Tenant, f.MediaType = string(r.bytes()), string(r.bytes()), string(r.bytes())
	f.Tasks = make([]Task, n)
	for i := range f.Tasks {
		f.Tasks[i].Stream = string(r.bytes())
		f.Tasks[i].Input = r.bytes()
	}
	if err := r.end("frame"); err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return f, nil
}

// Digest tells frames apart that have the same ID by mistake: it is of all but the deadline and what the head has room for,
// with which a frame may come again.
type Digest [16]byte

// digest is that of a frame in its stored form.
func digest(b []byte) (d Digest) {
	h := sha256.New()
	h.Write(b[2:4])
	h.Write(b[24:])
	copy(d[:], h.Sum(nil))
	return d
}

// checkHead returns an error unless a message begins as it must.
func checkHead(b []byte, what, magic string, version byte, head int) error {
	switch {
	case len(b) < head || string(b[:2]) != magic:
		return fmt.Errorf("%w: it is no %s", ErrMalformed, what)
	case b[2] != version:
		return fmt.Errorf("%w: the %s is of version %d, and this program knows version %d", ErrMalformed, what, b[2], version)
	}
	return nil
}

// reader reads texts that have their lengths before them.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes() []byte {
	if r.bad || len(r.rest) < 4 || uint64(binary.LittleEndian.Uint32(r.rest)) > uint64(len(r.rest)-4) {
		r.bad = true
		return nil
	}
	n := int(binary.LittleEndian.Uint32(r.rest))
	b := r.rest[4 : 4+n : 4+n]
	r.rest = r.rest[4+n:]
	return b
}

// byte reads one byte.
func (r *reader) byte() byte {
	if r.bad || len(r.rest) == 0 {
		r.bad = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// end returns an error unless all was read, and there was enough.
func (r *reader) end(what string) error {
	switch {
	case r.bad:
		return fmt.Errorf("%w: the %s is cut off", ErrMalformed, what)
	case len(r.rest) > 0:
		return fmt.Errorf("%w: the %s has %d bytes behind its end", ErrMalformed, what, len(r.rest))
	}
	return nil
}

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...)
}
