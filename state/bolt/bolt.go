// Package bolt keeps state in a directory of this machine, in one file of bbolt.
//
// A directory has one owner at a time: a second [Open] is refused and told who has it. The file is
// checked before bbolt maps it, because bbolt trusts what it finds there: see [Open]. The directory
// must lie on a file system of this machine, where locks and fsync hold.
package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/internal/calls"
)

// Files of a directory.
const (
	fileName = "state.db"
	newName  = "state.db.new" // a file that is being made
	lockName = "state.lock"
)

const (
	// bucket has all records. A later layout has a bucket of another number.
	bucket       = "resonhost state 1"
	bucketPrefix = "resonhost state "

	// fill is how full pages become when they are split. New keys come in any order: at 0.9 files of
	// 100,000 small records become a third larger.
	fill = 0.7

	// lockWait is how long bbolt waits for its own lock, which a tool of bbolt's may hold.
	lockWait = time.Second

	// openGrace is how long Open waits once its context has ended for what it has begun, so that the directory is
	// given up when it returns.
	openGrace = time.Second
)

// Options of a store. The zero value is ready to use.
type Options struct {
	// Codec makes of records what is stored, such as sealed.
	Codec state.Codec
	// MaxBytes is how large the file may become; 0 is as large as there is room. Beyond it Save has
	// errors that wrap [state.ErrFull].
	MaxBytes int
	// MustExist has Open return an error that wraps [fs.ErrNotExist] if there is no store, and make
	// none.
	MustExist bool
	// ReadOnly has nothing written, so that a directory can be read where nothing can be written. MustExist is so, too.
	// Save and Compact return errors that wrap [state.ErrReadOnly]. Any number of processes may read a directory,
	// and none may have it otherwise meanwhile.
	ReadOnly bool
	// Logger is told of damage that could be mended; nil is for none.
	Logger *slog.Logger
}

// Store is a [state.Store] in a directory. Make one with [Open].
type Store struct {
	dir  string
	opt  Options
	lock *lock
	used bool // another had the directory before

	// writer has room for the one call that may write.
	writer chan struct{}

	encoders sync.Pool // of *encoded

	dbMu sync.RWMutex // held for reading by those who use db, for writing by who replaces it
	db   *bbolt.DB
	file *os.File // that db has open, and closes

	calls calls.Group // failed once db is not to be used any more
}

var _ state.Store = (*Store)(nil)

// Open opens the store in a directory, and makes both if they are not there. It waits for nobody.
// On a disk that does not answer it ends a second after its context, and what was begun goes on: the directory is in
// use until the disk has answered.
//
// It reads all pages of the file that lead to records. What bbolt follows blindly is proven first:
// lengths, offsets, the order of keys, and that each page has one use. So a file that was cut off
// or damaged is an error, and never ends the process. For 100,000 small records it takes some tenths
// of a second.
//
// The error wraps [state.ErrInUse], and is an [*state.OwnerError], if another process has the
// directory; [state.ErrCorrupt] if the file is damaged as a whole; [state.ErrNewer] if a later
// version has made it; [state.ErrReadOnly] or [state.ErrFull] if the directory cannot be written
// to. What is wrong with single records is told when they are read.
func Open(ctx context.Context, dir string, opt Options) (*Store, error) {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	type opened struct {
		s   *Store
		err error
	}
	done, gone := make(chan opened), make(chan struct{})
	go func() {
		s, err := open(ctx, dir, opt)
		select {
		case done <- opened{s, err}:
		case <-gone:
			if s != nil {
				_ = s.Close() // nobody is left who could be told
			}
		}
	}()
	select {
	case o := <-done:
		return o.s, o.err
	case <-ctx.Done():
	}
	late := time.NewTimer(openGrace)
	defer late.Stop()
	select {
	case o := <-done:
		return o.s, o.err
	case <-late.C:
		close(gone)
		return nil, fmt.Errorf("open %s: the disk does not answer: %w", dir, ctx.Err())
	}
}

func open(ctx context.Context, dir string, opt Options) (*Store, error) {
	if opt.MustExist || opt.ReadOnly {
		if _, err := os.Stat(filepath.Join(dir, fileName)); err != nil {
			return nil, classify("look for the store", err)
		}
	}
	_, noLock := os.Stat(filepath.Join(dir, lockName))
	l, err := take(ctx, dir, opt.ReadOnly)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, opt: opt, lock: l, used: noLock == nil, writer: make(chan struct{}, 1)}
	if err := s.run(ctx, func() error { return s.openLocked(ctx) }); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// take makes the directory if it is not there, and makes this process its owner or one of its readers.
func take(ctx context.Context, dir string, readOnly bool) (*lock, error) {
	if readOnly {
		return lockToRead(dir)
	}
	if err := makeDir(dir); err != nil {
		return nil, classify("make the directory of states", err)
	}
	return lockDir(ctx, dir)
}

// makeDir makes a directory and those above that are not there, durably: each has its name in the one above it.
func makeDir(dir string) error {
	var above []string
	for d := dir; ; {
		if _, err := os.Stat(d); !errors.Is(err, os.ErrNotExist) {
			break
		}
		d = filepath.Dir(d)
		above = append(above, d)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range above {
		if err := syncDir(d); err != nil && !errors.Is(err, os.ErrPermission) { // who may not list it cannot sync it
			return err
		}
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// openLocked opens the file, which it makes first if it is not there. Nobody else uses the store.
func (s *Store) openLocked(ctx context.Context) error {
	if !s.opt.ReadOnly {
		if err := s.prepare(); err != nil {
			return err
		}
	}
	warning, err := checkFile(ctx, s.path(fileName))
	if err != nil {
		return fmt.Errorf("%s: %w", s.path(fileName), err)
	}
	if warning != "" {
		s.opt.Logger.Warn("the file of states is damaged, and is used as it was before its last save", "file", s.path(fileName), "reason", warning)
	}
	s.db, s.file, err = openDB(s.path(fileName), s.opt)
	return err
}

// prepare makes the file if it is not there, and removes what was left half made of one.
func (s *Store) prepare() error {
	if err := os.Remove(s.path(newName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return classify("remove what was left half made", err)
	}
	if _, err := os.Stat(s.path(fileName)); errors.Is(err, os.ErrNotExist) {
		if s.used {
			s.opt.Logger.Warn(lockName+" is there and "+fileName+" is not: the store begins empty, and has nothing of what was kept here", "directory", s.dir)
		} else {
			s.opt.Logger.Info("a new store of states is made", "directory", s.dir)
		}
		return s.create()
	}
	return nil
}

// openDB opens a file that was checked, or that is new. It returns the file, too, whatever has its name later.
func openDB(path string, of Options) (db *bbolt.DB, file *os.File, err error) {
	opt := bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType, MaxSize: of.MaxBytes, ReadOnly: of.ReadOnly, PreLoadFreelist: true}
	opt.OpenFile = func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	db, err = bbolt.Open(path, 0o600, &opt)
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, nil, &state.OwnerError{Where: path, Err: state.ErrInUse}
	}
	if err != nil {
		return nil, nil, classify("open "+path, err)
	}
	return db, file, nil
}

// create makes a file without records. It has its name once it is whole.
func (s *Store) create() (err error) {
	db, _, err := openDB(s.path(newName), Options{})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte(bucket))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return classify("make "+s.path(newName), err)
	}
	return s.putInPlace()
}

// putInPlace gives the new file its name, durably.
func (s *Store) putInPlace() error {
	if err := os.Rename(s.path(newName), s.path(fileName)); err != nil {
		return classify("rename "+s.path(newName), err)
	}
	return classify("sync "+s.dir, syncDir(s.dir))
}

// run calls f in a goroutine of its own: a disk that does not answer holds nobody up but f. A file
// that is cut off while it is mapped, or a disk that cannot be read, is a fault of memory. Then f has
// an error, and the store is not used any more.
func (s *Store) run(ctx context.Context, f func() error) error {
	return s.calls.Run(ctx, func() error { return s.caught(f) })
}

// caught calls f, and makes an error of its panic. It is the last that its goroutine does.
func (s *Store) caught(f func() error) (err error) {
	debug.SetPanicOnFault(true)
	defer func() {
		if p := recover(); p != nil {
			err = s.damaged(p)
			s.calls.Fail(err)
		}
	}()
	return f()
}

// view calls f with the bucket of records, as it is for as long as f takes.
func (s *Store) view(ctx context.Context, f func(*bbolt.Bucket) error) error {
	return s.run(ctx, func() error {
		s.dbMu.RLock()
		defer s.dbMu.RUnlock()
		return s.db.View(func(tx *bbolt.Tx) error { return f(tx.Bucket([]byte(bucket))) })
	})
}

// write calls f when no other call writes. If the context ends meanwhile, f still ends what it has
// begun.
func (s *Store) write(ctx context.Context, f func() error) error {
	if s.opt.ReadOnly {
		return fmt.Errorf("%s: %w: it was opened to be read", s.dir, state.ErrReadOnly)
	}
	select {
	case s.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.calls.Begin(ctx); err != nil {
		<-s.writer
		return err
	}
	return s.calls.Wait(ctx, func() error {
		defer func() { <-s.writer }()
		return s.caught(f)
	})
}

// Load implements [state.Store].
func (s *Store) Load(ctx context.Context, key state.Key) (state.Record, error) {
	if err := key.Check(); err != nil {
		return state.Record{}, err
	}
	stored := state.AppendKey(nil, key)
	var r state.Record
	err := s.view(ctx, func(b *bbolt.Bucket) (err error) {
		v := b.Get(stored)
		if v == nil {
			return fmt.Errorf("%w: %v", state.ErrNotFound, key)
		}
		r, err = s.opt.Codec.Decode(key, v)
		return err
	})
	if err != nil {
		return state.Record{}, err
	}
	return r, nil
}

// Save implements [state.Store]. All changes of a call are kept together, or none of them. The error wraps
// [state.ErrLost] for as long as the file is not where the store was opened, or another is there: then the changes
// are in the file, and the next owner does not find it.
func (s *Store) Save(ctx context.Context, changes []state.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := state.CheckChanges(changes); err != nil {
		return err
	}
	of, _ := s.encoders.Get().(*encoded)
	if of == nil {
		of = new(encoded)
	}
	if err := of.encode(ctx, s.opt.Codec, changes); err != nil {
		return err
	}
	return s.write(ctx, func() error {
		defer s.encoders.Put(of) // bbolt has what it needs by then
		s.dbMu.RLock()
		defer s.dbMu.RUnlock()
		if len(changes) > 0 {
			if err := s.db.Update(func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte(bucket))
				b.FillPercent = fill
				return of.put(ctx, b)
			}); err != nil {
				return classify("save to "+s.path(fileName), err)
			}
		}
		return s.inPlace()
	})
}

// inPlace returns an error if the file that is open is not the one that the next start finds, or was cut off. It is
// asked after a save: what is moved meanwhile has the save, and goes on with it once it is put back.
func (s *Store) inPlace() error {
	now, err := os.Stat(s.path(fileName))
	if errors.Is(err, os.ErrNotExist) {
		return &lostError{s.path(fileName)}
	}
	if err != nil {
		return classify("look for the file", err)
	}
	ours, err := s.file.Stat()
	switch {
	case err != nil:
		return classify("look at the file that is open", err)
	case !os.SameFile(ours, now):
		return &lostError{s.path(fileName)}
	}
	return s.db.View(func(tx *bbolt.Tx) error {
		if now.Size() >= tx.Size() {
			return nil
		}
		err := s.damaged(nil)
		s.calls.Fail(err)
		return err
	})
}

// How much of a listing is read at a time. In between others can write, and pages that were replaced
// meanwhile become free.
const (
	listRecords = 1000
	listBytes   = 4 << 20
)

// List implements [state.Store]. Records come in the order of their stored keys.
func (s *Store) List(ctx context.Context, f state.Filter, visit func(state.Record) error) error {
	prefix := f.StoredPrefix()
	next := prefix
	for next != nil || prefix == nil {
		records, following, err := s.page(ctx, &f, prefix, next)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := visit(r); err != nil {
				return err
			}
		}
		if following == nil {
			return nil
		}
		next = following
	}
	return nil
}

// page reads some records of a listing, from a stored key on. It returns the stored key at which
// the next page begins, nil if there is none.
func (s *Store) page(ctx context.Context, f *state.Filter, prefix, from []byte) (records []state.Record, next []byte, err error) {
	var found []state.Record
	var following []byte
	err = s.view(ctx, func(b *bbolt.Bucket) error {
		size := 0
		c := b.Cursor()
		for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if len(found) == listRecords || size >= listBytes {
				following = bytes.Clone(k)
				return nil
			}
			if r, ok := s.record(f, k, v); ok {
				found = append(found, r)
				size += len(r.Data)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return found, following, nil
}

// record reads a record of a listing, unless the filter leaves it out.
func (s *Store) record(f *state.Filter, k, v []byte) (state.Record, bool) {
	key, err := state.ParseKey(k)
	if err != nil {
		return state.Record{Err: err}, *f == state.Filter{Data: f.Data}
	}
	if !f.Match(key) {
		return state.Record{}, false
	}
	var r state.Record
	if f.Data {
		r, err = s.opt.Codec.Decode(key, v)
	} else {
		r, err = s.opt.Codec.DecodeHead(key, v, len(v))
	}
	if err != nil {
		return state.Record{Key: key, Err: err}, true
	}
	return r, true
}

// Stats implements [state.Store]. It reads the heads of all records.
func (s *Store) Stats(ctx context.Context) (state.Stats, error) {
	st, err := state.Count(ctx, s)
	if err != nil {
		return state.Stats{}, err
	}
	var file, free int64
	err = s.run(ctx, func() error {
		s.dbMu.RLock()
		defer s.dbMu.RUnlock()
		info, err := os.Stat(s.path(fileName))
		if err != nil {
			return classify("look at the file", err)
		}
		return s.db.View(func(tx *bbolt.Tx) error {
			db := s.db.Stats()
			file = info.Size()
			free = file - tx.Size() + int64(db.FreePageN+db.PendingPageN)*int64(s.db.Info().PageSize)
			return nil
		})
	})
	if err != nil {
		return state.Stats{}, err
	}
	st.FileBytes, st.FreeBytes = file, free
	return st, nil
}

// Close implements [state.Store].
func (s *Store) Close() error {
	first, broken := s.calls.Close()
	if !first {
		return nil
	}
	var err error
	switch {
	case s.file == nil:
	case broken == nil:
		err = classify("close "+s.path(fileName), s.db.Close())
	default: // it may hold locks of bbolt's in memory for ever, and its pages, which stay mapped, are not to be touched
		err = classify("unlock "+s.path(fileName), errors.Join(unlockFile(s.file), s.file.Close()))
	}
	return errors.Join(err, s.lock.unlock())
}

// Dir is the directory, absolute.
func (s *Store) Dir() string { return s.dir }
