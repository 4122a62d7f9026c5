package bolt

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/resonhost/resonhost/internal/filelock"
	"github.com/resonhost/resonhost/state"
)

// lock is the file whose lock makes its holder the owner of a directory. It says who that is. It is
// never removed: who has opened it before that would hold a lock on nothing.
type lock struct{ f *os.File }

// maxOwner is how much of a lock file is read, in bytes.
const maxOwner = 1 << 10

func lockDir(dir string) (*lock, error) {
	name := filepath.Join(dir, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, classify("open the lock", err)
	}
	if err := filelock.Lock(f); errors.Is(err, filelock.ErrLocked) {
		err = &state.OwnerError{Where: dir, Owner: readOwner(f), Err: state.ErrInUse}
		return nil, errors.Join(err, f.Close())
	} else if err != nil {
		return nil, errors.Join(classify("lock "+name, err), f.Close())
	}
	l := &lock{f}
	if err := l.write(); err != nil {
		return nil, errors.Join(classify("write "+name, err), l.unlock())
	}
	return l, nil
}

// write says who has the lock.
func (l *lock) write() error {
	host, _ := os.Hostname()
	b, err := json.Marshal(state.Owner{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err = l.f.WriteAt(b, 0)
	return err
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

// unlock gives the lock up, which closing does.
func (l *lock) unlock() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
}
