package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/wait"
)

// DefaultWindow is how many frames of a submission have no answer at most that was read.
const DefaultWindow = 1024

// republishFor is for how long a frame is published again that was not acknowledged. The server knows its ID for longer.
const republishFor = duplicateWindow / 2

// readAhead is how many answers a client asks for at a time.
const readAhead = 64

// ErrKeyReused is the error of an answer that is to another frame: the submission's name was used for other tasks before.
var ErrKeyReused = errors.New("another frame had this ID: the key was used for other tasks")

// Submission is frames that are done for certain, and their answers. Its methods may be called concurrently.
type Submission struct {
	client *Client
	name   string
	keyed  bool
	window chan struct{} // has a token for each frame that was sent and whose answer was not read

	ctx   context.Context
	end   context.CancelFunc
	group sync.WaitGroup

	mu      sync.Mutex
	next    uint64            // guarded by mu: the number of the next frame
	pending map[uint64]sent   // guarded by mu: frames without an answer
	ready   []arrived         // guarded by mu: answers that were not read
	done    []arrived         // guarded by mu: answers that were read and are not deleted, without a key
	frames  map[uint64]uint64 // guarded by mu: the places of frames in the stream of tasks, without a key
	before  map[uint64]uint64 // guarded by mu: the last places that frames may have of which no acknowledgement has come
	// early are the numbers of answers that came before their frames, with a key; guarded by mu.
	early map[uint64]struct{}
	came  chan struct{} // has a token if there may be some
}

// Reply is the answer to a frame.
type Reply struct {
	// Number is the frame's, as Send returned it.
	Number uint64
	Answer *Answer
	// Err is why the answer could not be read, or wraps [ErrKeyReused]; nil with an answer.
	Err error
}

// Submit begins a submission, which the caller closes. key is its name, 1 to 64 letters, digits, _ and -: whoever submits the same frames
// in the same order under the same name gets the same answers, and nothing is done twice for it, as long as answers are kept. With "" the
// submission is new, and its answers are deleted once they were read. window is how many frames have no answer at most that was read; 0 for DefaultWindow.
func (c *Client) Submit(ctx context.Context, key string, window int) (*Submission, error) {
	if key != "" && !submissionName.MatchString(key) {
		return nil, &abi.FieldError{Field: "key", Rule: fmt.Sprintf("must be 1 to %d letters, digits, _ and -", maxSubmission)}
	}
	s := &Submission{
		client: c, name: key, keyed: key != "", pending: make(map[uint64]sent), frames: make(map[uint64]uint64), before: make(map[uint64]uint64), early: make(map[uint64]struct{}), came: make(chan struct{}, 1),
	}
	if window <= 0 {
		window = DefaultWindow
	}
	s.window = make(chan struct{}, window)
	if key == "" {
		s.name = nuid.Next()
	}
	r, err := s.read(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("read answers of the fleet: %w", err)
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.group.Go(func() { s.follow(r) })
	if !s.keyed {
		s.group.Go(s.free)
	}
	return s, nil
}

// Client returns the client that submits.
func (s *Submission) Client() *Client { return s.client }

// Name returns the submission's name.
func (s *Submission) Name() string { return s.name }

// Close reads no more answers. It deletes those that were read of a submission without a key, for which it waits 2 s at most. Frames that were sent are done all the same.
func (s *Submission) Close() {
	s.end()
	s.group.Wait()
}

// Send submits a frame, and returns its number once the fleet has accepted it for certain, or has an answer to it. Frames are numbered from 0 in the order of the
// calls. It waits while as many frames are without an answer as the window has, and while the fleet has no room; the latter ends with ctx in an
// error that wraps [ErrFull]. A frame that is refused keeps its number. Errors of the frame itself are [*abi.FieldError]s.
func (s *Submission) Send(ctx context.Context, f *Frame) (number uint64, err error) {
	data, err := s.client.encode(f)
	if err != nil {
		return 0, err
	}
	select {
	case s.window <- struct{}{}:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-s.ctx.Done():
		return 0, errors.New("the submission is closed")
	}
	s.mu.Lock()
	id := ID{s.name, s.next}
	s.next++
	s.pending[id.Number] = sent{digest(data), len(f.Tasks)}
	_, early := s.early[id.Number]
	delete(s.early, id.Number)
	s.mu.Unlock()
	if s.keyed {
		if done, err := s.recall(ctx, id, early); err != nil || done {
			return id.Number, s.refused(id, err)
		}
	}
	return id.Number, s.refused(id, s.publish(ctx, id, f, data))
}

// refused lets go of a frame that could not be sent.
func (s *Submission) refused(id ID, err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.pending[id.Number]; ok { // else it has an answer all the same
		delete(s.pending, id.Number)
		<-s.window
	}
	return err
}

// publish publishes a frame until the server has acknowledged it.
func (s *Submission) publish(ctx context.Context, id ID, f *Frame, data []byte) error {
	partition, err := f.partition()
	if err != nil {
		return err
	}
	msg := &nats.Msg{Subject: s.client.fleet.names.task(partition), Data: data, Header: nats.Header{}}
	if s.keyed {
		msg.Header.Set(headerAgain, "1")
	}
	s.client.fleet.trace(ctx, msg)
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		bounded, cancel := context.WithTimeout(ctx, republishFor)
		err := s.client.fleet.again(bounded, func(ctx context.Context) error {
			ack, err := s.client.fleet.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id.String()), jetstream.WithRetryAttempts(0))
			if err == nil && !s.keyed {
				s.mu.Lock()
				s.frames[id.Number] = ack.Sequence
				s.mu.Unlock()
			}
			return err
		})
		cancel()
		switch {
		case err == nil:
			return nil
		case codeOf(err) != errFull:
			return fmt.Errorf("submit a frame: %w", err)
		case wait.For(ctx, delay) != nil:
			return fmt.Errorf("submit a frame: %w: %w", ErrFull, err)
		}
	}
}

// recall looks for an answer to a frame of before. There is one if it came early.
func (s *Submission) recall(ctx context.Context, id ID, early bool) (done bool, err error) {
	f := s.client.fleet
	msg, err := f.result(ctx, f.names.result(id), early)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for an answer: %w", err)
	}
	s.deliver(ctx, id.Number, msg.Sequence, msg.Header, msg.Data)
	return true, nil
}

// lagging is how often a message is looked for that has to be there. Any server may answer, and one may be behind the others.
const lagging = 30

// result returns the message of a subject in the stream of results. there says that it has one.
func (f *Fleet) result(ctx context.Context, subject string, there bool) (msg *jetstream.RawStreamMsg, err error) {
	for n := 0; ; n++ {
		err = f.again(ctx, func(ctx context.Context) (err error) {
			msg, err = f.results.GetLastMsgForSubject(ctx, subject)
			return err
		})
		if !there || !errors.Is(err, jetstream.ErrMsgNotFound) || n == lagging || wait.For(ctx, 100*time.Millisecond) != nil {
			return msg, err
		}
	}
}

// Next returns the next answer, in the order in which they came. It waits for one, also if none is to come.
func (s *Submission) Next(ctx context.Context) (Reply, error) {
	for {
		s.mu.Lock()
		if len(s.ready) > 0 {
			r := s.ready[0]
			s.ready = s.ready[1:]
			more := len(s.ready) > 0
			if !s.keyed {
				s.done = append(s.done, arrived{Reply: Reply{Number: r.Number}, sequence: r.sequence, pieces: r.pieces})
			}
			s.mu.Unlock()
			<-s.window
			if more {
				s.wake()
			}
			return r.Reply, nil
		}
		s.mu.Unlock()
		select {
		case <-s.came:
		case <-ctx.Done():
			return Reply{}, context.Cause(ctx)
		case <-s.ctx.Done():
			return Reply{}, errors.New("the submission is closed")
		}
	}
}

func (s *Submission) wake() {
	select {
	case s.came <- struct{}{}:
	default:
	}
}

const (
	// readIdle is after how long the server forgets a consumer of answers that nobody reads by.
	readIdle = 5 * time.Minute
	// readSilent is after how long without an answer, while some are missing, it is looked whether one was lost.
	readSilent = 2 * time.Second
)

// answerReader is a consumer by which a submission's answers are read.
type answerReader struct {
	jetstream.MessagesContext

	consumer jetstream.Consumer
}

// read begins to read the submission's answers behind a place in the stream. The consumer is on one server, and gone with it. One that cannot be
// made is tried under another name, which may come to another server: the same name stays with one that does not answer, as long as it is stopped. The
// client's ordered consumer keeps the name.
func (s *Submission) read(ctx context.Context, behind uint64) (r *answerReader, err error) {
	f := s.client.fleet
	err = f.again(ctx, func(ctx context.Context) error {
		c, err := f.results.CreateConsumer(ctx, jetstream.ConsumerConfig{
			Name: nuid.Next(), FilterSubject: f.names.resultsOf(s.name), AckPolicy: jetstream.AckNonePolicy,
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: behind + 1,
			Replicas: 1, MemoryStorage: true, InactiveThreshold: readIdle,
		})
		if err != nil {
			return err
		}
		it, err := c.Messages(jetstream.PullMaxMessages(readAhead), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullBeat),
			jetstream.WithMessagesErrOnMissingHeartbeat(true))
		r = &answerReader{it, c}
		return err
	})
	return r, err
}

// forget has the server forget the consumer.
func (s *Submission) forget(r *answerReader) {
	r.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := s.client.fleet.results.DeleteConsumer(ctx, r.consumer.CachedInfo().Name); err != nil {
		s.client.fleet.log.Debug("a consumer of answers could not be deleted, and stays until it is idle", "submission", s.name, "error", err)
	}
}

// follow reads answers until the submission is closed.
func (s *Submission) follow(r *answerReader) {
	last := uint64(0)
	for {
		s.followBy(r, &last)
		s.forget(r)
		for {
			if wait.For(s.ctx, reconnectWait) != nil {
				return
			}
			var err error
			if r, err = s.read(s.ctx, last); err == nil {
				break
			}
			s.client.fleet.log.Debug("answers are asked for anew", "submission", s.name, "error", err)
		}
	}
}

// followBy reads answers by one consumer, until that fails or leaves something out. last is the place of the last one in the stream.
func (s *Submission) followBy(r *answerReader, last *uint64) {
	for delivered := uint64(0); ; {
		ctx, cancel := context.WithTimeout(s.ctx, readSilent)
		msg, err := r.Next(jetstream.NextContext(ctx))
		silent := ctx.Err() != nil
		cancel()
		if err != nil && silent && s.ctx.Err() == nil && !s.lost(r, delivered) {
			continue
		}
		if err != nil {
			return
		}
		meta, err := msg.Metadata()
		if err != nil {
			continue // none of ours
		}
		if delivered++; meta.Sequence.Consumer != delivered { // one was lost on its way
			return
		}
		*last = meta.Sequence.Stream
		if id, ok := ParseID(msg.Subject()[min(len(msg.Subject()), len(s.client.fleet.names.prefix)+len("result.")):]); ok {
			s.deliver(s.ctx, id.Number, *last, msg.Headers(), msg.Data())
		}
	}
}

// lost reports whether the server has sent more answers than came: nobody acknowledges them, and those on their way are lost with a connection.
func (s *Submission) lost(r *answerReader, delivered uint64) bool {
	s.mu.Lock()
	missing := len(s.pending)
	s.mu.Unlock()
	if missing == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	info, err := r.consumer.Info(ctx)
	return err != nil || info.Delivered.Consumer > delivered
}

// deliver has an answer ready, if its frame waits for one.
func (s *Submission) deliver(ctx context.Context, number, sequence uint64, header nats.Header, data []byte) {
	s.mu.Lock()
	_, waits := s.pending[number]
	if !waits && s.keyed && number >= s.next {
		s.early[number] = struct{}{}
	}
	s.mu.Unlock()
	if !waits {
		return // it came twice, or is looked for when its frame comes
	}
	r := Reply{Number: number}
	r.Answer, r.Err = s.client.fleet.assemble(ctx, ID{s.name, number}, header, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	want, waits := s.pending[number]
	if !waits {
		return // it came twice
	}
	if r.Err == nil {
		if err := r.Answer.fit(want); err != nil {
			r.Answer, r.Err = nil, fmt.Errorf("frame %d of %s: %w", number, s.name, err)
		}
	}
	delete(s.pending, number)
	s.ready = append(s.ready, arrived{r, sequence, header.Get(headerRun) != ""})
	s.wake()
}
