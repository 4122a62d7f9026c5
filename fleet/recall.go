package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/state"
)

// keeps reports whether the frame has streams whose states the fleet keeps.
func (b *batch) keeps() bool { return b.states != nil && b.of.StateBytes > 0 }

// keyOf is the key under which the state of a stream is stored.
func (b *batch) keyOf(stream string) state.Key {
	return state.Key{Kind: state.KindStream, Tenant: b.frame.Tenant, Transform: b.of.Name, Name: stream}
}

// recall reads the states of the frame's streams. Tasks whose stream has one that cannot be read have their outcome then.
func (b *batch) recall(ctx context.Context) error {
	var keys []state.Key
	at := make(map[string]int) // of the streams, in keys
	for i := range b.frame.Tasks {
		stream := b.frame.Tasks[i].Stream
		if _, ok := at[stream]; !ok && stream != "" {
			at[stream] = len(keys)
			keys = append(keys, b.keyOf(stream))
		}
	}
	list, err := b.states.of(ctx, keys)
	if err != nil {
		return &host.Error{Kind: host.KindStateUnavailable, Transform: b.of.Name, Message: err.Error(), Err: err}
	}
	b.with, b.before = host.NewStates(), list
	for i := range list {
		if r := &list[i].record; list[i].err == nil {
			b.with.Set(host.StreamState{Tenant: r.Key.Tenant, Transform: r.Key.Transform, Key: r.Key.Name, State: r.Data, Format: r.Format})
		}
	}
	for i := range b.frame.Tasks {
		stream := b.frame.Tasks[i].Stream
		if stream == "" || b.outcomes[i].Failure != nil {
			continue
		}
		if err := list[at[stream]].err; err != nil {
			b.ended(i, host.Result{Err: &host.Error{Kind: host.KindStateUnreadable, Transform: b.of.Name, Message: "the fleet's state of the stream: " + err.Error(), Err: err}})
		}
	}
	return nil
}

// leave notes which states the tasks have changed. The error is of a version that does not read the states there are.
func (b *batch) leave() error {
	if n := b.with.Unreadable(); n > 0 {
		b.of.CountFailed(host.KindStateUnreadable)
		return &host.Error{
			Kind: host.KindStateUnreadable, Transform: b.of.Name, Plugin: b.of.Plugin, Version: b.of.Version, Hash: b.of.Hash,
			Message: fmt.Sprintf("the version does not read the states that the fleet has of the streams of %d tasks, and the rule is to refuse that (--state-rule)", n),
		}
	}
	now := time.Now()
	for i := range b.before {
		k := &b.before[i]
		if k.err != nil {
			continue
		}
		key := k.record.Key
		got := b.with.Of(key.Tenant, key.Transform, key.Name)
		r := state.Record{Key: key, Format: got.Format, Changed: now, Data: got.State}
		if b.states.same(&r, &k.record) {
			continue
		}
		if !b.states.fits(&r) {
			b.tooLarge(key.Name, len(r.Data))
			continue
		}
		b.left = append(b.left, r)
	}
	return nil
}

// tooLarge has the tasks of a stream fail whose state no message has room for. The stream keeps the state it had.
func (b *batch) tooLarge(stream string, size int) {
	for i := range b.frame.Tasks {
		if o := &b.outcomes[i]; b.frame.Tasks[i].Stream == stream && o.Failure == nil {
			*o = Outcome{Failure: FailureOf(b.of.Name, &host.Error{
				Kind: host.KindHost, Transform: b.of.Name, Plugin: b.of.Plugin, Version: b.of.Version, Hash: b.of.Hash,
				Message: fmt.Sprintf("the state of the stream has %d bytes, more than a message of NATS has room for (max_payload)", size),
			})}
		}
	}
}
