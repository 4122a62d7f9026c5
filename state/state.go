// Package state keeps what a host must not lose with its process: states of streams, networks,
// jobs with their results, and decisions about plugins. A [Store] keeps records. [Memory] is one;
// packages state/bolt and state/redis are others, and state/statetest holds any to the contract.
//
// The package imports the standard library alone, so that an embedder links no database for it.
package state

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Kind says what a record is of. It has 1 to 16 letters from a to z.
type Kind string

// Kinds.
const (
	// KindStream is the state of a stream of a transform.
	KindStream Kind = "stream"
	// KindNetwork is a part of a network of nodes.
	KindNetwork Kind = "network"
	// KindJob is a job, without its results, and KindOutput is a part of those.
	KindJob    Kind = "job"
	KindOutput Kind = "output"
	// KindPlugin is what was decided about a plugin: pinned, paused, on trial.
	KindPlugin Kind = "plugin"
)

// Kinds returns the kinds of records that a host keeps.
func Kinds() []Kind { return []Kind{KindStream, KindNetwork, KindJob, KindOutput, KindPlugin} }

// Bounds of what a store keeps.
const (
	maxKind = 16
	// MaxTenant and MaxTransform are how long these parts of a key may be, and MaxName how long its
	// name, in bytes.
	MaxTenant    = 256
	MaxTransform = 256
	MaxName      = 1024
	// MaxData is how long a record's data may be, in bytes.
	MaxData = 16 << 20
)

// Key names a record. All parts but the kind may hold any bytes, and may be empty.
type Key struct {
	Kind   Kind
	Tenant string
	// Transform is empty except for streams.
	Transform string
	Name      string
}

// String is the key for a person to read, with quotes where it has more than plain ASCII.
func (k Key) String() string {
	parts := []string{string(k.Kind), k.Tenant, k.Transform, k.Name}
	for i, p := range parts {
		if strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == '"' }) {
			parts[i] = strconv.QuoteToASCII(p)
		}
	}
	return strings.Join(parts, "/")
}

// Check returns an error that wraps [ErrInvalid] unless a store can keep a record under the key.
func (k Key) Check() error {
	switch {
	case !validKind(string(k.Kind)):
		return fmt.Errorf("%w: kind %.40q must have 1 to %d letters from a to z", ErrInvalid, k.Kind, maxKind)
	case k.Transform != "" && k.Kind != KindStream:
		return fmt.Errorf("%w: only a stream has a transform, and this is of kind %s", ErrInvalid, k.Kind)
	case len(k.Tenant) > MaxTenant:
		return fmt.Errorf("%w: tenant must have at most %d bytes, has %d", ErrInvalid, MaxTenant, len(k.Tenant))
	case len(k.Transform) > MaxTransform:
		return fmt.Errorf("%w: transform must have at most %d bytes, has %d", ErrInvalid, MaxTransform, len(k.Transform))
	case len(k.Name) > MaxName:
		return fmt.Errorf("%w: name must have at most %d bytes, has %d", ErrInvalid, MaxName, len(k.Name))
	}
	return nil
}

func validKind(k string) bool {
	return 1 <= len(k) && len(k) <= maxKind && !strings.ContainsFunc(k, func(r rune) bool { return r < 'a' || r > 'z' })
}

// Record is what is kept under a key.
type Record struct {
	Key Key
	// Format is of Data, as its writer numbers formats, from 0 to 2³¹−1.
	Format int
	// Changed is when Data became what it is, in whole milliseconds.
	Changed time.Time
	// Data is the receiver's own. It is nil in a listing without data.
	Data []byte
	// Size is the length of Data, also in a listing without it. Save does not look at it.
	Size int
	// Err is set in a listing only: why the record cannot be read, as Load would say. It is a
	// [*RecordError]. Of the other fields only Key is known then, and the zero Key stands for
	// something that is stored under no key at all.
	Err error
}

// Check returns an error that wraps [ErrInvalid] unless a store can keep the record.
func (r *Record) Check() error {
	if err := r.Key.Check(); err != nil {
		return err
	}
	switch {
	case r.Format < 0 || int64(r.Format) > maxFormat:
		return &RecordError{Key: r.Key, Reason: fmt.Sprintf("format must be between 0 and %d, is %d", maxFormat, r.Format), Err: ErrInvalid}
	case len(r.Data) > MaxData:
		return &RecordError{Key: r.Key, Reason: fmt.Sprintf("data must have at most %d bytes, has %d", MaxData, len(r.Data)), Err: ErrInvalid}
	}
	return nil
}

// Change is a record to be kept in place of what is under its key, or a key whose record is to go.
type Change struct {
	Record

	// Delete has what is under the key deleted. All of the record but its key is ignored.
	Delete bool
}

// CheckChanges returns an error that wraps [ErrInvalid] unless all changes can be kept. A store
// calls it before it changes anything.
func CheckChanges(changes []Change) error {
	for i := range changes {
		err := changes[i].Key.Check()
		if err == nil && !changes[i].Delete {
			err = changes[i].Check()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Filter says which records a listing has.
type Filter struct {
	// Kind is all kinds if empty.
	Kind Kind
	// Tenant is all tenants if nil.
	Tenant *string
	// Transform is all transforms if empty.
	Transform string
	// Prefix is what names begin with.
	Prefix string
	// Data has the records come with their data.
	Data bool
}

// Match reports whether a listing has the record of a key.
func (f *Filter) Match(k Key) bool {
	return (f.Kind == "" || k.Kind == f.Kind) && (f.Tenant == nil || k.Tenant == *f.Tenant) &&
		(f.Transform == "" || k.Transform == f.Transform) && strings.HasPrefix(k.Name, f.Prefix)
}

// Store keeps records. Its methods may be called concurrently. Each ends when its context does,
// with an error that wraps the context's, and [FaultOf] says of which sort any other error is.
//
// A store has one owner at a time, a host or a command. Opening one that has another is an error
// that wraps [ErrInUse].
type Store interface {
	// Load returns the record of a key. The error wraps [ErrNotFound] if there is none, and is a
	// [*RecordError] that wraps [ErrCorrupt], [ErrNewer] or [ErrKey] if it cannot be read. What
	// cannot be read stays until it is saved anew or deleted.
	Load(ctx context.Context, key Key) (Record, error)

	// Save keeps changes. Each record is afterwards the new one or the one before, whole, also if
	// the process or the machine ends meanwhile. When Save has returned nil, all changes outlast
	// that. After an error any of them may be kept, also later, so the caller saves all of them again.
	// They never replace what a Save that began after the error has kept. Of
	// several changes of one key the last counts. Deleting what is not there is no error. Save does
	// not keep the data. Without changes it says whether a save could be: its error is the one of a store
	// that is closed, lost or away, as far as the store sees that without writing.
	Save(ctx context.Context, changes []Change) error

	// List calls visit once for each record that matches, in the order of the stored keys that [AppendKey]
	// makes. Where visit returns an error, the listing ends with that error. A record that cannot be read is
	// in it, with Err. A record that changes meanwhile may be in it as it was or as it is, and one that is
	// saved or deleted meanwhile may be in it or not. Visit may call the store. If another server takes
	// over meanwhile, the listing has all that the new one has. Records that only that one has come last.
	// One that it has lost may be there, and one that it has as before may be in it as it was before or
	// after.
	List(ctx context.Context, f Filter, visit func(Record) error) error

	// Stats says how much is kept. It may take as long as a listing.
	Stats(ctx context.Context) (Stats, error)

	// Close gives the store up. It waits for calls that are under way. Calls that come later have
	// errors that wrap [ErrClosed], but a second Close returns nil.
	Close() error
}

// Stats is how much a store keeps.
type Stats struct {
	Usage

	// Kinds has of each kind how much there is of it.
	Kinds map[Kind]Usage
	// Damaged is how many records a listing without data shows with an error. They are not among
	// the others.
	Damaged int
	// FileBytes is what the store takes where it is kept, and FreeBytes is how much of that is free
	// for later records; 0 if the store cannot tell.
	FileBytes, FreeBytes int64
}

// Usage is a number of records.
type Usage struct {
	Records int
	// Bytes is the length of their data.
	Bytes int64
}

// Add counts a record of a kind.
func (s *Stats) Add(k Kind, size int) { s.add(k, 1, int64(size)) }

// Remove takes back what Add counted.
func (s *Stats) Remove(k Kind, size int) { s.add(k, -1, -int64(size)) }

func (s *Stats) add(k Kind, records int, bytes int64) {
	if s.Kinds == nil {
		s.Kinds = make(map[Kind]Usage)
	}
	u := s.Kinds[k]
	u.Records += records
	u.Bytes += bytes
	s.Kinds[k] = u
	if u.Records == 0 {
		delete(s.Kinds, k)
	}
	s.Records += records
	s.Bytes += bytes
}

// Clone returns a copy that shares nothing.
func (s *Stats) Clone() Stats {
	c := *s
	c.Kinds = maps.Clone(s.Kinds)
	return c
}

// Count counts what a store lists. Stores without a quicker way use it.
func Count(ctx context.Context, s Store) (Stats, error) {
	var st Stats
	err := s.List(ctx, Filter{}, func(r Record) error {
		if r.Err != nil {
			st.Damaged++
		} else {
			st.Add(r.Key.Kind, r.Size)
		}
		return nil
	})
	if err != nil {
		return Stats{}, err
	}
	return st, nil
}
