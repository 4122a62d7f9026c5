package stream

// Same reports whether [Store.Done] would find what [Entry.Set] was given to be what there was. Its caller
// has the turn.
func (s *Store[S]) Same(e *Entry[S]) bool {
	s.compare(e)
	return e.changes == same
}
