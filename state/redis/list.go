package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/resonhost/resonhost/state"
)

// How much of a listing is asked for at a time.
const (
	listKeys  = 1000
	listBytes = 4 << 20
)

// read returns of each key how long its value is, and the value as far as the byte ARGV[i]. The
// length is -1 of what is no string, and -2 of what is not there. A transaction would do for one
// key, but a server without memory refuses all transactions.
var read = goredis.NewScript(`
local found = {}
for i = 1, #KEYS do
  local n, value = redis.pcall('STRLEN', KEYS[i]), ''
  if type(n) == 'table' then n = -1
  elseif n == 0 and redis.call('EXISTS', KEYS[i]) == 0 then n = -2
  else value = redis.call('GETRANGE', KEYS[i], 0, ARGV[i]) end
  found[2 * i - 1] = n
  found[2 * i] = value
end
return found`)

// value is what read returns of a key.
type value struct {
	n    int64
	text string
}

// read reads values, each as far as a byte of its own.
func (s *Store) read(ctx context.Context, keys []string, last []any) ([]value, error) {
	reply, err := read.Run(ctx, s.client, keys, last...).Slice()
	if err == nil && len(reply) != 2*len(keys) {
		err = fmt.Errorf("%w: a script has another result than its own", errReply)
	}
	if err != nil {
		return nil, classify(ctx, "read from "+s.shown, err)
	}
	values := make([]value, len(keys))
	for i := range values {
		values[i].n, _ = reply[2*i].(int64)
		values[i].text, _ = reply[2*i+1].(string)
	}
	return values, nil
}

// check returns an error unless the value may be a record.
func (v *value) check(key state.Key) error {
	switch {
	case v.n == -2:
		return fmt.Errorf("%w: %v", state.ErrNotFound, key)
	case v.n < 0:
		return &state.RecordError{Key: key, Reason: "it is another type of Redis's than a string", Err: state.ErrCorrupt}
	case v.n > state.MaxStored:
		return &state.RecordError{Key: key, Reason: fmt.Sprintf("it has %d bytes, more than any record", v.n), Err: state.ErrCorrupt}
	}
	return nil
}

// found is a key that a listing has found.
type found struct {
	name   string
	stored int          // how long its value is
	record state.Record // without data
}

// List implements [state.Store].
func (s *Store) List(ctx context.Context, f state.Filter, visit func(state.Record) error) error {
	match := escape.Replace(s.recordPrefix()+string(f.StoredPrefix())) + "*"
	seen := make(map[string]struct{}) // SCAN may return a key twice
	for cursor := uint64(0); ; {
		var list []found
		err := s.calls.Run(ctx, func() (err error) {
			list, cursor, err = s.scan(ctx, &f, cursor, match, seen)
			return err
		})
		if err != nil {
			return err
		}
		if err := s.visit(ctx, &f, list, visit); err != nil {
			return err
		}
		if cursor == 0 {
			return nil
		}
	}
}

var escape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// visit visits what a step of a listing has found. Where the data is wanted, it is read in pieces.
func (s *Store) visit(ctx context.Context, f *state.Filter, list []found, visit func(state.Record) error) error {
	for len(list) > 0 {
		n, size := len(list), 0
		if f.Data {
			for n = 0; n < len(list) && (n == 0 || size+list[n].stored <= listBytes); n++ {
				size += list[n].stored
			}
			err := s.calls.Run(ctx, func() error { return s.data(ctx, list[:n]) })
			if err != nil {
				return err
			}
		}
		for i := range list[:n] {
			if list[i].name == "" { // it has gone meanwhile
				continue
			}
			if err := visit(list[i].record); err != nil {
				return err
			}
		}
		list = list[n:]
	}
	return nil
}

// scan does a step of a listing.
func (s *Store) scan(ctx context.Context, f *state.Filter, cursor uint64, match string, seen map[string]struct{}) ([]found, uint64, error) {
	c, err := s.home(ctx)
	if err != nil {
		return nil, 0, classify(ctx, "list "+s.shown, err)
	}
	names, next, err := c.Scan(ctx, cursor, match, listKeys).Result()
	if err != nil {
		return nil, 0, classify(ctx, "list "+s.shown, err)
	}
	var list, damaged []found
	var keys []string
	for _, name := range names {
		stored, ok := strings.CutPrefix(name, s.recordPrefix())
		if _, twice := seen[name]; twice || !ok {
			continue
		}
		seen[name] = struct{}{}
		key, err := state.ParseKey([]byte(stored))
		switch {
		case err != nil && *f == state.Filter{Data: f.Data}:
			damaged = append(damaged, found{name: name, record: state.Record{Err: err}})
		case err == nil && f.Match(key):
			list = append(list, found{name: name, record: state.Record{Key: key}})
			keys = append(keys, name)
		}
	}
	if list, err = s.heads(ctx, list, keys); err != nil {
		return nil, 0, err
	}
	return append(list, damaged...), next, nil
}

// heads reads the heads of records, and leaves out those that are not there any more.
func (s *Store) heads(ctx context.Context, list []found, keys []string) ([]found, error) {
	if len(list) == 0 {
		return nil, nil
	}
	values, err := s.read(ctx, keys, slices.Repeat([]any{state.PeekBytes - 1}, len(keys)))
	if err != nil {
		return nil, err
	}
	there := list[:0]
	for i, e := range list {
		key := e.record.Key
		err := values[i].check(key)
		if err == nil {
			e.stored = int(values[i].n)
			e.record, err = s.opt.Codec.DecodeHead(key, []byte(values[i].text), e.stored)
		}
		switch {
		case errors.Is(err, state.ErrNotFound):
			continue
		case err != nil:
			e.stored, e.record = 0, state.Record{Key: key, Err: err}
		}
		there = append(there, e)
	}
	return there, nil
}

// data reads the data of records that have none yet. Those that are not there any more lose their
// names.
func (s *Store) data(ctx context.Context, list []found) error {
	var keys []string
	var entries []*found
	var last []any
	for i := range list {
		if e := &list[i]; e.record.Err == nil {
			keys, entries = append(keys, e.name), append(entries, e)
			last = append(last, e.stored) // a byte more, to see whether it has grown
		}
	}
	if len(keys) == 0 {
		return nil
	}
	values, err := s.read(ctx, keys, last)
	if err != nil {
		return err
	}
	for i, e := range entries {
		key := e.record.Key
		if v := values[i]; v.n == int64(len(v.text)) {
			e.record, err = s.opt.Codec.Decode(key, []byte(v.text))
		} else { // it was changed meanwhile
			e.record, err = s.load(ctx, key)
		}
		fault := (*state.RecordError)(nil)
		switch {
		case errors.As(err, &fault):
			e.record = state.Record{Key: key, Err: err}
		case errors.Is(err, state.ErrNotFound):
			e.name = ""
		case err != nil:
			return err
		}
	}
	return nil
}

// Stats implements [state.Store]. It lists all records. How much room they take in the server is
// not known.
func (s *Store) Stats(ctx context.Context) (state.Stats, error) { return state.Count(ctx, s) }
