package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// duplicateWindow is for how long the server knows the IDs of frames that were submitted. A client sends a frame
// again for less long.
const duplicateWindow = 2 * time.Minute

// minMessage is the least that a server must allow in a message.
const minMessage = 64 << 10

// StreamError is a stream that cannot be made, or is not as a fleet needs it.
type StreamError struct {
	// Stream is its name, and Reason what is wrong and what to do.
	Stream, Reason string
	// Err is the server's error; nil if it is a stream that is there.
	Err error
}

func (e *StreamError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("stream %s: %s: %v", e.Stream, e.Reason, e.Err)
	}
	return fmt.Sprintf("stream %s: %s", e.Stream, e.Reason)
}

// Unwrap returns the server's error.
func (e *StreamError) Unwrap() error { return e.Err }

// ErrNoFleet is in the error about a fleet that is not there, with [Config.MustExist].
var ErrNoFleet = errors.New("no host has joined the fleet yet: start one (resonhost run), or name another fleet (--fleet)")

// LimitError is a server that allows too little.
type LimitError struct {
	// What is the limit, and Reason what to do.
	What, Reason string
}

func (e *LimitError) Error() string { return "the server of NATS: " + e.What + ": " + e.Reason }

// streams are those of the fleet.
func (f *Fleet) streams() []jetstream.StreamConfig {
	c := func(name, what string, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Description: "resonhost: " + what, Subjects: subjects,
			Storage: jetstream.FileStorage, Replicas: f.cfg.Replicas, Discard: jetstream.DiscardNew,
		}
	}
	tasks := c(f.names.tasks, "frames of tasks that wait for a host", f.names.allTasks())
	tasks.Retention, tasks.MaxBytes, tasks.Duplicates = jetstream.WorkQueuePolicy, f.cfg.TaskBytes, duplicateWindow
	results := c(f.names.results, "answers to frames, which are the record of those that are done, and states of streams", f.names.prefix+"result.>",
		f.names.prefix+"piece.>", f.names.note("*", "*"), f.names.prefix+"owner.*", f.names.prefix+"state.*.*")
	results.MaxBytes, results.MaxMsgsPerSubject, results.AllowDirect = f.cfg.ResultBytes, 1, true
	results.AllowMsgTTL, results.AllowAtomicPublish = true, true // each message has its own age, and states are stored with answers
	dead := c(f.names.dead, "dead letters", f.names.deadLetter("*"))
	dead.MaxAge, dead.MaxBytes = f.cfg.DeadAge, max(1, f.cfg.TaskBytes/4)
	dead.Discard = jetstream.DiscardOld // a letter must not stop hosts
	return []jetstream.StreamConfig{tasks, results, dead}
}

// openStreams looks at the server's limits, and makes or checks each stream.
func (f *Fleet) openStreams(ctx context.Context) error {
	var account *jetstream.AccountInfo
	err := f.again(ctx, func(ctx context.Context) (err error) {
		account, err = f.js.AccountInfo(ctx)
		return err
	})
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return &LimitError{"JetStream is not enabled", "start nats-server with -js, or enable it for this account"}
	}
	if err != nil {
		return fmt.Errorf("ask NATS for its limits: %w", err)
	}
	if account.Limits.MaxStore == 0 {
		return &LimitError{"the account may store no files", "give it disk storage for JetStream"}
	}
	f.limit = int(f.nc.MaxPayload())
	if f.limit < minMessage {
		return &LimitError{fmt.Sprintf("max_payload is %d bytes", f.limit), fmt.Sprintf("a fleet needs at least %d", minMessage)}
	}
	to := []*jetstream.Stream{&f.tasks, &f.results, &f.dead}
	for i, want := range f.streams() {
		if *to[i], err = f.openStream(ctx, want); err != nil {
			return err
		}
	}
	if f.cfg.Replicas == 1 {
		f.log.Info("the streams of the fleet lie on one server: what it has accepted is lost with its disk", "fleet", f.cfg.Fleet)
	}
	return nil
}

func (f *Fleet) openStream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := opened(ctx, f, jetstream.ErrStreamNotFound, jetstream.ErrStreamNameAlreadyInUse,
		func(ctx context.Context) (jetstream.Stream, error) { return f.js.Stream(ctx, want.Name) },
		func(ctx context.Context) (jetstream.Stream, error) { return f.js.CreateStream(ctx, want) })
	if err != nil {
		return nil, f.notMade(want.Name, want.MaxBytes, err)
	}
	if reason := differs(&s.CachedInfo().Config, &want, f.limit); reason != "" {
		return nil, &StreamError{want.Name, reason, nil}
	}
	return s, nil
}

// notMade is the error of a stream or bucket of that many bytes that cannot be had.
func (f *Fleet) notMade(name string, bytes int64, err error) error {
	switch code := codeOf(err); {
	case f.cfg.MustExist && (errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound)):
		return fmt.Errorf("fleet %s: %w", f.cfg.Fleet, ErrNoFleet)
	case code == errNoRoom || code == errNoPeers && strings.Contains(err.Error(), "insufficient storage"):
		all := int64(objectBytes)
		for _, s := range f.streams() {
			all += s.MaxBytes
		}
		return &StreamError{name, fmt.Sprintf("there is no room for %d bytes on %d servers: the streams of a fleet reserve %d bytes together, TaskBytes and ResultBytes, a quarter of TaskBytes, and %d for files of plugins. Choose less, or give JetStream more (max_file_store). Streams of the fleet that are there keep what they have reserved (nats stream ls)",
			bytes, f.cfg.Replicas, all, objectBytes), err}
	}
	return &StreamError{name, fmt.Sprintf("cannot be made or read, with %d replicas and %d bytes", f.cfg.Replicas, bytes), err}
}

// mustBe says what is to be done about a stream that is not as a fleet needs it.
func mustBe(what string, have, want any) string {
	return fmt.Sprintf("%s is %v, and must be %v: change it (nats stream edit), or take another name for the fleet", what, have, want)
}

// differs says in what a stream is not as a fleet needs it, "" if it is. Its bounds are its owner's to choose, but for what has it discard a
// frame or an answer unsaid. limit is how many bytes a message may have.
func differs(have, want *jetstream.StreamConfig, limit int) string {
	is := mustBe
	switch {
	case have.Retention != want.Retention:
		return is("retention", have.Retention, want.Retention)
	case !slices.Equal(have.Subjects, want.Subjects):
		return is("the list of subjects", have.Subjects, want.Subjects)
	case have.Storage != want.Storage:
		return is("storage", have.Storage, want.Storage)
	case have.Discard != want.Discard:
		return is("the discard policy", have.Discard, want.Discard)
	case have.Replicas < want.Replicas:
		return is("the number of replicas", have.Replicas, fmt.Sprintf("at least %d", want.Replicas))
	case have.MaxMsgSize > 0 && int(have.MaxMsgSize) < limit:
		return is("max_msg_size", have.MaxMsgSize, fmt.Sprintf("unlimited, or at least %d", limit))
	case want.MaxMsgsPerSubject == 0 && have.MaxMsgsPerSubject > 0:
		return is("max_msgs_per_subject", have.MaxMsgsPerSubject, "unlimited")
	case want.MaxMsgsPerSubject > 0 && have.MaxMsgsPerSubject != want.MaxMsgsPerSubject:
		return is("max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	case want.MaxAge == 0 && have.MaxAge > 0:
		return is("max_age", have.MaxAge, "unlimited")
	case want.AllowDirect && !have.AllowDirect:
		return is("allow_direct", have.AllowDirect, want.AllowDirect)
	case want.AllowMsgTTL && !have.AllowMsgTTL:
		return is("allow_msg_ttl", have.AllowMsgTTL, want.AllowMsgTTL)
	case want.AllowAtomicPublish && !have.AllowAtomicPublish:
		return is("allow_atomic", have.AllowAtomicPublish, want.AllowAtomicPublish)
	case want.MaxAge > 0 && have.MaxAge > 0 && have.MaxAge < MinResultAge:
		return is("max_age", have.MaxAge, fmt.Sprintf("at least %v", MinResultAge))
	case want.Duplicates > 0 && have.Duplicates < want.Duplicates:
		return is("the duplicate window", have.Duplicates, fmt.Sprintf("at least %v", want.Duplicates))
	case have.DenyDelete || have.DenyPurge || have.Mirror != nil || len(have.Sources) > 0:
		return "it is a mirror, has sources, or lets nothing be deleted: take another name for the fleet"
	case have.RePublish != nil || have.SubjectTransform != nil:
		return "it publishes what it stores again, or changes subjects: take another name for the fleet"
	case have.NoAck, have.Sealed, have.PersistMode != jetstream.DefaultPersistMode:
		return "it is sealed, does not acknowledge, or stores later than it acknowledges: take another name for the fleet"
	}
	return ""
}
