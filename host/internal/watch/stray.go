package watch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Stray is a companion that is not read, though its author may think so.
type Stray struct{ File, Reason string }

// maxStrays is how many are told of at a time.
const maxStrays = 20

const leadsNowhere = "it is a link that leads nowhere"

var errNowhere = errors.New(leadsNowhere)

// Strays returns the companions of the suffix Companion that a directory has now and that are not read, and
// the files of the suffix Misnamed, sorted by name; 20 at most. A plugin without the companion that its
// author wrote serves all the same.
func Strays(c Config) []Stray {
	c.Log = nil // what a look has to tell, reading tells
	d := newDisk(c.withDefaults())
	return d.look().strays // with an error there are none, which reading the plugins tells
}

// strays returns the strays among the files of a look that has seen the plugins.
func (d *disk) strays(there map[string]bool, l *look) (all []Stray) {
	if d.cfg.Companion == "" || d.cfg.only != "" {
		return nil
	}
	for file := range there {
		name, ok := cutSuffix(file, d.cfg.Misnamed)
		if ok {
			all = append(all, Stray{file, "companion files end in " + d.cfg.Companion + ": call it " + name + d.cfg.Companion})
			continue
		}
		if name, ok = cutSuffix(file, d.cfg.Companion); !ok {
			continue
		}
		if slices.Contains(l.links, file) && !stampAt(filepath.Join(d.cfg.Dir, file)).there {
			all = append(all, Stray{file, leadsNowhere})
		} else if _, ok := l.files[name]; !ok {
			all = append(all, Stray{file, "there is no " + name + d.cfg.Suffix + " beside it"})
		}
	}
	slices.SortFunc(all, func(a, b Stray) int { return strings.Compare(a.File, b.File) })
	return all[:min(len(all), maxStrays)]
}

func cutSuffix(file, suffix string) (string, bool) {
	if suffix == "" {
		return "", false
	}
	return strings.CutSuffix(file, suffix)
}

// stayed is since when there has been a stray, and whether that was told.
type stayed struct {
	since time.Time
	told  bool
}

// tellStrays logs what has been a stray for Gone, once each. It returns when to look next.
func (w *Watcher) tellStrays(now time.Time, seen []Stray) (next time.Time) {
	next = never
	strays := make(map[Stray]stayed, len(seen))
	for _, s := range seen {
		at, known := w.strays[s]
		if !known {
			at.since = now
		}
		switch due := at.since.Add(w.cfg.Gone); {
		case at.told:
		case now.Before(due):
			next = earlier(next, due)
		default:
			at.told = true
			w.cfg.Log.Warn("a companion file is not read", "file", s.File, "reason", s.Reason)
		}
		strays[s] = at
	}
	w.strays = strays
	return next
}

// stampManifest is [stampAt] of what could be a manifest. A link that leads nowhere counts as a file that
// cannot be read, unless the manifest was read before: nobody knows which files it would name.
func stampManifest(path string, read bool) stamp {
	s := stampAt(path)
	if s.there || read {
		return s
	}
	if _, err := os.Lstat(path); err != nil {
		return s
	}
	return stamp{there: true, fault: leadsNowhere}
}
