package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/wait"
)

const (
	// servesWait is for how long [Fleet.Serves] waits for the next signs of life, and servesPoll how often it looks.
	servesWait = 3 * time.Second
	servesPoll = 250 * time.Millisecond
)

// ErrNoHosts is in the error of what takes a host, and the fleet has none.
var ErrNoHosts = errors.New("no host of the fleet is there")

// Serves looks whether a host of the fleet serves a transform. It returns nil if one does or may: one that loads a plugin, or does not
// tell what it serves. Without any host the error wraps [ErrNoHosts]. If no host serves the transform, the error is a [*host.Error] that wraps
// [host.ErrUnknownTransform]. A host may have begun to serve it since its last sign of life. So Serves waits for the next signs, for
// 3 s at most, and returns nil if they do not come. Any other error is that the signs of life cannot be read.
func (f *Fleet) Serves(ctx context.Context, transform string) error {
	first, err := f.signs(ctx)
	if err != nil {
		return err
	}
	now, end := first, time.Now().Add(servesWait)
	for {
		known, sure := served(now)
		switch {
		case len(now) == 0:
			return ErrNoHosts
		case !sure || slices.Contains(known, transform):
			return nil
		case renewed(first, now):
			return &host.Error{
				Kind: host.KindUnknownTransform, Transform: cut(transform), Err: host.ErrUnknownTransform,
				Message: cut(fmt.Sprintf("no host of the fleet serves a transform %q%s%s", cut(transform), spell.DidYouMean(transform, known), spell.ThereAre(known))),
			}
		case time.Now().After(end):
			return nil
		}
		if err := wait.For(ctx, servesPoll); err != nil {
			return err
		}
		if now, err = f.signs(ctx); err != nil {
			return err
		}
	}
}

// signs reads the signs of life. It takes no more than reading them, and makes nothing.
func (f *Fleet) signs(ctx context.Context) ([]HostInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	kv, err := f.js.KeyValue(ctx, f.bucketName(hostsBucket))
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the bucket %s: %w", f.bucketName(hostsBucket), err)
	}
	c := &Control{fleet: f, log: f.log, hosts: kv, told: make(map[string]bool)}
	return c.complete(ctx, nil)
}

// served returns the transforms that hosts serve, sorted, and whether all hosts say which those are.
func served(hosts []HostInfo) (names []string, sure bool) {
	for i := range hosts {
		if hosts[i].Transforms == nil {
			return nil, false
		}
		names = append(names, hosts[i].Transforms...)
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// renewed reports whether no host has the sign of life that it had before.
func renewed(before, now []HostInfo) bool {
	return !slices.ContainsFunc(now, func(h HostInfo) bool {
		return slices.ContainsFunc(before, func(b HostInfo) bool { return b.Instance == h.Instance && b.revision == h.revision })
	})
}
