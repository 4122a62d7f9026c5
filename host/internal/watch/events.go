package watch

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/fsnotify/fsnotify"

	"github.com/resonhost/resonhost/internal/fsevents"
)

// events hears what happens in the directory, and where links in it lead, and says no more
// than that it is time to look. Its methods but close may be called on nil, and all by one
// goroutine only.
type events struct {
	fsnotify *fsnotify.Watcher
	concerns func(file string) bool
	woken    chan struct{} // of capacity 1
	done     chan struct{}
	lost     atomic.Bool           // watches may be gone
	end      atomic.Bool           // the directory was removed or renamed
	scope    atomic.Pointer[scope] // what pump filters by

	watched map[string]stamp // directories that have a watch, by their real path
	dir     string           // the real path of the directory
}

// scope says which events matter. It is not changed once published.
type scope struct {
	dir   string          // in there, files that concern plugins do
	paths map[string]bool // so do these, wherever they are
}

func newEvents(n *fsnotify.Watcher, concerns func(string) bool) *events {
	e := &events{
		fsnotify: n, concerns: concerns,
		woken: make(chan struct{}, 1), done: make(chan struct{}),
		watched: map[string]stamp{},
	}
	e.scope.Store(&scope{})
	go e.pump()
	return e
}

// pump wakes for what concerns plugins.
func (e *events) pump() {
	defer close(e.done)
	fsevents.Pump(e.fsnotify, e.woken, e.matters, func(error) { e.lost.Store(true) })
}

// matters reports whether an event concerns plugins.
func (e *events) matters(ev fsnotify.Event) bool {
	s := e.scope.Load()
	dir, file := filepath.Split(ev.Name)
	if !s.paths[ev.Name] && (filepath.Clean(dir) != s.dir || !e.concerns(file)) {
		return false
	}
	if ev.Name == s.dir {
		e.lost.Store(true)
		if ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename) {
			e.end.Store(true) // and something may be in its place by now
		}
	}
	return true
}

func (e *events) wake() <-chan struct{} {
	if e == nil {
		return nil
	}
	return e.woken
}

// ended reports whether the directory was removed or renamed since it was last asked.
func (e *events) ended() bool { return e != nil && e.end.Swap(false) }

func (e *events) close() {
	if e == nil {
		return
	}
	_ = e.fsnotify.Close() // which ends pump; nothing is to be done about a watch left behind
	<-e.done
}

// watch makes sure that the directory has a watch. With renew, all that fsnotify has let go
// are made anew. One that it still has is left alone: to add it again hides that the
// directory was removed, if one with the same inode number is there by now.
func (e *events) watch(dir string, renew bool) error {
	at, err := realPath(dir)
	if err != nil {
		return err
	}
	if e.dir != at {
		e.dir = at
		e.publish(nil)
	}
	lost := e.lost.Swap(false)
	if lost || renew {
		kept := e.fsnotify.WatchList()
		for dir := range e.watched {
			if lost || !slices.Contains(kept, dir) {
				e.watched[dir] = stamp{}
			}
		}
	}
	return e.add(at)
}

// add watches a directory, unless it is known to be watched.
func (e *events) add(dir string) error {
	s := stampAt(dir)
	if old := e.watched[dir]; old.there && old.identity() == s.identity() {
		return nil
	}
	if err := e.fsnotify.Add(dir); err != nil {
		return err
	}
	e.watched[dir] = s
	return nil
}

// A watch of a directory takes a descriptor for each file in it where kqueue is the means.
// Links of unknown directories are left to the poll there.
const followsLinks = runtime.GOOS == "linux" || runtime.GOOS == "windows"

// follow watches where the links of the directory lead. What cannot be watched is left to
// the poll.
func (e *events) follow(l look) {
	if e == nil || !followsLinks {
		return
	}
	var paths []string
	for _, name := range l.links {
		paths = append(paths, trail(e.dir, name)...)
	}
	wanted := map[string]bool{e.dir: true}
	for _, p := range paths {
		dir := filepath.Dir(p)
		if !wanted[dir] {
			wanted[dir] = true
			_ = e.add(dir)
		}
	}
	for dir := range e.watched {
		if !wanted[dir] {
			_ = e.fsnotify.Remove(dir)
			delete(e.watched, dir)
		}
	}
	e.publish(paths)
}

func (e *events) publish(paths []string) {
	s := &scope{dir: e.dir, paths: map[string]bool{e.dir: true}}
	for _, p := range paths {
		s.paths[p] = true
	}
	e.scope.Store(s)
}

func realPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// trail returns the real paths of the links that are followed from a file of dir, itself a
// real path, and of what they lead to, or of the first that is missing.
func trail(dir, file string) []string {
	const most = 64 // links; systems follow about 40
	var paths []string
	rest := []string{file}
	for len(rest) > 0 && len(paths) < most {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		if err != nil {
			return append(paths, path)
		}
		if info.Mode()&os.ModeSymlink == 0 {
			dir = path
			continue
		}
		paths = append(paths, path)
		target, err := os.Readlink(path)
		if err != nil {
			return paths
		}
		if filepath.IsAbs(target) {
			volume := filepath.VolumeName(target)
			dir = volume + string(filepath.Separator)
			target = target[len(volume):]
		}
		rest = append(strings.Split(filepath.ToSlash(target), "/"), rest...)
	}
	return append(paths, dir)
}
