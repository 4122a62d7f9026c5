package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/resonhost/resonhost/internal/filelock"
	"github.com/resonhost/resonhost/internal/wait"
	"github.com/resonhost/resonhost/state"
)

// lock is the file whose lock makes its holder the owner of a directory. It says who that is, or was. It is
// never removed: who has opened it before that would hold a lock on nothing.
type lock struct{ f *os.File }

// maxOwner is how much of a lock file is read, in bytes.
const maxOwner = 1 << 10

// lockDir makes this process the owner of a directory. It waits for who looks whether there is one.
func lockDir(ctx context.Context, dir string) (*lock, error) {
	name := filepath.Join(dir, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, classify("open the lock", err)
	}
	err = filelock.Lock(f)
	for end := time.Now().Add(lockWait); errors.Is(err, filelock.ErrLocked) && time.Now().Before(end) && filelock.LockShared(f) == nil; {
		if err := wait.For(ctx, time.Millisecond); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		err = filelock.Lock(f)
	}
	if errors.Is(err, filelock.ErrLocked) {
		err = &state.OwnerError{Where: dir, Owner: readOwner(f), Err: state.ErrInUse}
		return nil, errors.Join(err, f.Close())
	} else if err != nil {
		return nil, errors.Join(classify("lock "+name, err), f.Close())
	}
	l := &lock{f}
	l.write()
	return l, nil
}

// lockToRead has no owner write to the file of records until the lock is given up. It writes nothing. An owner's
// bbolt lets go of the file for a moment when it is compacted, and has not locked it yet at its start. So the lock of
// the owner is tried as well, for as long as it takes to lock the file.
func lockToRead(dir string) (*lock, error) {
	name := filepath.Join(dir, fileName)
	f, err := os.Open(name)
	if err != nil {
		return nil, classify("open the file", err)
	}
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s: %w: it is no file", name, state.ErrCorrupt), f.Close())
	}
	owner, err := os.Open(filepath.Join(dir, lockName)) // it need not be there
	if err == nil {
		defer func() { _ = owner.Close() }()
		err = filelock.LockShared(owner)
	}
	if !errors.Is(err, filelock.ErrLocked) {
		err = filelock.LockShared(f)
	}
	switch {
	case err == nil:
		return &lock{f}, nil
	case errors.Is(err, filelock.ErrLocked):
		err = &state.OwnerError{Where: dir, Owner: ownerOf(dir), Err: state.ErrInUse}
	default:
		err = classify("lock "+name, err)
	}
	return nil, errors.Join(err, f.Close())
}

// ownerOf reads who has a directory, as far as that can be read.
func ownerOf(dir string) state.Owner {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return state.Owner{}
	}
	defer func() { _ = f.Close() }()
	return readOwner(f)
}

// write says who has the lock, over what the owner before has left: a full disk has room for that. The lock is what
// counts, and the name is for others to read. So the directory is used though it cannot be written.
func (l *lock) write() {
	host, _ := os.Hostname()
	b, err := json.Marshal(state.Owner{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		_, err = l.f.WriteAt(b, 0)
	}
	if err != nil {
		b = nil // better nobody's name than another's
	}
	_ = l.f.Truncate(int64(len(b)))
}

// readOwner reads who has a lock. It is zero if the file does not say that yet.
func readOwner(f *os.File) state.Owner {
	var o state.Owner
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxOwner))
	if err != nil || json.Unmarshal(b, &o) != nil {
		return state.Owner{}
	}
	return o
}

// unlock gives the lock up, which closing does. The name stays, so that the next one has room for its own.
func (l *lock) unlock() error { return l.f.Close() }
