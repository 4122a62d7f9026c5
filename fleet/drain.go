package fleet

// SetDraining has the worker take no more frames and calls, or take them again. Frames under way go on, and those that have come are
// done.
func (w *Worker) SetDraining(draining bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if draining == (w.admits != nil) {
		return
	}
	if !draining {
		close(w.admits)
		w.admits = nil
		return
	}
	w.admits = make(chan struct{})
	close(w.restart) // pulls end
	w.restart = make(chan struct{})
}

// Draining reports whether the worker is to take no frames.
func (w *Worker) Draining() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.admits != nil
}

// admitted waits until frames may be taken. It returns what is closed when pulls have to begin anew, and is false if the worker is
// closed.
func (w *Worker) admitted() (restart <-chan struct{}, ok bool) {
	for w.taking.Err() == nil {
		w.mu.Lock()
		restart, admits := w.restart, w.admits
		w.mu.Unlock()
		if admits == nil {
			return restart, true
		}
		select {
		case <-admits:
		case <-w.taking.Done():
		}
	}
	return nil, false
}
