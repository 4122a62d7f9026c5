package watch

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stamp tells states of a file apart without reading it. The zero stamp is that of a file
// that is not there.
type stamp struct {
	mode     fs.FileMode
	there    bool
	size     int64
	modified int64 // in nanoseconds since 1970
	system   system
	fault    string // why there is no more
}

// system has what only some systems tell: which file it is, and when anything of it last
// changed, as a replaced file may have the size and the time of modification of the old.
type system struct {
	device, inode uint64
	changed       int64 // as modified; 0 where unknown
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{
		there: true, mode: info.Mode(), size: info.Size(), modified: info.ModTime().UnixNano(), system: systemOf(info),
	}
}

// identity is equal for two looks at the same file, and where systems do not tell.
func (s stamp) identity() [2]uint64 { return [2]uint64{s.system.device, s.system.inode} }

// stampAt follows links. Where they lead nowhere nothing is there.
func stampAt(path string) stamp {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return stamp{}
	case err != nil:
		return stamp{there: true, fault: err.Error()}
	}
	return stampOf(info)
}

// newest returns when the newest of the files was written or put in place.
func newest(stamps []stamp) time.Time {
	var t int64
	for _, s := range stamps {
		if s.system.changed != 0 {
			t = max(t, s.system.changed)
		} else {
			t = max(t, s.modified)
		}
	}
	return time.Unix(0, t)
}

// disk looks at the directory and reads its files.
type disk struct {
	cfg  Config
	open func(path string) (*os.File, error)
	// manifests are those that were seen, by their names without the suffix.
	manifests map[string]manifest
	// single are the plugins that were files without a manifest at the last look.
	single map[string]bool
	// solid are the plugins whose file could be looked at. A link that leads nowhere is the end of such a one,
	// and a fault of another.
	solid map[string]bool
	// held are the plugin files that came while it was not known which files a manifest names, and that
	// manifest's file.
	held map[string]string
}

// errHeld is of a plugin file that a manifest may name.
var errHeld = errors.New("it is not known which files a manifest names, and this may be one")

// manifest is what a file is that could be one.
type manifest struct {
	stamp  stamp // of when it was read; zero if it has to be read again
	read   bool  // once, so that the rest is known
	claims bool  // that it is one
	is     bool  // claims, unless it goes behind a plugin file
	// files are those that it names. Of one that is broken they are those that it named when it was not,
	// so that none becomes a plugin by itself while a manifest is being written.
	files  []string
	sound  bool // files are of a document in order
	broken bool // the document is not in order, or cannot be read
	// doubt is why what is no manifest may have been meant to be one, "" if it may not.
	doubt string
	// rival is whether there is a plugin file of its name that no manifest names.
	rival bool
}

// stampOf is the stamp of a file of the plugin, whose first one is the manifest, if there is one.
func (m *manifest) stampOf(path string, i int) stamp {
	if m.is && i == 0 {
		return stampManifest(path, m.read)
	}
	return stampAt(path)
}

// blind reports whether it is not known which files a manifest names.
func (m *manifest) blind() bool { return m.is && m.files == nil && !m.sound }

func newDisk(c Config) disk {
	return disk{cfg: c, open: open, manifests: make(map[string]manifest), single: make(map[string]bool), solid: make(map[string]bool)}
}

// open does not wait for a writer if it is given a FIFO after all.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|nonblocking, 0)
}

// look is what one look at the directory saw.
type look struct {
	dir   stamp
	files map[string][]stamp // by plugin: its file, then its companions as names has them
	links []string           // names of files of interest that are symbolic links
	// unread is whether a file that could be a manifest was never read.
	unread bool
	strays []Stray
	err    error // of the directory
}

// plugin returns the name of the plugin whose file this is.
func (d *disk) plugin(file string) (string, bool) {
	name, ok := strings.CutSuffix(file, d.cfg.Suffix)
	ok = ok && (d.cfg.only == "" || name == d.cfg.only)
	return name, ok && name != "" && name[0] != '.' // hidden files are editors'
}

// concerns reports whether a file of that name in the directory can be part of a plugin, or
// on the way to one.
func (d *disk) concerns(file string) bool {
	if _, ok := d.plugin(file); ok || slices.Contains(d.cfg.Shared, file) {
		return true
	}
	if _, ok := d.manifest(file); ok {
		return true
	}
	_, misnamed := d.misnamed(file)
	_, capitals := d.capitals(file)
	return misnamed || capitals || slices.ContainsFunc(d.cfg.Beside, func(suffix string) bool { return strings.HasSuffix(file, suffix) })
}

// manifest returns the name of the plugin whose manifest a file would be.
func (d *disk) manifest(file string) (string, bool) {
	if d.cfg.Manifest == nil {
		return "", false
	}
	name, ok := strings.CutSuffix(file, d.cfg.Manifest.Suffix)
	return name, ok && name != "" && name[0] != '.'
}

// names returns the file of a plugin, or its manifest, its companions and those shared. The files of a
// manifest come last.
func (d *disk) names(plugin string) []string {
	files := d.files(plugin)
	names := make([]string, 0, 1+len(d.cfg.Beside)+len(d.cfg.Shared)+len(files))
	names = append(names, filepath.Base(d.path(plugin)))
	for _, suffix := range d.cfg.Beside {
		names = append(names, plugin+suffix)
	}
	return append(append(names, d.cfg.Shared...), files...)
}

// files returns those that the manifest of a plugin names, none if the plugin has no manifest.
func (d *disk) files(plugin string) []string {
	if m := d.manifests[plugin]; m.is {
		return m.files
	}
	return nil
}

func (d *disk) look() look {
	dir, err := os.Open(d.cfg.Dir)
	if err != nil {
		return look{err: err}
	}
	info, err := dir.Stat()
	entries, errRead := dir.ReadDir(-1)
	if err = errors.Join(err, errRead, dir.Close()); err != nil {
		return look{err: err}
	}
	l := look{dir: stampOf(info), files: map[string][]stamp{}}
	there := map[string]bool{}
	for _, e := range entries {
		if d.concerns(e.Name()) {
			there[e.Name()] = true
			if e.Type()&fs.ModeSymlink != 0 {
				l.links = append(l.links, e.Name())
			}
		}
	}
	shared := make(map[string]stamp, len(d.cfg.Shared))
	for _, file := range d.cfg.Shared {
		if there[file] {
			shared[file] = stampAt(filepath.Join(d.cfg.Dir, file))
		}
	}
	for name := range d.plugins(there, &l) {
		names := d.names(name)
		stamps := make([]stamp, len(names))
		for i, n := range names {
			if s, ok := shared[n]; ok {
				stamps[i] = s
			} else if m := d.manifests[name]; there[n] || m.is { // its files may lie deeper
				stamps[i] = m.stampOf(filepath.Join(d.cfg.Dir, n), i)
			}
		}
		if stamps[0] = d.leads(name, names[0], stamps[0], l.links); stamps[0].there {
			l.files[name] = stamps
		}
	}
	maps.DeleteFunc(d.solid, func(name string, _ bool) bool { return !there[filepath.Base(d.path(name))] })
	l.strays = d.strays(there, &l)
	return l
}

// leads returns the stamp of a plugin's file, which may be a link that leads nowhere.
func (d *disk) leads(plugin, file string, s stamp, links []string) stamp {
	switch {
	case s.there && s.fault != leadsNowhere:
		d.solid[plugin] = true
	case !s.there && !d.solid[plugin] && slices.Contains(links, file):
		return stamp{there: true, fault: leadsNowhere}
	}
	return s
}

// plugins returns the names of the plugins that the files of the directory are, and takes note of
// manifests among them.
func (d *disk) plugins(there map[string]bool, l *look) map[string]bool {
	of, taken := make(map[string]bool), make(map[string]bool)
	seen := make(map[string]manifest)
	blind := "" // the first manifest of which it is not known what it names
	for file := range there {
		name, ok := d.manifest(file)
		if !ok {
			continue
		}
		m := d.manifestAt(name, file, there, l)
		seen[name] = m
		if !m.is {
			continue
		}
		if m.blind() && !d.cfg.Manifest.Yields && (blind == "" || file < blind) {
			blind = file
		}
		for _, path := range m.files {
			path = filepath.Clean(path)
			single, ok := d.plugin(path)
			if spared := m.broken && ok && d.single[single]; !spared && !d.cfg.Manifest.Yields {
				taken[path] = true
			}
		}
		if d.cfg.only == "" || d.cfg.only == name {
			of[name] = true
		}
	}
	before := d.single
	d.manifests, d.single, d.held = seen, make(map[string]bool), make(map[string]string)
	for file := range there {
		name, ok := d.plugin(file)
		if !ok || taken[file] && d.cfg.only == "" {
			continue
		}
		of[name] = true
		m := seen[name]
		if blind != "" && d.cfg.only == "" && !m.is && !before[name] {
			d.held[name] = blind
			continue
		}
		d.single[name] = !m.is
		if m.is {
			m.rival = !taken[file]
			seen[name] = m
		}
	}
	return of
}

// know takes note of a plugin that was read before the first look, and by whom its files are taken.
func (d *disk) know(f *File) {
	if filepath.Base(f.Path) == f.Name+d.cfg.Suffix {
		d.single[f.Name] = !errors.Is(f.Err, errHeld)
		d.solid[f.Name] = !errors.Is(f.Err, errNowhere)
		return
	}
	if d.cfg.Manifest == nil {
		return
	}
	if doc, ok := f.Beside[f.Name+d.cfg.Manifest.Suffix]; ok {
		files, claims, err := d.cfg.Manifest.Files(doc)
		d.manifests[f.Name] = manifest{read: true, claims: claims, files: files, sound: claims && err == nil, broken: err != nil}
	}
}

// manifestAt returns what a file is that could be a manifest, which it reads if it has changed.
func (d *disk) manifestAt(name, file string, there map[string]bool, l *look) manifest {
	last, known := d.manifests[name]
	m := last
	if at := stampManifest(filepath.Join(d.cfg.Dir, file), m.read); !known || m.stamp != at {
		m = d.readManifest(name, file, at, m)
	}
	l.unread = l.unread || !m.read
	single := name + d.cfg.Suffix
	behind := there[single] && (d.cfg.Manifest.Yields || m.broken && d.single[name])
	m.is, m.rival = m.claims && !behind, false
	if m.claims && behind && (!last.claims || last.is) {
		d.cfg.Log.Warn("a manifest is not heeded, since there is a plugin file of its name", "manifest", file, "file", single)
	}
	return m
}

// readManifest reads what could be a manifest. What was last known of it stays where that cannot be told.
func (d *disk) readManifest(name, file string, at stamp, last manifest) manifest {
	doc, same, err := d.readFile(filepath.Join(d.cfg.Dir, file), at, d.manifestLimit(name))
	m := last
	m.stamp, m.read, m.doubt = at, true, ""
	switch {
	case !same:
		m.stamp, m.read = stamp{}, last.read
		return m
	case errors.Is(err, ErrIrregular):
		return manifest{stamp: at, read: true}
	case errors.Is(err, ErrTooLarge):
		m.claims, m.broken = true, true
		return m
	case err != nil: // which may pass without a change of the file
		m.stamp, m.read = stamp{}, last.read
		m.claims, m.broken = last.claims || !last.read, true
		return m
	}
	files, claims, err := d.cfg.Manifest.Files(doc)
	m.broken = err != nil
	m.claims = claims || m.broken && last.claims
	if !m.broken || !last.sound {
		m.files, m.sound = files, claims && !m.broken
	}
	if !m.claims && d.cfg.Manifest.Doubt != nil {
		m.doubt = d.cfg.Manifest.Doubt(doc)
	}
	return m
}

// manifestLimit is how long a manifest may be: it may have the plugin in base64.
func (d *disk) manifestLimit(plugin string) int { return d.cfg.MaxBytes(plugin)/3*4 + d.cfg.MaxBeside }

// read reads a plugin with all that belongs to it. It is false if that is no longer what
// was seen.
func (d *disk) read(plugin string, seen []stamp) (File, bool) {
	f := File{Name: plugin, Path: d.path(plugin), Modified: newest(seen)}
	beside := map[string][]byte{}
	m := d.manifests[plugin]
	names := d.names(plugin)
	if len(names) != len(seen) {
		return File{}, false
	}
	if by, held := d.held[plugin]; held {
		f.Err = &fs.PathError{Op: "read", Path: f.Path, Err: fmt.Errorf("%w: mend %s, or take it away", errHeld, by)}
		return f, true
	}
	for i, name := range names {
		if !seen[i].there {
			continue
		}
		limit := d.cfg.MaxBeside
		switch {
		case i == 0 && m.is:
			limit = d.manifestLimit(plugin)
		case i == 0, i >= len(names)-len(d.files(plugin)):
			limit = d.cfg.MaxBytes(plugin)
		}
		b, same, err := d.readFile(filepath.Join(d.cfg.Dir, name), seen[i], limit)
		switch {
		case !same:
			return File{}, false
		case err != nil && f.Err == nil:
			f.Err = err
		case i == 0:
			f.WASM = b
		default:
			beside[name] = b
		}
	}
	for i, name := range names {
		now := m.stampOf(filepath.Join(d.cfg.Dir, name), i)
		if now != seen[i] && (now.there || seen[i].fault != leadsNowhere) {
			return File{}, false
		}
	}
	if m.is && f.Err == nil {
		f.Err = d.assemble(&f, beside)
	}
	if m.is && m.rival && f.Err == nil {
		f.Err = &fs.PathError{Op: "read", Path: f.Path, Err: fmt.Errorf("it does not name %s, which would be a plugin of the same name", plugin+d.cfg.Suffix)}
	}
	if f.Err != nil {
		f.WASM = nil
		return f, true
	}
	f.Beside = beside
	return f, true
}

// assemble makes a plugin of its manifest and the files that it names.
func (d *disk) assemble(f *File, beside map[string][]byte) error {
	doc := f.WASM
	f.WASM, f.Beside = nil, beside
	beside[f.Name+d.cfg.Manifest.Suffix] = doc
	err := d.cfg.Manifest.Assemble(f, doc)
	if err == nil && len(f.WASM) > d.cfg.MaxBytes(f.Name) {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, d.cfg.MaxBytes(f.Name))
	}
	if err == nil {
		return nil
	}
	f.Beside = nil
	return &fs.PathError{Op: "read", Path: f.Path, Err: err}
}

// readFile reads at most limit bytes. Same is false if the file is not as it was seen,
// before or after.
func (d *disk) readFile(path string, seen stamp, limit int) (b []byte, same bool, err error) {
	fail := func(err error) error { return &fs.PathError{Op: "read", Path: path, Err: err} }
	if seen.fault == leadsNowhere {
		return nil, true, fail(errNowhere)
	}
	if seen.fault == "" && !seen.mode.IsRegular() {
		return nil, true, fail(fmt.Errorf("%w: %s", ErrIrregular, kind(seen.mode)))
	}
	if seen.size > int64(limit) {
		return nil, true, fail(fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit))
	}
	file, err := d.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if info, err := file.Stat(); err != nil || stampOf(info) != seen {
		return nil, false, nil
	}
	b = make([]byte, seen.size+1) // one more, by which growth is known
	n, err := io.ReadFull(file, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, true, err
	}
	if info, err := file.Stat(); err != nil || stampOf(info) != seen {
		return nil, false, nil
	}
	if int64(n) != seen.size {
		return nil, true, fail(fmt.Errorf("%w: its size is not what it says", ErrIrregular))
	}
	return b[:n:n], true, nil
}

// verdict says how far what was read can be relied upon.
type verdict int

const (
	final   verdict = iota
	partial         // looks half-written
	failed          // could not be read, which may pass without the file changing
)

func (d *disk) judge(f *File) verdict {
	switch {
	case errors.Is(f.Err, ErrIrregular), errors.Is(f.Err, ErrTooLarge):
		return final
	case f.Err != nil:
		return failed
	case !d.cfg.Whole(f.WASM):
		return partial
	}
	return final
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return mode.String()
}

// sum is what two states of a plugin are compared by.
type sum [sha256.Size]byte

// sumOf is a function of what a File holds, and of nothing that says when or where.
func sumOf(f *File) sum {
	h := sha256.New()
	if f.Err != nil {
		sumBytes(h, []byte("error"), []byte(f.Err.Error()))
	} else {
		sumBytes(h, []byte("file"), f.WASM)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Beside)) {
		sumBytes(h, []byte(name), f.Beside[name])
	}
	return sum(h.Sum(nil))
}

func sumBytes(h hash.Hash, parts ...[]byte) {
	for _, p := range parts {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
}
