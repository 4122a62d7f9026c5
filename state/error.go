package state

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Sentinels, for [errors.Is].
var (
	// ErrNotFound: there is no record of that key.
	ErrNotFound = errors.New("no such record is stored")
	// ErrCorrupt: what is stored is no record, or is not the record that was saved.
	ErrCorrupt = errors.New("is corrupt")
	// ErrNewer: a newer version has written it, which this one cannot read.
	ErrNewer = errors.New("was written by a newer version")
	// ErrKey: a record is sealed and its key is not at hand, or is not sealed and should be.
	ErrKey = errors.New("the key does not fit")
	// ErrInvalid: a store cannot keep such a record.
	ErrInvalid = errors.New("cannot be stored")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("store is closed")
	// ErrInUse: the store has another owner, see [OwnerError].
	ErrInUse = errors.New("store is in use")
	// ErrLost: the store has another owner by now, so that nothing more is saved.
	ErrLost = errors.New("store has been taken over")
	// ErrFull: there is no room for what is to be saved.
	ErrFull = errors.New("store is full")
	// ErrReadOnly: nothing can be written where the store is.
	ErrReadOnly = errors.New("store is read-only")
	// ErrUnavailable: the store cannot be reached, or does not answer in time.
	ErrUnavailable = errors.New("store is unavailable")
)

// Fault is a sort of failure of a store. Its text is stable: it is for labels of metrics and for
// logs.
type Fault string

// Faults. All but the last three are of one sentinel each.
const (
	FaultNotFound    Fault = "not_found"
	FaultCorrupt     Fault = "corrupt"
	FaultNewer       Fault = "newer"
	FaultKey         Fault = "key"
	FaultInvalid     Fault = "invalid"
	FaultClosed      Fault = "closed"
	FaultInUse       Fault = "in_use"
	FaultLost        Fault = "lost"
	FaultFull        Fault = "full"
	FaultReadOnly    Fault = "read_only"
	FaultUnavailable Fault = "unavailable"
	// FaultTimeout: the caller's context had a deadline, which is over.
	FaultTimeout Fault = "timeout"
	// FaultCancelled: the caller's context was cancelled.
	FaultCancelled Fault = "cancelled"
	// FaultIO: anything else, such as a disk that fails.
	FaultIO Fault = "io"
)

// faults has the faults in the order in which FaultOf looks for them: what is wrong with a record
// or a store is more than that time is up.
var faults = [...]struct {
	fault Fault
	err   error
}{
	{FaultNotFound, ErrNotFound},
	{FaultCorrupt, ErrCorrupt},
	{FaultNewer, ErrNewer},
	{FaultKey, ErrKey},
	{FaultInvalid, ErrInvalid},
	{FaultClosed, ErrClosed},
	{FaultInUse, ErrInUse},
	{FaultLost, ErrLost},
	{FaultFull, ErrFull},
	{FaultReadOnly, ErrReadOnly},
	{FaultUnavailable, ErrUnavailable},
	{FaultTimeout, context.DeadlineExceeded},
	{FaultCancelled, context.Canceled},
}

// Faults returns every Fault.
func Faults() []Fault {
	list := make([]Fault, 0, len(faults)+1)
	for _, f := range faults {
		list = append(list, f.fault)
	}
	return append(list, FaultIO)
}

// FaultOf returns of which sort an error of a store is, "" of nil.
func FaultOf(err error) Fault {
	if err == nil {
		return ""
	}
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.fault
		}
	}
	return FaultIO
}

// RecordError is what is wrong with one record. The others are served.
type RecordError struct {
	// Key is the record's, zero if what is stored has no key that can be read.
	Key Key
	// Reason says what is wrong. It has nothing of the record's data.
	Reason string
	// Err is the sentinel.
	Err error
}

func (e *RecordError) Error() string {
	if e.Key == (Key{}) {
		return fmt.Sprintf("a record without a key: %v: %s", e.Err, e.Reason)
	}
	return fmt.Sprintf("record %v: %v: %s", e.Key, e.Err, e.Reason)
}

func (e *RecordError) Unwrap() error { return e.Err }

// Owner is who has opened a store.
type Owner struct {
	// PID is the process, on the machine whose name Host is.
	PID  int    `json:"pid"`
	Host string `json:"host"`
	// Since is when it opened the store.
	Since time.Time `json:"since"`
}

// String is the owner for a person to read.
func (o Owner) String() string {
	if o == (Owner{}) {
		return "another process"
	}
	return fmt.Sprintf("process %d on %.256q since %s", o.PID, o.Host, o.Since.UTC().Format(time.RFC3339))
}

// OwnerError is a store that another owner has. It wraps [ErrInUse] or [ErrLost].
type OwnerError struct {
	// Where is the store's directory or address.
	Where string
	// Owner is who has it, zero if that is not known.
	Owner Owner
	// Err is the sentinel.
	Err error
}

func (e *OwnerError) Error() string { return fmt.Sprintf("%s: %v by %v", e.Where, e.Err, e.Owner) }

func (e *OwnerError) Unwrap() error { return e.Err }
