package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/internal/wait"
)

const (
	// objectBytes bounds all objects of a fleet together.
	objectBytes = 1 << 30
	// objectChunk is how many bytes a message of the store has at most.
	objectChunk = 128 << 10
	// objectTimeout bounds one try to read or write an object.
	objectTimeout = time.Minute
	// fetchTries is how often an object is asked for, and fetchPause the pause before the second time. Each further one
	// is twice as long.
	fetchTries = 5
	fetchPause = 100 * time.Millisecond
	// orphanAge is for how long an object is kept that no record names: its pusher may be about to write one.
	orphanAge = time.Hour
)

// DigestError is an object that is not what its name says.
type DigestError struct {
	// Want is its name, the digest, and Reason what it is instead.
	Want, Reason string
	// Err is the server's error; nil without.
	Err error
}

func (e *DigestError) Error() string {
	text := "the object " + e.Want + " of the fleet " + e.Reason + ": push the file again"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the server's error.
func (e *DigestError) Unwrap() error { return e.Err }

// objects are the files of releases, by their digests.
type objects struct {
	store jetstream.ObjectStore
	age   time.Duration // for how long an object is kept that no record names
	again atomic.Uint64 // times that an object was asked for again
}

// fetch returns the content of a file. What is not as its digest says is asked for again, fetchTries times in all.
func (o *objects) fetch(ctx context.Context, f ReleaseFile) (data []byte, err error) {
	pause := fetchPause
	for try := 1; ; try++ {
		if data, err = o.fetchOnce(ctx, f); err == nil || try == fetchTries || ctx.Err() != nil {
			return data, err
		}
		o.again.Add(1)
		if wait.For(ctx, pause) != nil {
			return nil, err
		}
		pause *= 2
	}
}

func (o *objects) fetchOnce(ctx context.Context, f ReleaseFile) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	object, err := o.store.Get(ctx, f.SHA256)
	switch {
	case errors.Is(err, jetstream.ErrObjectNotFound):
		return nil, &DigestError{f.SHA256, "is not there", nil}
	case err != nil:
		return nil, fmt.Errorf("read the object %s: %w", f.SHA256, err)
	}
	// What the store says of the size is not believed.
	data, err := io.ReadAll(io.LimitReader(object, f.Bytes+1))
	closed := object.Close()
	if err == nil && int64(len(data)) <= f.Bytes {
		err = closed // else it was not read to its end
	}
	switch {
	case errors.Is(err, jetstream.ErrDigestMismatch):
		return nil, &DigestError{f.SHA256, "is not whole", err}
	case err != nil:
		return nil, fmt.Errorf("read the object %s: %w", f.SHA256, err)
	case int64(len(data)) != f.Bytes:
		return nil, &DigestError{f.SHA256, fmt.Sprintf("has not the %d bytes that were pushed", f.Bytes), nil}
	case fileDigest(data) != f.SHA256:
		return nil, &DigestError{f.SHA256, "has another digest", nil}
	}
	return data, nil
}

// put stores a file, unless it is there and whole. One that is old becomes new: another push may be about to prune it.
func (o *objects) put(ctx context.Context, f ReleaseFile, data []byte) error {
	bounded, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	if _, err := o.fetchOnce(bounded, f); err == nil {
		info, err := o.store.GetInfo(bounded, f.SHA256)
		if err == nil && time.Since(info.ModTime) >= o.age/2 {
			err = o.store.UpdateMeta(bounded, f.SHA256, info.ObjectMeta) // which stores its time anew
		}
		if err == nil {
			return nil
		}
	}
	if _, err := o.store.PutBytes(bounded, f.SHA256, data); err != nil {
		return fmt.Errorf("store %d bytes in the fleet's bucket of objects: %w", len(data), err)
	}
	return nil
}

// prune deletes objects that none of the records names, if they are old.
func (o *objects) prune(ctx context.Context, records []*Wanted) error {
	named := make(map[string]bool)
	for _, w := range records {
		for _, r := range []*Release{w.Current, w.Previous, &w.Rollout.Release} {
			if r != nil {
				for _, f := range r.Files {
					named[f.SHA256] = true
				}
			}
		}
	}
	list, err := o.store.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil
	}
	for _, info := range list {
		if !named[info.Name] && time.Since(info.ModTime) > o.age {
			err = errors.Join(err, o.drop(ctx, info.Name))
		}
	}
	return err
}

// drop deletes an object, unless somebody has just stored it anew.
func (o *objects) drop(ctx context.Context, name string) error {
	info, err := o.store.GetInfo(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) || err == nil && time.Since(info.ModTime) <= o.age {
		return nil
	}
	if err != nil {
		return err
	}
	return o.store.Delete(ctx, name)
}
