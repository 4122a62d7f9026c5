package bolt

import (
	"context"
	"errors"
	"os"

	"go.etcd.io/bbolt"
)

// compactTx is how many bytes a transaction of a compaction has.
const compactTx = 16 << 20

// Compact makes the file as small as what it has, which a file never becomes by itself. It takes as
// much room again meanwhile. Other calls wait. If the process ends before it is done, the file is as
// it was.
func (s *Store) Compact(ctx context.Context) error {
	return s.write(ctx, func() error {
		s.dbMu.Lock()
		defer s.dbMu.Unlock()
		if err := s.inPlace(); err != nil { // or what has its name by now would be replaced
			return err
		}
		if err := s.copyTo(s.path(newName)); err != nil {
			return errors.Join(classify("compact "+s.path(fileName), err), removeIfThere(s.path(newName)))
		}
		if err := s.db.Close(); err != nil {
			return s.reopen(err)
		}
		return s.reopen(s.putInPlace())
	})
}

// copyTo copies all records to a new file and syncs it.
func (s *Store) copyTo(path string) error {
	if err := removeIfThere(path); err != nil {
		return err
	}
	// bbolt syncs each transaction; the last one ends the file.
	db, _, err := openDB(path, s.opt)
	if err != nil {
		return err
	}
	return errors.Join(bbolt.Compact(db, s.db, compactTx), db.Close())
}

// reopen opens the file that has the name, the old one or the new, after it was closed.
func (s *Store) reopen(err error) error {
	s.file = nil
	db, file, openErr := openDB(s.path(fileName), s.opt)
	if openErr != nil {
		s.calls.Fail(openErr)
		return errors.Join(err, openErr)
	}
	s.db, s.file = db, file
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
