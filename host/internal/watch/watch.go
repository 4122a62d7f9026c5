// Package watch tells what the plugin files of a directory are, once they have settled.
//
// What it tells is what lies there, not what happened: any event makes it look at the
// whole directory, and it looks every so often without one. See ARCHITECTURE.md.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/resonhost/resonhost/internal/fsevents"
)

// Defaults of [Config].
const (
	DefaultSuffix    = ".wasm"
	DefaultMaxBytes  = 64 << 20
	DefaultMaxBeside = 1 << 20
	DefaultSettle    = 10 * time.Millisecond
	DefaultGone      = 2 * time.Second
	DefaultPoll      = 2 * time.Second
)

// Why a file that is there cannot be had. They come wrapped in an [fs.PathError].
var (
	ErrTooLarge  = errors.New("too large")
	ErrIrregular = errors.New("not a regular file")
	ErrUnsettled = errors.New("changes all the time")
)

// ErrStarted is returned by the second Start of a Watcher, and by one after Close.
var ErrStarted = errors.New("watch: started before, or closed")

// File is a plugin file that has settled, with what lies beside it. Nobody writes to its
// bytes.
type File struct {
	Name string // without the suffix
	Path string // of the plugin file, or of its manifest
	WASM []byte // nil with Err
	// Beside has, by file name, the companions that exist, and the files shared by all of
	// the directory. Nil with Err.
	Beside map[string][]byte
	// Modified is when the newest of them was written or put in place, as far as the file
	// system tells.
	Modified time.Time
	// Err says why the file, which is there, or a companion of it, cannot be had: an
	// [fs.PathError], of the file system or of ErrTooLarge, ErrIrregular, ErrUnsettled.
	Err error
}

// Change says that a file is another, or is gone.
type Change struct {
	Name string
	File *File // nil: the file is gone
}

// Config says what is watched. Its zero values stand for defaults, except Dir's.
type Config struct {
	Dir    string
	Suffix string // of the names of plugin files; default ".wasm"
	// Beside has the suffixes of a file's companions, which take the place of its own, such
	// as ".test.ndjson" and ".wasm.minisig".
	Beside []string
	// Alone has those of Beside whose files are told of if they belong to no plugin. Default: none.
	Alone []string
	// Misnamed has endings of names, in lower case, that are taken for others, and what these are. No
	// ending is the end of another. See [Strays].
	Misnamed map[string]string
	// Manifest is how files of another form are plugins too; nil if they are none.
	Manifest *Manifest
	// Shared has the names of files that are companions of all.
	Shared []string
	// MaxBytes returns how large the file of a plugin may be. Nil allows DefaultMaxBytes.
	MaxBytes  func(name string) int
	MaxBeside int // of each companion; default 1 MiB
	// Whole says whether these bytes can be all of a file; others are taken for half-written,
	// and told only once they have been so for Gone. Nil takes all for whole.
	// See [Module].
	Whole func(wasm []byte) bool
	// Settle is how long a file and its companions must have been unchanged; default 10 ms.
	Settle time.Duration
	// Gone is how long bad news must last until they are told: that a file is missing, that it
	// cannot be read, that it is not whole. Default 2 s.
	Gone time.Duration
	// Poll is the most time between two looks at the directory, for file systems without
	// events; default 2 s.
	Poll time.Duration
	Log  *slog.Logger // default: none

	only string // the one plugin that counts; "" for all
}

// Manifest is a form of files that name plugin files. The plugin has the manifest's name, and the files
// that it names are no plugins by themselves. They count as its companions.
type Manifest struct {
	Suffix string // of the names of manifests
	// Files returns the paths that a document names, relative to the directory and in it. It is false
	// for a document that is no manifest, which is let be. The error says what is wrong with the
	// document, apart from its files: it takes none from a plugin that is there. With an error and nil
	// paths nobody knows which files it names, and no new plugin file is read meanwhile.
	Files func(doc []byte) (paths []string, ok bool, err error)
	// Doubt says what is wrong with a document that is no manifest and may have been meant to be one, "" of
	// others. Nil says that of none.
	Doubt func(doc []byte) string
	// Yields has each manifest take no file from a plugin, and go behind a plugin file of its name.
	Yields bool
	// Assemble makes a plugin of a manifest. Of f it has all but WASM, which it sets; Beside has the
	// manifest and those of its files that exist, by their paths. It may change Beside.
	Assemble func(f *File, doc []byte) error
}

func (c Config) withDefaults() Config {
	if c.Suffix == "" {
		c.Suffix = DefaultSuffix
	}
	if c.MaxBytes == nil {
		c.MaxBytes = func(string) int { return DefaultMaxBytes }
	}
	if c.MaxBeside <= 0 {
		c.MaxBeside = DefaultMaxBeside
	}
	if c.Whole == nil {
		c.Whole = func([]byte) bool { return true }
	}
	if c.Settle <= 0 {
		c.Settle = DefaultSettle
	}
	if c.Gone <= 0 {
		c.Gone = DefaultGone
	}
	if c.Poll <= 0 {
		c.Poll = DefaultPoll
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Read returns the plugin files that are in the directory, sorted by name. If some were
// written lately it waits until they have settled and are whole, for Gone at most: one that
// is written all the time has Err. The error is that of the directory, or the context's.
func Read(ctx context.Context, c Config) ([]File, error) {
	c = c.withDefaults()
	d := newDisk(c)
	began := time.Now()
	for {
		now := time.Now()
		l := d.look()
		if l.err != nil {
			return nil, l.err
		}
		last := now.Sub(began) >= c.Gone
		files, wait := d.readAll(ctx, l, last)
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if wait == 0 {
			slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
			return files, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// ReadFile is [Read] for the plugin file of one name. Its error is the File's too, and
// [fs.ErrNotExist] if there is no such file.
func ReadFile(ctx context.Context, c Config, name string) (File, error) {
	c.only = name
	files, err := Read(ctx, c)
	if err != nil {
		return File{}, err
	}
	if len(files) > 0 {
		return files[0], files[0].Err
	}
	path := filepath.Join(c.Dir, name+c.withDefaults().Suffix)
	return File{}, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
}

// readAll reads the files of a look. Unless it is the last try, it returns how long to wait
// for those that were written lately or changed as they were read.
func (d *disk) readAll(ctx context.Context, l look, last bool) ([]File, time.Duration) {
	settle := d.cfg.Settle
	if !last {
		for _, s := range l.files {
			// A time in the future is of another clock and says nothing.
			if age := time.Since(newest(s)); age >= 0 && age < settle {
				return nil, settle - age
			}
		}
	}
	if l.unread && !last {
		return nil, max(settle, 50*time.Millisecond)
	}
	files := make([]File, 0, len(l.files))
	for name, s := range l.files {
		if ctx.Err() != nil {
			return nil, 0
		}
		f, ok := d.read(name, s)
		switch {
		case !ok && !last:
			return nil, settle
		case ok && d.judge(&f) != final && !last && time.Since(f.Modified) < d.cfg.Gone:
			return nil, max(settle, 50*time.Millisecond)
		case !ok:
			f = File{Name: name, Path: d.path(name), Modified: newest(s)}
			f.Err = &fs.PathError{Op: "read", Path: f.Path, Err: ErrUnsettled}
		}
		files = append(files, f)
	}
	return files, 0
}

// Watcher tells changes of a directory. Make one with [New].
type Watcher struct {
	cfg     Config
	disk    disk
	settler settler
	connect func() (*fsnotify.Watcher, error)
	changes chan Change
	asked   chan struct{} // of capacity 1, by Look
	stop    chan struct{}
	done    chan struct{}

	mu      sync.Mutex
	started bool
	closed  bool

	// Of the goroutine of Start.
	events   *events          // nil while there are none
	deaf     bool             // that events are missing has been logged
	away     bool             // that the directory is has been logged
	took     [2]time.Duration // by the last two looks: one of them may have been held up
	dir      stamp            // at the last look that saw it
	replaced bool             // another directory is in its place since, and has shown no plugin
	pending  []Change         // a name at most once
	strays   map[Stray]stayed // of the last look
}

// New returns a Watcher of c.Dir. Known is what [Read] returned: what differs from it when
// the Watcher starts is a change. Strays are those that the caller has told of; others are logged,
// once they have been strays for Gone.
func New(c Config, known []File, strays []Stray) *Watcher {
	c = c.withDefaults()
	w := &Watcher{
		cfg:     c,
		disk:    newDisk(c),
		settler: newSettler(c.Settle, c.Gone),
		connect: fsnotify.NewWatcher,
		changes: make(chan Change),
		asked:   make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
		strays:  make(map[Stray]stayed, len(strays)),
	}
	for _, s := range strays {
		w.strays[s] = stayed{told: true}
	}
	for i := range known {
		w.settler.know(known[i].Name, sumOf(&known[i]))
		w.disk.know(&known[i])
	}
	return w
}

// Start begins to watch. A directory that is not there is waited for.
func (w *Watcher) Start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started || w.closed {
		return ErrStarted
	}
	w.started = true
	go w.run()
	return nil
}

// Changes returns the channel of changes, which Close closes. Whoever receives slowly
// misses nothing but what has been replaced since: of each name only the newest change
// waits. Names are in no order.
func (w *Watcher) Changes() <-chan Change { return w.changes }

// Look has the directory looked at now, rather than within Poll.
func (w *Watcher) Look() { fsevents.Wake(w.asked) }

// Close ends watching and waits until it has ended. Changes that nobody received are
// dropped. It may be called more than once.
func (w *Watcher) Close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.stop)
		if !w.started {
			close(w.changes)
			close(w.done)
		}
	}
	w.mu.Unlock()
	<-w.done
}

func (w *Watcher) run() {
	defer close(w.done)
	defer close(w.changes)
	defer func() { w.events.close() }()

	due := time.Now() // when to look next
	rest := due       // not before
	polled := due     // when watches were last renewed
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var out chan<- Change
		var head Change
		if len(w.pending) > 0 {
			out, head = w.changes, w.pending[0]
		}
		select {
		case <-w.stop:
			return
		case out <- head:
			w.pending = slices.Delete(w.pending, 0, 1)
			continue
		case <-w.asked:
			polled, due = time.Now(), rest // watches are renewed too
		case <-w.events.wake():
			if !rest.Before(due) {
				continue
			}
			due = rest
		case <-timer.C:
			began := time.Now()
			renew := !began.Before(polled)
			if renew {
				polled = began.Add(w.cfg.Poll)
			}
			due = w.look(began, renew)
			if polled.Before(due) {
				due = polled
			}
			// However many events there are, looking takes a quarter of the time at most. What
			// is read has its own pace, that of Settle.
			rest = time.Now().Add(max(w.cfg.Settle/8, 3*min(w.took[0], w.took[1])))
			if due.Before(rest) {
				due = rest
			}
		}
		timer.Reset(time.Until(due))
	}
}

// look looks once, reads what has settled, and returns when to look next: the zero time
// stands for soon. With renew it makes sure of all watches.
func (w *Watcher) look(now time.Time, renew bool) time.Time {
	w.hear(renew)
	l := w.disk.look()
	w.took[0], w.took[1] = w.took[1], time.Since(now)
	ended := w.events.ended()
	moved := l.err == nil && l.dir.identity() != w.dir.identity()
	// A new directory may have the identity of the old, and no events tell of an unmounting.
	w.replaced = w.replaced || moved && w.dir.there || ended
	if l.err == nil && (len(l.files) > 0 || !w.settler.hasTold()) {
		w.replaced = false
	}
	if l.err == nil && w.replaced {
		l.err = &fs.PathError{Op: "read", Path: w.cfg.Dir, Err: errReplaced}
	}
	switch {
	case l.err != nil && !w.away:
		w.away = true
		w.cfg.Log.Warn("the plugin directory is away; its plugins serve on", "dir", w.cfg.Dir, "error", l.err)
	case l.err == nil && w.away:
		w.away = false
		w.cfg.Log.Info("the plugin directory is back", "dir", w.cfg.Dir)
	}
	if l.err != nil {
		w.settler.forget()
		return now.Add(w.cfg.Poll)
	}
	w.dir = l.dir
	if moved {
		w.hear(true) // the watch is of the directory that was there before
		l = w.disk.look()
		if l.err != nil {
			w.settler.forget()
			return time.Time{}
		}
	}
	w.events.follow(l)

	ready, gone, next := w.settler.look(now, l.files)
	next = earlier(next, w.tellStrays(now, l.strays))
	for _, name := range gone {
		w.tell(Change{Name: name})
	}
	for _, name := range ready {
		select {
		case <-w.stop:
			return next
		default:
		}
		f, ok := w.disk.read(name, l.files[name])
		if !ok {
			w.settler.disturbed(name)
			next = time.Time{}
			continue
		}
		tell, again := w.settler.read(time.Now(), name, sumOf(&f), w.disk.judge(&f))
		if tell {
			w.tell(Change{Name: name, File: &f})
		}
		next = earlier(next, again)
	}
	return next
}

var errReplaced = errors.New("another directory is in its place, without plugins")

// tell leaves a change to be received, in the stead of an older one of its name.
func (w *Watcher) tell(c Change) {
	if i := slices.IndexFunc(w.pending, func(p Change) bool { return p.Name == c.Name }); i >= 0 {
		w.pending[i] = c
		return
	}
	w.pending = append(w.pending, c)
}

// hear makes sure that the directory's events are heard, as far as the system has any.
func (w *Watcher) hear(renew bool) {
	var err error
	if w.events == nil {
		if !renew {
			return
		}
		var n *fsnotify.Watcher
		if n, err = w.connect(); err == nil {
			w.events = newEvents(n, w.disk.concerns)
		}
	}
	if err == nil {
		err = w.events.watch(w.cfg.Dir, renew)
	}
	switch {
	case err != nil && !w.deaf && !errors.Is(err, fs.ErrNotExist):
		w.deaf = true
		w.cfg.Log.Warn("no file-system events; looking at the plugin directory every so often",
			"dir", w.cfg.Dir, "every", w.cfg.Poll, "error", err)
	case err == nil && w.deaf:
		w.deaf = false
		w.cfg.Log.Info("file-system events of the plugin directory are back", "dir", w.cfg.Dir)
	}
}

func (d *disk) path(name string) string {
	suffix := d.cfg.Suffix
	if d.manifests[name].is {
		suffix = d.cfg.Manifest.Suffix
	}
	return filepath.Join(d.cfg.Dir, name+suffix)
}
