package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/host"
)

// Headers of messages beside NATS's own.
const (
	// headerAgain is there if a frame may have been submitted before.
	headerAgain = "Resonhost-Again"
	// headerRun, headerPieces, headerSize and headerSum are of an answer that comes in pieces: the name of the run that made them,
	// how many there are, how many bytes they have together, and their SHA-256.
	headerRun    = "Resonhost-Run"
	headerPieces = "Resonhost-Pieces"
	headerSize   = "Resonhost-Size"
	headerSum    = "Resonhost-Sum"
)

// How long a host that cannot do a frame leaves it to others, at first and at most. Each time it is four times as long: by default
// that is 21 s in all, in which a plugin is loaded. A frame with streams waits as long as at first each time, as all streams of its partition
// wait with it.
const (
	firstDelay = 250 * time.Millisecond
	lastDelay  = 30 * time.Second
)

// maxFenced is how often a host does a frame anew whose states others have stored meanwhile, before it leaves the frame.
const maxFenced = 10

// delivery is a frame that a host was given.
type delivery struct {
	w     *Worker
	queue *queue
	msg   jetstream.Msg
	meta  *jetstream.MsgMetadata
	id    ID
	named bool // it has an ID
	frame *Frame
	// givenUp is whether it was tried to give the frame up.
	givenUp bool
}

// name is what logs call the frame.
func (d *delivery) name() string {
	if d.named {
		return d.id.String()
	}
	return d.letter()
}

// letter is the name that the frame has as a dead letter: of its place in the stream, and the time at which it came there, since
// places begin anew in a stream that is made anew.
func (d *delivery) letter() string { return letterName(d.meta.Sequence.Stream, d.meta.Timestamp) }

// deliveries is how often hosts were given the frame to do. The last time it is given is only to give it up.
func (d *delivery) deliveries() uint64 { return min(d.meta.NumDelivered, d.queue.most) }

// again reports whether the frame may have been done before.
func (d *delivery) again() bool {
	return d.meta.NumDelivered > 1 || d.msg.Headers().Get(headerAgain) != ""
}

// do does a frame.
func (q *queue) do(msg jetstream.Msg) {
	w := q.w
	w.counts.taken.Add(1)
	meta, err := msg.Metadata()
	if err != nil { // it is no message of a stream
		w.log.Error("a message of NATS says not where it comes from", "error", err)
		return
	}
	d := &delivery{w: w, queue: q, msg: msg, meta: meta}
	d.id, d.named = ParseID(msg.Headers().Get(nats.MsgIdHdr))
	w.mu.Lock()
	w.underWay[d] = struct{}{}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.underWay, d)
	}()
	if meta.NumDelivered > 1 {
		w.counts.redelivered.Add(1)
	}
	if err := d.run(w.work); err != nil && w.work.Err() == nil {
		w.counts.failed.Add(1)
		d.leave(w.work, err)
	}
}

// run does a frame to its acknowledgement. With an error the frame is not done.
func (d *delivery) run(ctx context.Context) error {
	w := d.w
	var err error
	if d.frame, err = ParseFrame(d.msg.Data()); err == nil && !d.named {
		err = fmt.Errorf("%w: the header %s is no ID of a frame", ErrMalformed, nats.MsgIdHdr)
	}
	if err == nil {
		err = d.inPlace()
	}
	if err != nil {
		return d.giveUp(ctx, host.KindInvalidArgument, err)
	}
	if d.again() {
		switch done, err := w.fleet.answered(ctx, d.id); {
		case err != nil:
			return err
		case done:
			w.counts.duplicates.Add(1)
			return d.ack(ctx)
		}
	}
	if d.meta.NumDelivered > d.queue.most {
		return d.giveUp(ctx, host.KindHost, fmt.Errorf("it was given to hosts %d times, and none has answered", d.deliveries()))
	}
	for fenced := 0; ; fenced++ {
		// States were stored of the partition since they were read, or what was read was old. Then all is done anew, and no delivery spent for it.
		if err := d.attempt(ctx); !errors.Is(err, errFenced) || fenced == maxFenced {
			return err
		}
		w.counts.fenced.Add(1)
	}
}

// attempt does the tasks, and publishes the answer.
func (d *delivery) attempt(ctx context.Context) (err error) {
	w := d.w
	a := &Answer{Host: w.fleet.cfg.Name, Digest: digest(d.msg.Data())}
	publish := w.fleet.publishOnce
	if late := d.frame.Deadline; !late.IsZero() && !time.Now().Before(late) {
		w.counts.expired.Add(1)
		a.Outcomes = same(len(d.frame.Tasks), &Failure{
			Kind: host.KindTimeout, Transform: d.frame.Transform, Message: "the frame waited past the caller's deadline",
		})
	} else {
		b := w.batch(d.frame, d.queue.states)
		traced, end := w.traced(ctx, d.msg.Headers(), d.frame.Transform)
		a.Outcomes, err = b.do(traced)
		end(err)
		if b.keeps() {
			publish = func(ctx context.Context, msg *nats.Msg) (bool, error) {
				return d.queue.states.publish(ctx, msg, b.left)
			}
		}
	}
	if err != nil {
		if a.Outcomes == nil || d.meta.NumDelivered < d.queue.most {
			return err
		}
		// No host could do some of the tasks. They have their errors in the answer, and the frame is kept for who looks why.
		if err := d.bury(ctx, err); err != nil {
			return err
		}
	}
	return d.answer(ctx, a, publish)
}

// inPlace returns an error unless the frame came by the subject of its partition, on which its order depends.
func (d *delivery) inPlace() error {
	partition, err := d.frame.partition()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if partition != d.queue.partition {
		return fmt.Errorf("%w: the frame belongs to %s, and came to %s", ErrMalformed, d.w.fleet.names.task(partition), d.msg.Subject())
	}
	return nil
}

// answer publishes the answer by a function, and acknowledges the frame.
func (d *delivery) answer(ctx context.Context, a *Answer, publish func(context.Context, *nats.Msg) (bool, error)) error {
	switch first, err := d.w.fleet.publishAnswer(ctx, d.id, a, d.again(), publish); {
	case err != nil:
		return err
	case !first:
		d.w.counts.duplicates.Add(1)
	default:
		d.w.counts.answered.Add(1)
	}
	return d.ack(ctx)
}

// ack acknowledges the frame, and waits until the server has confirmed that. Without, the frame comes again and is found done.
func (d *delivery) ack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := d.msg.DoubleAck(ctx); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		d.w.counts.unacked.Add(1)
		d.w.log.Warn("a frame was done, and that could not be told; it comes again and is not done again", "frame", d.name(), "error", err)
	}
	return nil
}

// leave has the frame go to another host after a while, and longer each time. The last time the frame may be given, it is a dead
// letter.
func (d *delivery) leave(ctx context.Context, why error) {
	log := d.w.log.With("frame", d.name(), "delivery", d.meta.NumDelivered)
	if d.meta.NumDelivered >= d.queue.most && !d.givenUp {
		kind := host.KindHost
		if e := (*host.Error)(nil); errors.As(why, &e) {
			kind = e.Kind
		}
		err := d.giveUp(ctx, kind, why)
		if err == nil {
			return
		}
		log.Warn("a frame that hosts have given up could not be moved to the dead letters; it is tried again", "error", err)
	}
	log.Info("a frame is left to another host", "error", why)
	d.note(ctx, why)
	delay := firstDelay
	if d.queue.partition == noPartition {
		delay = min(lastDelay, firstDelay<<(2*min(d.meta.NumDelivered-1, 5)))
	}
	if err := d.msg.NakWithDelay(delay); err != nil {
		log.Debug("a frame could not be given back, and waits for its time", "error", err)
	}
}

// giveUp ends a frame that is not to be given again: it becomes a dead letter, is answered if it has an ID, and is acknowledged.
func (d *delivery) giveUp(ctx context.Context, kind host.Kind, why error) error {
	d.givenUp = true
	if err := d.bury(ctx, why); err != nil {
		return err
	}
	if !d.named {
		return d.ack(ctx)
	}
	return d.answer(ctx, d.dead(why).answer(d.w.fleet.cfg.Name, kind), d.w.fleet.publishOnce)
}

// dead is the frame as a dead letter.
func (d *delivery) dead(why error) *letter {
	return &letter{
		name: d.letter(), message: &jetstream.RawStreamMsg{Header: d.msg.Headers(), Data: d.msg.Data(), Time: d.meta.Timestamp},
		deliveries: d.deliveries(), reason: why.Error(),
	}
}

// bury stores the frame as a dead letter.
func (d *delivery) bury(ctx context.Context, why error) error {
	if err := d.w.fleet.bury(ctx, d.dead(why)); err != nil {
		return err
	}
	d.w.counts.dead.Add(1)
	d.w.log.Warn("a frame is a dead letter", "frame", d.name(), "letter", d.letter(), "error", why)
	return nil
}

// notHere reports whether a task fails only on this host, or only now, so that another host may do the frame.
func notHere(k host.Kind) bool {
	switch k {
	case host.KindUnavailable, host.KindQueueFull, host.KindMemoryFull, host.KindCancelled, host.KindUnknownTransform, host.KindStateUnavailable, host.KindStateUnreadable:
		return true
	}
	return false
}

// same returns as many outcomes that all have one failure.
func same(n int, f *Failure) []Outcome {
	list := make([]Outcome, n)
	for i := range list {
		list[i].Failure = f
	}
	return list
}
