package stream

// Same reports whether [Store.Done] would find what [Entry.Set] was given to be what there was. Its caller
// has the turn.
func (s *Store[S]) Same(e *Entry[S]) bool {
	s.compare(e)
	return e.changes == same
}

// Counts returns how many entries there are, and how many of them wait to be saved.
func (s *Store[S]) Counts() (entries, dirty int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries), s.dirty.n
}
