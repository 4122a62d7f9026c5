package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/resonhost/resonhost/internal/wait"
)

// headerRoom is how many bytes of a message are left for headers.
const headerRoom = 4 << 10

// Errors of JetStream that tell what became of a message, or of a stream.
const (
	errFull     = 10077 // the stream has no room
	errThere    = 10071 // the subject has a message already
	errUnderWay = 10164 // another message of the subject is being stored
	errSameID   = 10158 // another message of the ID is being stored
	errNoRoom   = 10047 // the server has no room for a stream
	errNoPeers  = 10005 // no server can have a stream
)

// ErrFull is in the error of a frame for which the fleet has no room.
var ErrFull = errors.New("the stream of the fleet is full")

// codeOf is the code of a server's error, 0 of others.
func codeOf(err error) jetstream.ErrorCode {
	if e := (*jetstream.APIError)(nil); errors.As(err, &e) {
		return e.ErrorCode
	}
	return 0
}

// changed reports whether an entry was not stored since it has changed.
func changed(err error) bool {
	code := codeOf(err)
	return code == errThere || code == errUnderWay || errors.Is(err, jetstream.ErrKeyExists)
}

// passes reports whether an error may be none if the same is done again.
func passes(err error) bool {
	switch codeOf(err) {
	case errUnderWay, errSameID, jetstreamext.JSErrCodeBatchPublishIncomplete,
		jetstreamext.JSErrCodeAtomicPublishTooManyInflight, jetstreamext.JSErrCodeBatchPublishTooManyInflight:
		return true
	case 0:
		for _, e := range []error{
			context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrReconnectBufExceeded,
			nats.ErrConnectionReconnecting, jetstream.ErrNoStreamResponse, nats.ErrNoStreamResponse, nats.ErrStaleConnection,
		} {
			if errors.Is(err, e) {
				return true
			}
		}
		return broken(err)
	}
	e := (*jetstream.APIError)(nil)
	return errors.As(err, &e) && e.Code == 503 && codeOf(err) != errFull // a server that has no leader, say
}

// broken reports whether an error is of a connection that broke: what fills the buffer of a connection is written at once, and its
// error is the network's own.
func broken(err error) bool {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// again does something until it does not fail in a way that passes, or the context ends.
func (f *Fleet) again(ctx context.Context, do func(ctx context.Context) error) error {
	return f.againFor(ctx, callTimeout, do)
}

// againFor is again for what may take longer each time.
func (f *Fleet) againFor(ctx context.Context, timeout time.Duration, do func(ctx context.Context) error) error {
	began := time.Now()
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		try, cancel := context.WithTimeout(ctx, timeout)
		err := do(try)
		cancel()
		if err == nil || !passes(err) {
			return err
		}
		f.unheard(time.Since(began), err)
		if wait.For(ctx, delay) != nil {
			return err
		}
	}
}

// publishOnce publishes a message on a subject that has none, and reports whether it was the first. It waits for room in the stream.
func (f *Fleet) publishOnce(ctx context.Context, msg *nats.Msg) (first bool, err error) {
	err = f.whenRoom(ctx, msg.Subject, callTimeout, func(ctx context.Context) error {
		_, err := f.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithRetryAttempts(0))
		return err
	})
	if codeOf(err) == errThere {
		return false, nil
	}
	return err == nil, err
}

// whenRoom has something be published that has a subject, once the stream has room for it. Each try has a timeout.
func (f *Fleet) whenRoom(ctx context.Context, subject string, timeout time.Duration, publish func(ctx context.Context) error) error {
	for told := false; ; {
		err := f.againFor(ctx, timeout, publish)
		switch {
		case err == nil:
			return nil
		case codeOf(err) != errFull:
			return fmt.Errorf("publish %s: %w", subject, err)
		case !told:
			told = true
			f.log.Warn("a stream of the fleet is full: nothing goes on until it has room", "fleet", f.cfg.Fleet, "subject", subject)
		}
		if wait.For(ctx, time.Second) != nil {
			return fmt.Errorf("publish %s: %w: %w", subject, ErrFull, err)
		}
	}
}

// publishAnswer publishes the answer to a frame by a function, and reports whether it was the first. again says that there may have been runs
// before. Pieces of runs whose answer does not count are deleted.
func (f *Fleet) publishAnswer(
	ctx context.Context, id ID, a *Answer, again bool, publish func(context.Context, *nats.Msg) (first bool, err error),
) (first bool, err error) {
	msg, run := &nats.Msg{Subject: f.names.result(id), Data: a.Append(nil)}, ""
	if len(msg.Data) > f.limit-headerRoom {
		run = nuid.Next()
		if err := f.publishPieces(ctx, id, run, msg); err != nil {
			return false, err
		}
	}
	f.age(msg)
	if first, err = publish(ctx, msg); err != nil {
		return false, err
	}
	if !first && run != "" { // the answer that is there may be this one, of which the server's word was lost
		switch msg, err := f.result(ctx, msg.Subject, true); {
		case err != nil: // the pieces stay until they age
		case msg.Header.Get(headerRun) == run:
			first = true
		default:
			f.dropPieces(ctx, f.names.pieces(id, run))
		}
	}
	if first && again {
		f.dropRuns(ctx, id, run)
	}
	return first, nil
}

// age has a message be kept for as long as answers are.
func (f *Fleet) age(msg *nats.Msg) {
	if msg.Header == nil {
		msg.Header = nats.Header{}
	}
	msg.Header.Set(jetstream.MsgTTLHeader, f.cfg.ResultAge.Round(time.Second).String())
}

// dropRuns deletes the pieces of all runs of a frame but one.
func (f *Fleet) dropRuns(ctx context.Context, id ID, but string) {
	info, err := f.results.Info(ctx, jetstream.WithSubjectFilter(f.names.pieces(id, "*")))
	if err != nil {
		f.log.Debug("pieces of runs before could not be looked for, and stay until they age", "frame", id.String(), "error", err)
		return
	}
	dropped := map[string]bool{but: true}
	for subject := range info.State.Subjects {
		run := f.names.runOf(id, subject)
		if !dropped[run] {
			dropped[run] = true
			f.dropPieces(ctx, f.names.pieces(id, run))
		}
	}
}

// dropPieces deletes pieces of an answer that nobody reads.
func (f *Fleet) dropPieces(ctx context.Context, subject string) {
	if err := f.results.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		f.log.Debug("pieces of an answer could not be deleted, and stay until they age", "subject", subject, "error", err)
	}
}

// publishPieces publishes what a message has in pieces of a run, and leaves in it how they are found.
func (f *Fleet) publishPieces(ctx context.Context, id ID, run string, msg *nats.Msg) error {
	size, whole := f.limit-headerRoom, msg.Data
	sum := sha256.Sum256(whole)
	n := 0
	for rest := whole; len(rest) > 0; n++ {
		piece := rest[:min(size, len(rest))]
		rest = rest[len(piece):]
		msg := &nats.Msg{Subject: f.names.piece(id, run, n), Data: piece}
		f.age(msg)
		if _, err := f.publishOnce(ctx, msg); err != nil {
			return err
		}
	}
	msg.Data = nil
	msg.Header = nats.Header{}
	msg.Header.Set(headerRun, run)
	msg.Header.Set(headerPieces, strconv.Itoa(n))
	msg.Header.Set(headerSize, strconv.Itoa(len(whole)))
	msg.Header.Set(headerSum, hex.EncodeToString(sum[:]))
	return nil
}

// answered reports whether a frame has an answer.
func (f *Fleet) answered(ctx context.Context, id ID) (bool, error) {
	_, err := f.result(ctx, f.names.result(id), false)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}
