package keeper

import (
	"maps"
	"time"

	"github.com/resonhost/resonhost/state"
)

// Stats is a snapshot of a keeper.
type Stats struct {
	// Saves is how many saves have succeeded, and SaveFailures how many have failed.
	Saves        uint64
	SaveFailures map[state.Fault]uint64
	// Saved and Deleted are how many records were saved and deleted, and SavedBytes is of states.
	Saved, Deleted, SavedBytes uint64
	// Last is the last save that succeeded and changed a record.
	Last Report
	// Loads is how many states were loaded, and LoadFailures how many could not be.
	Loads        uint64
	LoadFailures map[state.Fault]uint64
	// Lost is how many states were stored and not there when they were to be loaded.
	Lost uint64
	// Unreadable is how many records could not be read when the keeper began, by their kind: of streams, and of
	// what [Keeper.NoteUnreadable] has told.
	Unreadable map[state.Kind]int
	// Saving and Loading are since when the store fails; zero if it does not.
	Saving, Loading time.Time
}

func (s *Stats) saved(r Report) {
	s.Saves++
	s.Saved += uint64(r.Records)
	s.Deleted += uint64(r.Deleted)
	s.SavedBytes += uint64(r.Bytes)
	if r.Records+r.Deleted > 0 {
		s.Last = r
	}
}

// Stats returns a snapshot.
func (k *Keeper[S]) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.stats
	s.SaveFailures, s.LoadFailures = maps.Clone(s.SaveFailures), maps.Clone(s.LoadFailures)
	s.Unreadable = maps.Clone(s.Unreadable)
	s.Saving, s.Loading = k.saving.Since(), k.loading.Since()
	return s
}

// NoteUnreadable notes how many records of a kind could not be read. It may be called once for each.
func (k *Keeper[S]) NoteUnreadable(kind state.Kind, n int) {
	k.locking(func() {
		if k.stats.Unreadable == nil {
			k.stats.Unreadable = make(map[state.Kind]int)
		}
		k.stats.Unreadable[kind] = n
	})
}
