package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/resonhost/resonhost/internal/wait"
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
  if type(n) == 'table' then
    if not string.find(n.err, 'WRONGTYPE', 1, true) then return n end
    n = -1
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
		return nil, s.fault(ctx, reads, err)
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
	gone   bool
}

// A listing has all names first, and then reads what is under them. A cursor of SCAN says something to the
// process alone that gave it. Another that takes its place in the middle, as after a failover, goes on with
// it somewhere, and leaves names out. So each step asks which process answers, and the names are looked for
// from the beginning when it is another. If it is another once all was visited, so are the names that are new.

// maxChanges is how often another server may take over during a listing.
const maxChanges = 8

// errMoved is a server of a cluster that does not have the store any more.
var errMoved = errors.New("another server of the cluster has the store")

// movedPause is how long a listing waits for the client to learn which server that is.
const movedPause = 100 * time.Millisecond

// listing is a call of List.
type listing struct {
	*Store

	filter  *state.Filter
	match   string
	server  string   // the process that has given the names; empty if it does not say
	names   []string // that are still to be visited, in their order
	visited []string // in their order, too
	any     bool     // there were names, also of what had gone when it was to be visited
	changes int
}

// List implements [state.Store].
func (s *Store) List(ctx context.Context, f state.Filter, visit func(state.Record) error) error {
	l := &listing{Store: s, filter: &f, match: escape.Replace(s.recordPrefix()+string(f.StoredPrefix())) + "*"}
	for {
		if err := l.find(ctx); err != nil {
			return err
		}
		if err := l.visit(ctx, visit); err != nil {
			return err
		}
		if another, err := l.replaced(ctx); err != nil || !another {
			return err
		}
	}
}

var escape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// find has the names of one server that were not visited yet.
func (l *listing) find(ctx context.Context) error {
	l.names = nil
	for cursor, first := uint64(0), true; first || cursor != 0; {
		var names []string
		var next uint64
		var server string
		err := l.calls.Run(ctx, func() (err error) {
			names, next, server, err = l.scan(ctx, cursor)
			return err
		})
		if errors.Is(err, errMoved) || err == nil && !first && server != l.server {
			if err := l.changed(ctx, err); err != nil {
				return err
			}
			l.names, cursor, first = nil, 0, true
			continue
		}
		if err != nil {
			return err
		}
		l.names, l.server, cursor, first = append(l.names, names...), server, next, false
	}
	slices.Sort(l.names)
	l.names = slices.Compact(l.names) // SCAN may return a key twice
	if len(l.visited) > 0 {
		l.names = slices.DeleteFunc(l.names, func(name string) bool {
			_, is := slices.BinarySearch(l.visited, name)
			return is
		})
	}
	l.any = l.any || len(l.names) > 0
	return nil
}

// changed counts that another server has taken over, and returns an error if that was too often. With
// errMoved it waits.
func (l *listing) changed(ctx context.Context, moved error) error {
	if l.changes++; l.changes > maxChanges {
		return fmt.Errorf("list %s: %w: another server took over %d times meanwhile, and what is listed would not be all: try again once one stays", l.shown, state.ErrUnavailable, l.changes)
	}
	if moved == nil {
		return nil
	}
	if c, ok := l.client.(*goredis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
	return wait.For(ctx, movedPause)
}

// replaced reports whether another server has taken over since the names were found.
func (l *listing) replaced(ctx context.Context) (another bool, err error) {
	if !l.any {
		return false, nil // only names were asked for
	}
	server := ""
	err = l.calls.Run(ctx, func() (err error) {
		server, err = l.ask(ctx, func(goredis.Pipeliner) {})
		return err
	})
	moved := errors.Is(err, errMoved)
	if err != nil && !moved || err == nil && server == l.server {
		return false, err
	}
	return true, l.changed(ctx, err)
}

// ask sends a server what add adds, and returns which process it is.
func (l *listing) ask(ctx context.Context, add func(goredis.Pipeliner)) (server string, err error) {
	c, err := l.home(ctx)
	if err != nil {
		return "", l.fault(ctx, lists, err)
	}
	var info *goredis.StringCmd
	cmds, err := c.Pipelined(ctx, func(p goredis.Pipeliner) error {
		add(p)
		if l.cluster {
			p.Exists(ctx, l.ownerKey()) // SCAN has no key by which a server would say that it has moved
		}
		info = p.Info(ctx, "server")
		return nil
	})
	for _, cmd := range cmds[:len(cmds)-1] {
		if err := cmd.Err(); goredis.HasErrorPrefix(err, "MOVED") || goredis.HasErrorPrefix(err, "ASK") {
			return "", errMoved
		} else if err != nil {
			return "", l.fault(ctx, lists, err)
		}
	}
	if mayNot(info.Err()) {
		l.tellInfo()
		return "", nil
	}
	if err != nil {
		return "", l.fault(ctx, lists, err)
	}
	for line := range strings.SplitSeq(info.Val(), "\r\n") {
		if id, ok := strings.CutPrefix(line, "run_id:"); ok {
			server = id
		}
	}
	return server, nil
}

// scan does a step of looking for names.
func (l *listing) scan(ctx context.Context, cursor uint64) (names []string, next uint64, server string, err error) {
	var step *goredis.ScanCmd
	server, err = l.ask(ctx, func(p goredis.Pipeliner) { step = p.Scan(ctx, cursor, l.match, listKeys) })
	if err != nil {
		return nil, 0, "", err
	}
	names, next = step.Val()
	return slices.DeleteFunc(names, func(name string) bool { return !l.wants(name) }), next, server, nil
}

// wants reports whether the listing has what is under a name.
func (l *listing) wants(name string) bool {
	stored, ok := strings.CutPrefix(name, l.recordPrefix())
	if !ok {
		return false
	}
	key, err := state.ParseKey([]byte(stored))
	if err != nil {
		return *l.filter == state.Filter{Data: l.filter.Data}
	}
	return l.filter.Match(key)
}

// visit visits what is under the names. They are the visited ones then, but for those that have gone.
func (l *listing) visit(ctx context.Context, visit func(state.Record) error) error {
	visited := l.names[:0]
	for chunk := range slices.Chunk(l.names, listKeys) {
		var list []found
		err := l.calls.Run(ctx, func() (err error) {
			list, err = l.heads(ctx, chunk)
			return err
		})
		if err == nil {
			err = l.pieces(ctx, list, visit)
		}
		if err != nil {
			return err
		}
		for i := range list {
			if !list[i].gone {
				visited = append(visited, list[i].name)
			}
		}
	}
	if l.names = nil; l.visited == nil {
		l.visited = visited
		return nil
	}
	l.visited = append(l.visited, visited...)
	slices.Sort(l.visited)
	return nil
}

// pieces visits records. Where their data is wanted, it is read in pieces.
func (l *listing) pieces(ctx context.Context, list []found, visit func(state.Record) error) error {
	for len(list) > 0 {
		n, size := len(list), 0
		if l.filter.Data {
			for n = 0; n < len(list) && (n == 0 || size+list[n].stored <= listBytes); n++ {
				size += list[n].stored
			}
			if err := l.calls.Run(ctx, func() error { return l.data(ctx, list[:n]) }); err != nil {
				return err
			}
		}
		for i := range list[:n] {
			if list[i].gone {
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

// heads reads the heads of records. Those are gone that are not there any more.
func (l *listing) heads(ctx context.Context, names []string) ([]found, error) {
	values, err := l.read(ctx, names, slices.Repeat([]any{state.PeekBytes - 1}, len(names)))
	if err != nil {
		return nil, err
	}
	list := make([]found, len(names))
	for i, name := range names {
		e := &list[i]
		e.name = name
		key, err := state.ParseKey([]byte(strings.TrimPrefix(name, l.recordPrefix())))
		if err != nil {
			e.record.Err = err
			e.gone = values[i].n == -2
			continue
		}
		if err = values[i].check(key); err == nil {
			e.stored = int(values[i].n)
			e.record, err = l.opt.Codec.DecodeHead(key, []byte(values[i].text), e.stored)
		}
		e.gone = errors.Is(err, state.ErrNotFound)
		if err != nil {
			e.stored, e.record = 0, state.Record{Key: key, Err: err}
		}
	}
	return list, nil
}

// data reads the data of records that have none yet. Those are gone that are not there any more.
func (s *Store) data(ctx context.Context, list []found) error {
	var keys []string
	var entries []*found
	var last []any
	for i := range list {
		if e := &list[i]; e.record.Err == nil && !e.gone {
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
			e.gone = true
		case err != nil:
			return err
		}
	}
	return nil
}

// Stats implements [state.Store]. It lists all records. How much room they take in the server is
// not known.
func (s *Store) Stats(ctx context.Context) (state.Stats, error) { return state.Count(ctx, s) }
