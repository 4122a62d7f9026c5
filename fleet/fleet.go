// Package fleet has several hosts do tasks as one, over NATS with JetStream. ARCHITECTURE.md says
// how, and what becomes of a task when a host, a server or a client dies.
//
// Tasks take microseconds and a message takes tens, so that a message carries a [Frame] of up to
// [MaxTasks] tasks. Frames wait in a stream of NATS, and a host takes one when it has a worker for
// it. What comes of a frame is an [Answer], which lies in another stream, and is the record that the
// frame is done.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Fleet is a connection to a fleet. It may be used concurrently.
type Fleet struct {
	cfg    Config
	log    *slog.Logger
	nc     *nats.Conn
	js     jetstream.JetStream
	names  names
	limit  int // bytes of a message, its headers included
	closed chan struct{}
	gone   chan struct{} // closed if the connection ends and closing is not set

	closing  atomic.Bool
	refused  repeats     // what the connection tells
	moves    moves       // of the connection, to other servers
	deadFull atomic.Bool // and the log was told

	burying     sync.Mutex    // held while a dead letter is stored
	deadDropped atomic.Uint64 // letters that went for new ones

	tasks, results, dead jetstream.Stream
}

// openTimeout is how long the streams of a fleet take at most to be made and read.
const openTimeout = 30 * time.Second

// Open connects to a server of cfg.URLs, and makes the streams of the fleet that are not there. Those
// that are there must be as a fleet needs them, else the error is a [*StreamError]. What is wrong with cfg are
// [*abi.FieldError]s, and with the server a [*LimitError]. ctx bounds opening, and not the connection, which the
// caller closes.
func Open(ctx context.Context, cfg Config) (*Fleet, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("fleet configuration: %w", err)
	}
	f := &Fleet{cfg: cfg, log: cfg.Logger, names: newNames(cfg.Fleet), closed: make(chan struct{}), gone: make(chan struct{})}
	if err := f.connect(ctx); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := f.openStreams(bounded); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Name returns the fleet's name.
func (f *Fleet) Name() string { return f.cfg.Fleet }

// MaxMessage returns how many bytes a message may have, its headers included, as the server says.
func (f *Fleet) MaxMessage() int { return f.limit }

// Gone returns a channel that is closed if the connection ends for good although nobody has closed it, as when the server calls
// what it was sent a violation. The log says why. Workers take no more frames then, and the fleet is to be opened anew.
func (f *Fleet) Gone() <-chan struct{} { return f.gone }

// Close ends the connection, and returns when nothing of it runs any more. Workers and clients of the fleet end before.
// Calling it again is fine.
func (f *Fleet) Close() error {
	f.closing.Store(true)
	f.nc.Close()
	<-f.closed
	return nil
}
