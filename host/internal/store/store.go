// Package store keeps on disk what outlives a host: versions of plugins, which of them
// serve, and room for what they were compiled to. It knows nothing of any of it.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Store is a directory that several processes may share. Its methods may be called
// concurrently.
type Store struct{ dir string }

// Directories of a store.
const (
	compiled = "compiled"
	versions = "versions"
	records  = "plugins"
)

// ErrShared is wrapped by the error of [Open] for a directory that others can write to:
// what lies in it is run.
var ErrShared = errors.New("others can write to it")

// leftAfter is how long after its last change what is being written counts as left by a
// process that was killed. None takes nearly so long: compiling has its timeout, and a
// writer that loses what it wrote goes on without.
const leftAfter = time.Hour

// TempPattern is, for package os, what is being written and put in its place later.
const TempPattern = ".*.tmp"

// Open opens the store in a directory, which it makes, for its owner alone, if it is not
// there. What processes that were killed left half written in it is removed.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	parts := []string{filepath.Join(dir, compiled), filepath.Join(dir, versions), filepath.Join(dir, records)}
	for _, d := range append([]string{dir}, parts...) {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
		info, err := os.Stat(d)
		if err != nil {
			return nil, err
		}
		if err := checkOwner(info); err != nil {
			return nil, fmt.Errorf("%s: %w", d, err)
		}
	}
	for _, d := range parts { // the directory itself may have what is not the store's
		sweep(d)
	}
	return &Store{dir}, nil
}

// sweep removes what was left half written in a directory. What cannot be removed stays: it
// does no harm.
func sweep(dir string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, d := range list {
		if !tempForm.MatchString(d.Name()) {
			continue
		}
		name := filepath.Join(dir, d.Name())
		if changed := lastChange(name); !changed.IsZero() && time.Since(changed) > leftAfter {
			_ = os.RemoveAll(name)
		}
	}
}

// lastChange is when a file, or the youngest of a tree, was changed; zero if that cannot be
// told.
func lastChange(name string) (last time.Time) {
	err := filepath.WalkDir(name, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err // another process was faster, or writes
		}
		info, err := d.Info()
		if err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
		return err
	})
	if err != nil {
		return time.Time{}
	}
	return last
}

// Compiled is the directory for what plugins were compiled to.
func (s *Store) Compiled() string { return filepath.Join(s.dir, compiled) }

var (
	idForm   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	tempForm = regexp.MustCompile(`^\.\d+\.tmp$`) // what package os makes of TempPattern
	fileForm = regexp.MustCompile(`^[^/\\\x00]{1,200}$`)
)

func (s *Store) version(id string) (string, error) {
	if !idForm.MatchString(id) {
		return "", fmt.Errorf("store: %.80q is no identity of a version", id)
	}
	return filepath.Join(s.dir, versions, id), nil
}

// Keep keeps the files of a version by its identity, 64 hexadecimal digits, or notes that
// it is still in use. What is there and is not what it should be is replaced.
func (s *Store) Keep(id string, files map[string][]byte) error {
	dir, err := s.version(id)
	if err != nil {
		return err
	}
	there, err := s.Read(id)
	switch {
	case err == nil && maps.EqualFunc(there, files, bytes.Equal):
		now := time.Now()
		return os.Chtimes(dir, now, now)
	case !errors.Is(err, fs.ErrNotExist):
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	temp, err := os.MkdirTemp(filepath.Join(s.dir, versions), TempPattern)
	if err != nil {
		return err
	}
	for name, data := range files {
		if !fileForm.MatchString(name) || name[0] == '.' {
			err = fmt.Errorf("store: %.80q is no name of a file", name)
			break
		}
		if err = WriteFile(filepath.Join(temp, name), data); err != nil {
			break
		}
	}
	if err == nil {
		err = os.Rename(temp, dir)
	}
	if err != nil {
		_ = os.RemoveAll(temp)                      // Open gets what is left
		if _, there := os.Stat(dir); there == nil { // another process was faster
			return nil
		}
	}
	return err
}

// Read returns the files of a version. What it is it must tell by itself: they may have
// rotted. An error is fs.ErrNotExist if there is no such version.
func (s *Store) Read(id string) (map[string][]byte, error) {
	dir, err := s.version(id)
	if err != nil {
		return nil, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	for _, d := range list {
		b, err := os.ReadFile(filepath.Join(dir, d.Name()))
		if err != nil {
			return nil, err
		}
		files[d.Name()] = b
	}
	return files, nil
}

// PruneVersions removes versions beyond limit bytes, the longest unused first, but not
// those that a record names. Records of directories that are gone are removed.
func (s *Store) PruneVersions(limit int64) error {
	list, err := os.ReadDir(filepath.Join(s.dir, records))
	if err != nil {
		return err
	}
	var keep []string
	for _, d := range list {
		key, ok := strings.CutSuffix(d.Name(), ".json")
		if !ok {
			continue
		}
		r, err := s.Load(key)
		if err != nil {
			continue // whoever loads it says so
		}
		if _, err := os.Stat(r.Dir); r.Dir != "" && errors.Is(err, fs.ErrNotExist) {
			if err := s.Forget(key); err != nil {
				return err
			}
			continue
		}
		keep = append(keep, r.Serving, r.Previous)
	}
	_, err = Prune(filepath.Join(s.dir, versions), limit, keep...)
	return err
}

// Record is which versions of a plugin serve, by their identities; "" is none.
type Record struct {
	// Plugin says whose it is, for whoever looks at the file.
	Plugin string `json:"plugin"`
	// Dir is the plugin directory, without which the record has no meaning.
	Dir string `json:"dir,omitempty"`
	// Serving serves, and Previous did before: names of versions.
	Serving  string `json:"serving"`
	Previous string `json:"previous,omitempty"`
	// Trial is on trial, and Rejected was rolled back, by identities of the host's.
	Trial    string `json:"trial,omitempty"`
	Rejected string `json:"rejected,omitempty"`
	// Since is when Serving began to serve, and By what had it do so; zero if that is not known.
	Since time.Time `json:"since,omitzero"`
	By    string    `json:"by,omitempty"`
	// RejectedAt is when Rejected was rolled back.
	RejectedAt time.Time `json:"rejected_at,omitzero"`
	// Resets is whether streams begin anew whose states Serving cannot read, as was decided when it was
	// rolled back to.
	Resets bool `json:"resets,omitempty"`
	// Paused is whether it takes no tasks.
	Paused bool `json:"paused,omitempty"`
}

func (s *Store) record(key string) (string, error) {
	if !idForm.MatchString(key) {
		return "", fmt.Errorf("store: %.80q is no key of a record", key)
	}
	return filepath.Join(s.dir, records, key+".json"), nil
}

// Save replaces a record; key is 64 hexadecimal digits.
func (s *Store) Save(key string, r Record) error {
	name, err := s.record(key)
	if err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return WriteFile(name, append(b, '\n'))
}

// Load returns a record, empty if there is none.
func (s *Store) Load(key string) (r Record, err error) {
	name, err := s.record(key)
	if err != nil {
		return r, err
	}
	b, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, nil
	case err != nil:
		return r, err
	}
	if r, err = ParseRecord(b); err != nil {
		return Record{}, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// ParseRecord reads the JSON of a record.
func ParseRecord(b []byte) (r Record, err error) {
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, err
	}
	for _, id := range []string{r.Serving, r.Previous, r.Trial, r.Rejected} {
		if id != "" && !idForm.MatchString(id) {
			return Record{}, fmt.Errorf("%.80q is no identity of a version", id)
		}
	}
	return r, nil
}

// Forget removes a record, if there is one.
func (s *Store) Forget(key string) error {
	name, err := s.record(key)
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Prune removes entries of a directory, the longest unused first, until all together
// have at most limit bytes. Those named in keep stay.
func Prune(dir string, limit int64, keep ...string) (removed int, err error) {
	type entry struct {
		name string
		used time.Time
		size int64
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var entries []entry
	var total int64
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			continue // another process was faster
		}
		e := entry{name: d.Name(), used: info.ModTime()}
		_ = filepath.WalkDir(filepath.Join(dir, d.Name()), func(_ string, d fs.DirEntry, err error) error {
			if err == nil {
				if info, err := d.Info(); err == nil {
					e.size += info.Size()
				}
			}
			return nil // likewise
		})
		entries = append(entries, e)
		total += e.size
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.used.Compare(b.used) })
	var errs []error
	for _, e := range entries {
		if total <= limit {
			break
		}
		if slices.Contains(keep, e.name) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.name)); err != nil {
			errs = append(errs, err)
			continue
		}
		total -= e.size
		removed++
	}
	return removed, errors.Join(errs...)
}

// WriteFile writes a file that is there whole or not at all.
func WriteFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), TempPattern)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
