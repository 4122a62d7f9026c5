// Package fsevents reads the events of a file system that fsnotify tells of.
package fsevents

import "github.com/fsnotify/fsnotify"

// Pump empties a watcher's channels until the watcher is closed. After an event of which matters
// says true, and after each error, such as that events were dropped, it wakes whoever receives from
// wake, which has a capacity of 1. lost, which may be nil, is called for each error.
//
// It is to run in a goroutine of its own, and its functions must not call the watcher: that may
// hold, while it sends, the lock that its Add takes.
func Pump(w *fsnotify.Watcher, wake chan<- struct{}, matters func(fsnotify.Event) bool, lost func(error)) {
	for {
		select {
		case ev, ok := <-w.Events:
			if !ok {
				return
			}
			if !matters(ev) {
				continue
			}
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			if lost != nil {
				lost(err)
			}
		}
		Wake(wake)
	}
}

// Wake sends what is not waited for: to a channel of capacity 1, unless it is full.
func Wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
