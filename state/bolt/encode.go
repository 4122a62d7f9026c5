package bolt

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/resonhost/resonhost/state"
)

// encoded is what changes are in the file, with nothing of the caller's: keys and values one behind the
// other in one piece of memory, which serves one save after the other. With a piece for each, a save of
// 100,000 records has the collector run beside the tasks of a host.
type encoded struct {
	bytes []byte
	ends  []ends
}

// ends is where a key ends, and its value behind it. What is deleted has no value.
type ends struct{ key, value int }

// After how many records or bytes of them other work of the process goes first.
const (
	yieldRecords = 64
	yieldBytes   = 64 << 10
)

// pace lets other work of the process go first now and then.
type pace struct{ records, bytes int }

// done takes note of a record that has been worked on, and of how many bytes it has.
func (p *pace) done(ctx context.Context, bytes int) {
	p.records++
	p.bytes += bytes
	if p.records >= yieldRecords || p.bytes >= yieldBytes {
		*p = pace{}
		state.Yield(ctx)
	}
}

// encode takes changes in place of those before.
func (e *encoded) encode(ctx context.Context, codec state.Codec, changes []state.Change) (err error) {
	e.bytes, e.ends = e.bytes[:0], e.ends[:0]
	var p pace
	for i := range changes {
		c := &changes[i]
		at := len(e.bytes)
		e.bytes = state.AppendKey(e.bytes, c.Key)
		key := len(e.bytes)
		if !c.Delete {
			if e.bytes, err = codec.AppendUnder(e.bytes, e.bytes[at:key], &c.Record); err != nil {
				return err
			}
		}
		e.ends = append(e.ends, ends{key, len(e.bytes)})
		p.done(ctx, len(e.bytes)-at)
	}
	return nil
}

// put makes the changes in a bucket, which has the memory until its transaction ends.
func (e *encoded) put(ctx context.Context, b *bbolt.Bucket) (err error) {
	at := 0
	var p pace
	for _, end := range e.ends {
		key, value := e.bytes[at:end.key], e.bytes[end.key:end.value]
		if len(value) == 0 {
			err = b.Delete(key)
		} else {
			err = b.Put(key, value)
		}
		if err != nil {
			return err
		}
		p.done(ctx, end.value-at)
		at = end.value
	}
	return nil
}
