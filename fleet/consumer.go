package fleet

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// Bounds of the consumer.
const (
	maxPulls   = 10_000  // of all hosts together that wait for a frame
	maxUnacked = 100_000 // frames under way of all hosts together
)

// metaMaxDeliver is where the consumer has how often a frame is given to a host. Hosts count, and not the server: what a server has
// given as often as it may stays in the stream, and nobody sees it.
const metaMaxDeliver = "resonhost_max_deliver"

// openConsumer makes the consumer of frames of a partition, or takes the one that is there. Of a partition one frame at a time is given to a host, so that
// order holds whatever becomes of hosts: the next frame is given when the one before is acknowledged.
func (f *Fleet) openConsumer(ctx context.Context, partition int) (jetstream.Consumer, error) {
	want := jetstream.ConsumerConfig{
		Durable: f.names.consumer(partition), FilterSubject: f.names.task(partition), AckPolicy: jetstream.AckExplicitPolicy, AckWait: f.cfg.AckWait,
		MaxDeliver: -1, MaxWaiting: maxPulls, MaxAckPending: maxUnacked,
		Metadata: map[string]string{metaMaxDeliver: strconv.Itoa(f.cfg.MaxDeliver)},
	}
	if partition != noPartition {
		want.MaxAckPending = 1
	}
	c, err := opened(ctx, f, jetstream.ErrConsumerNotFound, jetstream.ErrConsumerExists,
		func(ctx context.Context) (jetstream.Consumer, error) { return f.tasks.Consumer(ctx, want.Durable) },
		func(ctx context.Context) (jetstream.Consumer, error) { return f.tasks.CreateConsumer(ctx, want) })
	if err != nil {
		return nil, &StreamError{f.names.tasks, "the consumer " + want.Durable + " cannot be made or read", err}
	}
	if reason := consumerDiffers(&c.CachedInfo().Config, &want); reason != "" {
		return nil, &StreamError{f.names.tasks, fmt.Sprintf("the consumer %s %s: delete it (nats consumer rm), and it is made anew", want.Durable, reason), nil}
	}
	return c, nil
}

// consumerDiffers says in what the consumer is not as a fleet needs it, "" if it is.
func consumerDiffers(have, want *jetstream.ConsumerConfig) string {
	switch n := deliveriesOf(have); {
	case have.FilterSubject != want.FilterSubject, len(have.FilterSubjects) > 0,
		have.DeliverPolicy != want.DeliverPolicy, have.HeadersOnly:
		return "is not a fleet's"
	case have.AckWait < MinAckWait:
		return fmt.Sprintf("waits %v for a sign of life, and must wait %v or more", have.AckWait, MinAckWait)
	case want.MaxAckPending == 1 && have.MaxAckPending != 1:
		return fmt.Sprintf("gives %d frames at a time, and order takes that it gives 1", have.MaxAckPending)
	case len(have.BackOff) > 0:
		return "has a back-off, which stands for the time in which a host gives a sign of life"
	case have.MaxDeliver > 0:
		return fmt.Sprintf("gives a frame %d times and then hides it: hosts count, and it must give a frame without bound", have.MaxDeliver)
	case n < 1 || n > MaxDeliverMost:
		return fmt.Sprintf("says in %s that a frame is given %q times: it must be 1 to %d", metaMaxDeliver, have.Metadata[metaMaxDeliver], MaxDeliverMost)
	case have.InactiveThreshold > 0:
		return fmt.Sprintf("is forgotten after %v without hosts", have.InactiveThreshold)
	}
	return ""
}

// deliveriesOf is how often a frame is given to a host, 0 if the consumer does not say.
func deliveriesOf(c *jetstream.ConsumerConfig) uint64 {
	n, err := strconv.ParseUint(c.Metadata[metaMaxDeliver], 10, 32)
	if err != nil {
		return 0
	}
	return n
}
