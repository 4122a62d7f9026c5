package devloop

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/resonhost/resonhost/internal/fsevents"
)

// maxSources is how many files a project has at most, and maxSource how long one is, in
// bytes, of which what it has is compared: of longer ones it is size and time.
const (
	maxSources = 20_000
	maxSource  = 4 << 20
)

// notSources are patterns of the names of what is no source: what builds leave, what they
// write beside it, and what editors do. Hidden files are none either. A path is left out
// with the folder it is in.
var notSources = []string{
	"node_modules", "target",
	"*.wasm", "*.wasm.*", "*.new", "*.o", "*.a", "*.tmp", "*.map", "*.wat",
	"go.sum", "go.work.sum", "Cargo.lock", "package-lock.json", // what they follow from is a source
	"*~", "#*#", "4913", // of Emacs, and what Vim tries a folder with
}

// change is what happened to the sources since the last.
type change struct {
	// files are those that were written, made or removed, by their slashed paths, sorted, and
	// written has when, as far as that can be told: of those that are gone, when they were
	// missed.
	files   []string
	written map[string]time.Time
	// err says that the project cannot be read, such as that it is gone.
	err error
}

// sources tells which source files of a project change, once they have settled. What they
// have counts, and neither their times nor what became of them in between, so that a build
// that writes what was there already is no change. As in package watch of the host, events
// only say when to look, and it looks every so often without one.
type sources struct {
	dir          string
	ignore       []string // patterns of names
	settle, poll time.Duration
	most         int // files

	known map[string]entry
	lost  bool // the last look failed, which was told
}

// entry is a file as it was seen.
type entry struct {
	size     int64
	modified time.Time
	sum      [sha256.Size]byte
	young    bool // it may change within the same tick of the file system's clock
}

// youth is how long after it was written a file may change and have the same time, on file
// systems that count in seconds or two.
const youth = 2 * time.Second

// newSources looks at the project for what later looks are compared with.
func newSources(dir string, ignore []string, settle, poll time.Duration) (*sources, error) {
	s := &sources{dir: dir, ignore: slices.Concat(notSources, ignore), settle: settle, poll: poll, most: maxSources}
	for _, p := range ignore {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	var err error
	s.known, _, err = s.look()
	return s, err
}

// look reads what there is, and the folders that it is in. Links are followed: what lies in a
// folder that a link leads to has the link's name, unless it is in the project otherwise.
func (s *sources) look() (files map[string]entry, folders []string, err error) {
	root, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		return nil, nil, err
	}
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		return nil, nil, &fs.PathError{Op: "read", Path: s.dir, Err: errNoFolder}
	}
	l := &look{sources: s, now: time.Now(), files: make(map[string]entry), seen: make(map[string]bool), links: []link{{at: root}}}
	for len(l.links) > 0 {
		next := l.links[0]
		l.links = l.links[1:]
		err := l.folder(next.at, next.name)
		if errors.Is(err, fs.ErrPermission) && next.name != "" {
			err = nil // a link to what is another's
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return l.files, l.folders, nil
}

// look is a look under way.
type look struct {
	*sources

	now     time.Time
	files   map[string]entry
	folders []string
	seen    map[string]bool // folders, by their own paths: a link may lead back
	links   []link          // to folders that are to be read yet
}

// link leads to a folder, at its own path, by a slashed path in the project.
type link struct{ at, name string }

// folder reads a folder by its own path, and those in it.
func (l *look) folder(at, name string) error {
	if l.seen[at] {
		return nil
	}
	l.seen[at] = true
	list, err := os.ReadDir(at)
	switch {
	case errors.Is(err, fs.ErrNotExist) && name != "":
		return nil // gone since the folder around it was read
	case err != nil:
		return err
	}
	l.folders = append(l.folders, at)
	for _, d := range list {
		if l.ignored(d.Name()) {
			continue
		}
		in, inName := filepath.Join(at, d.Name()), path.Join(name, d.Name())
		if d.IsDir() {
			if err := l.folder(in, inName); err != nil {
				return err
			}
			continue
		}
		if d.Type()&fs.ModeSymlink != 0 {
			if info, err := os.Stat(in); err == nil && info.IsDir() {
				if target, err := filepath.EvalSymlinks(in); err == nil {
					l.links = append(l.links, link{target, inName})
				}
				continue
			}
		}
		e, ok := read(in, l.known[inName], l.now)
		if !ok {
			continue
		}
		if l.files[inName] = e; len(l.files) > l.most {
			return l.tooMany()
		}
	}
	return nil
}

// tooMany says where the files are: a link may lead to any folder of the system.
func (l *look) tooMany() error {
	counts := make(map[string]int)
	most := ""
	for name := range l.files {
		top, _, _ := strings.Cut(name, "/")
		if counts[top]++; counts[top] > counts[most] {
			most = top
		}
	}
	return fmt.Errorf("%s has more than %d files, most of them in %s; --ignore names what is no source", l.dir, l.most, most)
}

var errNoFolder = errors.New("is no folder")

func (s *sources) ignored(name string) bool {
	return strings.HasPrefix(name, ".") || slices.ContainsFunc(s.ignore, func(pattern string) bool {
		ok, _ := path.Match(pattern, name) // patterns were checked
		return ok
	})
}

// read sees a file, by what is known of it if it looks the same. It reports false if it is
// no regular file, or is gone.
func read(at string, known entry, now time.Time) (entry, bool) {
	info, err := os.Stat(at)
	if err != nil || !info.Mode().IsRegular() {
		return entry{}, false
	}
	e := entry{size: info.Size(), modified: info.ModTime()}
	if e.size == known.size && e.modified.Equal(known.modified) && !known.young {
		return known, true
	}
	e.young = now.Sub(e.modified) < youth
	if e.size > maxSource {
		e.sum = sha256.Sum256(fmt.Appendf(nil, "%d %v", e.size, e.modified))
		return e, true
	}
	f, err := os.Open(at)
	if err != nil {
		return e, true // as if it were empty: the build says why it cannot be read
	}
	defer func() { _ = f.Close() }() // nothing was written to it
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxSource)); err != nil {
		return e, true
	}
	h.Sum(e.sum[:0])
	return e, true
}

// differ lists the files that two looks do not agree in.
func differ(before, after map[string]entry) (names []string) {
	for name, e := range after {
		if b, ok := before[name]; !ok || b.sum != e.sum {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// add adds files that a look found changed.
func (c *change) add(names []string, files map[string]entry) {
	for _, name := range names {
		if !slices.Contains(c.files, name) {
			c.files = append(c.files, name)
		}
		if c.written == nil {
			c.written = make(map[string]time.Time)
		}
		if c.written[name] = files[name].modified; c.written[name].IsZero() {
			c.written[name] = time.Now()
		}
	}
}

// follow sends changes until ctx ends. What nobody has received yet is sent together. wake
// says that something happened, and folders is told which there are.
func (s *sources) follow(ctx context.Context, wake <-chan struct{}, folders func([]string), changes chan<- change) {
	timer := time.NewTimer(0) // there may have been changes since the first look
	defer timer.Stop()
	var first time.Time // of the events since the last look
	var pending change
	for {
		var out chan<- change
		if pending.err != nil || len(pending.files) > 0 {
			out = changes
		}
		select {
		case <-ctx.Done():
			return
		case out <- pending:
			pending = change{}
		case <-wake:
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			// Who writes all the time is looked at all the same.
			timer.Reset(min(s.settle, time.Until(first.Add(10*s.settle))))
		case <-timer.C:
			first = time.Time{}
			timer.Reset(s.poll)
			files, in, err := s.look()
			if err != nil {
				if !s.lost {
					s.lost, pending = true, change{err: err}
				}
				continue
			}
			folders(in)
			names := differ(s.known, files)
			if s.lost { // whatever is there now is to be built
				s.lost, pending = false, change{}
				names = append(names, s.dir)
			}
			s.known = files
			pending.add(names, files)
		}
	}
}

// events are those of the file system, in folders.
type events struct {
	fsnotify *fsnotify.Watcher // nil where there are none: polling is all then
	woken    chan struct{}     // of capacity 1
	done     chan struct{}
}

func newEvents() *events {
	e := &events{woken: make(chan struct{}, 1), done: make(chan struct{})}
	n, err := fsnotify.NewWatcher()
	if err != nil {
		close(e.done)
		return e
	}
	e.fsnotify = n
	go e.pump()
	return e
}

func (e *events) pump() {
	defer close(e.done)
	changes := func(ev fsnotify.Event) bool { return ev.Op != fsnotify.Chmod } // which leaves what a file has
	fsevents.Pump(e.fsnotify, e.woken, changes, nil)
}

// watch has events come from these folders and no others. One that cannot be watched is
// left to polling.
func (e *events) watch(folders []string) {
	if e.fsnotify == nil {
		return
	}
	before := e.fsnotify.WatchList()
	for _, f := range folders {
		if !slices.Contains(before, f) && e.fsnotify.Add(f) == nil {
			fsevents.Wake(e.woken) // something may have been written there meanwhile
		}
	}
	for _, f := range before {
		if !slices.Contains(folders, f) {
			_ = e.fsnotify.Remove(f)
		}
	}
}

func (e *events) close() {
	if e.fsnotify != nil {
		_ = e.fsnotify.Close() // which ends pump; nothing is to be done about a watch left behind
	}
	<-e.done
}
