package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Stray is a file that is not read, though its author may think so.
type Stray struct{ File, Reason string }

// maxStrays is how many are told of at a time. The last of them tells how many more there are.
const maxStrays = 20

const leadsNowhere = "it is a link that leads nowhere"

var errNowhere = errors.New(leadsNowhere)

// Strays returns the files that a directory has now, that look as if they were meant for the host and
// that are not read, sorted by name; 20 at most. A plugin without what its author wrote beside it serves
// all the same.
//
// Such files are those of the suffixes Alone without a plugin, those whose name ends almost as one
// that is read, and documents of which Manifest.Doubt says so. Hidden files are not.
func Strays(c Config) []Stray {
	c.Log = nil // what a look has to tell, reading tells
	d := newDisk(c.withDefaults())
	return d.look().strays // with an error there are none, which reading the plugins tells
}

// strays returns the strays among the files of a look that has seen the plugins.
func (d *disk) strays(there map[string]bool, l *look) (all []Stray) {
	if d.cfg.only != "" {
		return nil
	}
	for file := range there {
		if reason := d.stray(file, l); reason != "" {
			all = append(all, Stray{file, reason})
		}
	}
	slices.SortFunc(all, func(a, b Stray) int { return strings.Compare(a.File, b.File) })
	if more := len(all) - maxStrays; more > 0 {
		all = all[:maxStrays]
		all[maxStrays-1].Reason += fmt.Sprintf("; there are %d more such files", more)
	}
	return all
}

// stray returns why a file is a stray, "" if it is none.
func (d *disk) stray(file string, l *look) string {
	of, document := d.manifest(file)
	m := d.manifests[of]
	if document && m.claims {
		return ""
	}
	if right, ok := d.misnamed(file); ok {
		return "its name does not end as it must: call it " + right
	}
	if right, ok := d.capitals(file); ok && !document {
		return "only a name in small letters is a manifest's: if it is one, call it " + right
	}
	if document {
		return m.doubt
	}
	for _, suffix := range d.cfg.Alone {
		name, ok := strings.CutSuffix(file, suffix)
		if !ok || name == "" || name[0] == '.' {
			continue
		}
		if slices.Contains(l.links, file) && !stampAt(filepath.Join(d.cfg.Dir, file)).there {
			return leadsNowhere
		}
		if _, ok := l.files[name]; !ok {
			return "there is no " + name + d.cfg.Suffix + " beside it"
		}
	}
	return ""
}

// misnamed returns what a file would have to be called to be read, if its name ends almost so: in
// letters of another case, with .txt behind it, or as Misnamed says.
func (d *disk) misnamed(file string) (right string, ok bool) {
	if file == "" || file[0] == '.' {
		return "", false
	}
	endings := append([]string{d.cfg.Suffix}, d.cfg.Beside...)
	for _, ending := range endings {
		if name, ok := strings.CutSuffix(file, ending); ok {
			plugin, twice := strings.CutSuffix(name, d.cfg.Suffix) // x.wasm.plugin.yaml
			return plugin + ending, twice && slices.Contains(d.cfg.Alone, ending)
		}
	}
	bare, _ := cutFold(file, ".txt")
	for _, ending := range endings {
		if name, ok := cutFold(bare, ending); ok {
			return name + ending, true
		}
	}
	for wrong, ending := range d.cfg.Misnamed {
		if name, ok := cutFold(bare, wrong); ok {
			return name + ending, true
		}
	}
	return "", false
}

// capitals returns what a file would have to be called to be read as a manifest, if its name ends so in letters
// of another case. Other documents may be called so, too.
func (d *disk) capitals(file string) (right string, ok bool) {
	if d.cfg.Manifest == nil || file == "" || file[0] == '.' {
		return "", false
	}
	name, ok := cutFold(file, d.cfg.Manifest.Suffix)
	right = name + d.cfg.Manifest.Suffix
	return right, ok && right != file
}

// cutFold is [strings.CutSuffix] for a suffix in letters of either case, with something before it.
func cutFold(file, suffix string) (string, bool) {
	at := len(file) - len(suffix)
	if at <= 0 || !strings.EqualFold(file[at:], suffix) {
		return file, false
	}
	return file[:at], true
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
			w.cfg.Log.Warn("a file is not read", "file", s.File, "reason", s.Reason)
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
