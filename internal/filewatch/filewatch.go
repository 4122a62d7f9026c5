// Package filewatch follows a few small files that belong together, such as a certificate and its
// key, and takes over what they have once they have settled.
package filewatch

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/resonhost/resonhost/internal/fsevents"
)

// Defaults of [Config].
const (
	DefaultSettle   = 50 * time.Millisecond
	DefaultPatience = 2 * time.Second
	DefaultPoll     = 2 * time.Second
	DefaultMax      = 1 << 20
)

// Config says what is followed. The zero value of a duration or a size is its default.
type Config struct {
	// Paths are the files.
	Paths []string
	// Max is how long one may be, in bytes.
	Max int
	// Settle is for how long the files must stay as they are before they are taken over.
	Settle time.Duration
	// Patience is for how long files must be bad before Told hears of it: somebody may be about to
	// write the other one of a pair.
	Patience time.Duration
	// Poll is how often the files are looked at without any event.
	Poll time.Duration
	// Take takes over what the files have, in the order of Paths, or says what is wrong with it.
	Take func(contents [][]byte) error
	// Told hears nil when other contents than before were taken over, and when those that were
	// there before bad ones are back. It hears an error once for each that is new: then Take still
	// has what it took last. Take and Told are called by one goroutine.
	Told func(error)
}

// Watcher follows files until it is closed.
type Watcher struct {
	cfg    Config
	asked  chan struct{} // of capacity 1
	woken  chan struct{} // of capacity 1
	stop   chan struct{}
	done   chan struct{}
	close  sync.Once
	events *fsnotify.Watcher // nil if the system has none

	good      sum // of what was taken last
	settled   sum // of what was judged last
	candidate sum // what was there at the last look, and since when
	since     time.Time
	bad       error // of settled; nil if that is good
	badSince  time.Time
	told      string // the error that was told last, "" if none was since the files were good
}

type sum [sha256.Size]byte

// Read reads files, each of which has at most limit bytes. The error names the file.
func Read(paths []string, limit int) (contents [][]byte, err error) {
	for _, p := range paths {
		b, err := readOne(p, limit)
		if err != nil {
			return nil, err
		}
		contents = append(contents, b)
	}
	return contents, nil
}

func readOne(path string, limit int) (_ []byte, err error) {
	info, err := os.Stat(path) // first, as opening a pipe may wait for ever
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("longer than %d bytes", limit)}
	}
	return b, err
}

// sumOf tells contents apart, or errors.
func sumOf(contents [][]byte, err error) sum {
	var b bytes.Buffer
	if err != nil {
		b.WriteString("error " + err.Error())
	}
	for _, c := range contents {
		h := sha256.Sum256(c)
		b.Write(h[:])
	}
	return sha256.Sum256(b.Bytes())
}

// Start follows files that have had the contents so far, as [Read] returned them.
func Start(cfg Config, contents [][]byte) *Watcher {
	if cfg.Settle <= 0 {
		cfg.Settle = DefaultSettle
	}
	if cfg.Patience <= 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Poll <= 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.Max <= 0 {
		cfg.Max = DefaultMax
	}
	w := &Watcher{
		cfg: cfg, asked: make(chan struct{}, 1), woken: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		good: sumOf(contents, nil),
	}
	w.settled, w.candidate = w.good, w.good
	if events, err := fsnotify.NewWatcher(); err == nil { // without it the files are polled
		w.events = events
	}
	go w.run()
	return w
}

// Look has the files looked at now.
func (w *Watcher) Look() { fsevents.Wake(w.asked) }

// Close ends the following and waits until it has ended. It may be called more than once.
func (w *Watcher) Close() {
	w.close.Do(func() { close(w.stop) })
	<-w.done
}

func (w *Watcher) run() {
	defer close(w.done)
	var pump sync.WaitGroup
	if w.events != nil {
		pump.Go(func() { fsevents.Pump(w.events, w.woken, w.matters, nil) })
		defer pump.Wait()
		defer func() { _ = w.events.Close() }() // nothing is to be done about a watch left behind
	}
	timer := time.NewTimer(0) // as something may have changed before there was a watch
	defer timer.Stop()
	var rest time.Time // not before
	for {
		select {
		case <-w.stop:
			return
		case <-w.woken:
			// However many events there are, the files are looked at now and then.
			if wait := time.Until(rest); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-w.asked:
		case <-timer.C:
		}
		w.watch()
		next := w.look(time.Now())
		rest = time.Now().Add(w.cfg.Settle)
		timer.Reset(next)
	}
}

// look looks at the files once, and returns in what time to look again.
func (w *Watcher) look(now time.Time) time.Duration {
	contents, err := Read(w.cfg.Paths, w.cfg.Max)
	s := sumOf(contents, err)
	switch {
	case s != w.candidate:
		w.candidate, w.since = s, now
		return w.cfg.Settle
	case s == w.settled:
		return w.still(now)
	case now.Sub(w.since) < w.cfg.Settle:
		return w.cfg.Settle - now.Sub(w.since)
	}
	w.settled = s
	if s == w.good { // back again: nothing was taken in between
		w.bad = nil
		if w.told != "" {
			w.told = ""
			w.cfg.Told(nil)
		}
		return w.cfg.Poll
	}
	if err == nil {
		err = w.cfg.Take(contents)
	}
	if err == nil {
		w.good, w.bad, w.told = s, nil, ""
		w.cfg.Told(nil)
		return w.cfg.Poll
	}
	if w.bad == nil {
		w.badSince = now
	}
	w.bad = err
	return w.still(now)
}

// still tells of files that have been bad for long enough.
func (w *Watcher) still(now time.Time) time.Duration {
	if w.bad == nil || w.bad.Error() == w.told {
		return w.cfg.Poll
	}
	if left := w.cfg.Patience - now.Sub(w.badSince); left > 0 {
		return min(left, w.cfg.Poll)
	}
	w.told = w.bad.Error()
	w.cfg.Told(w.bad)
	return w.cfg.Poll
}

// watch makes sure that the directories have watches: those of the files, and those that links lead
// to. Events only have the files looked at sooner.
func (w *Watcher) watch() {
	if w.events == nil {
		return
	}
	for _, p := range w.cfg.Paths {
		dirs := []string{filepath.Dir(p)}
		if at, err := filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(at))
		}
		for _, d := range dirs {
			_ = w.events.Add(d) // again each time, as the directory may be another by now
		}
	}
}

// matters reports whether an event is of one of the files, or of what links to them go by, as in the
// directory of a ConfigMap.
func (w *Watcher) matters(e fsnotify.Event) bool {
	name := filepath.Base(e.Name)
	return strings.HasPrefix(name, "..") || slices.ContainsFunc(w.cfg.Paths, func(p string) bool { return filepath.Base(p) == name })
}
