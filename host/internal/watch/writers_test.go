//go:build unix

package watch_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/watch"
)

// How programs write files. None of it needs the poll.
func TestWriters(t *testing.T) {
	for name, do := range map[string]func(b *box){
		"in place": func(b *box) {
			b.write("x.wasm", "new")
			b.expect("x", "new")
		},
		"in pieces": func(b *box) {
			f, err := os.Create(b.path("x.wasm"))
			b.must(err)
			for range 100 {
				_, err = f.WriteString("piece ")
				b.must(err)
				b.must(f.Sync())
			}
			b.must(f.Close())
			b.expect("x", strings.Repeat("piece ", 100))
		},
		"renamed over": func(b *box) {
			b.put("x.wasm", "new")
			b.one("x", "new")
		},
		"of the same size and time, renamed over": func(b *box) {
			info, err := os.Stat(b.path("x.wasm"))
			b.must(err)
			b.write("x.tmp", "NEW")
			b.must(os.Chtimes(b.path("x.tmp"), info.ModTime(), info.ModTime()))
			b.rename("x.tmp", "x.wasm")
			b.one("x", "NEW")
		},
		"of the same size and time, in place": func(b *box) {
			info, err := os.Stat(b.path("x.wasm"))
			b.must(err)
			b.write("x.wasm", "NEW")
			b.must(os.Chtimes(b.path("x.wasm"), info.ModTime(), info.ModTime()))
			b.expect("x", "NEW")
		},
		"by vim": func(b *box) {
			b.write("4913", "")
			b.remove("4913")
			b.write(".x.wasm.swp", "swap")
			b.rename("x.wasm", "x.wasm~")
			b.write("x.wasm", "new")
			b.remove("x.wasm~")
			b.remove(".x.wasm.swp")
			b.expect("x", "new")
		},
		"by emacs": func(b *box) {
			b.link("me@here.123:456", ".#x.wasm")
			b.write("#x.wasm#", "auto-save")
			b.write("x.wasm", "new")
			b.remove("#x.wasm#")
			b.remove(".#x.wasm")
			b.expect("x", "new")
		},
		"a touch": func(b *box) {
			b.must(os.Chtimes(b.path("x.wasm"), time.Now(), time.Now()))
			b.must(os.Chmod(b.path("x.wasm"), 0o600))
			b.quiet()
		},
		"the same again": func(b *box) {
			b.put("x.wasm", "old")
			b.quiet()
		},
		"deleted and created": func(b *box) {
			b.remove("x.wasm")
			b.quiet()
			b.write("x.wasm", "new")
			b.expect("x", "new")
		},
		"deleted and created, the same": func(b *box) {
			b.remove("x.wasm")
			b.quiet()
			b.put("x.wasm", "old")
			b.quiet()
		},
		"a companion": func(b *box) {
			b.write("x.test", "1")
			b.expect("x", "old x.test=1")
			b.write("x.wasm.sig", "2")
			b.expect("x", "old x.test=1 x.wasm.sig=2")
			b.remove("x.test")
			b.one("x", "old x.wasm.sig=2")
		},
		"a shared file": func(b *box) {
			b.put("SUMS", "1")
			b.one("x", "old SUMS=1")
			b.remove("SUMS")
			b.one("x", "old")
		},
		"names that differ in case": func(b *box) {
			b.put("X.wasm", "upper")
			b.one("X", "upper")
			b.quiet()
		},
		"what is no plugin": func(b *box) {
			b.write(".hidden.wasm", "1")
			b.write(".wasm", "1")
			b.write("x.wasm.bak", "1")
			b.write("X.WASM", "1")
			b.must(os.Mkdir(b.path("sub"), 0o755))
			b.write("sub/y.wasm", "1")
			for i := range 3000 {
				b.write(fmt.Sprintf("unrelated%d", i), "1")
			}
			b.quiet()
		},
		"links as of ConfigMaps": func(b *box) {
			b.must(os.Mkdir(b.path("..1"), 0o755))
			b.write("..1/y.wasm", "1")
			b.link("..1", "..data")
			b.link("..data/y.wasm", "y.wasm")
			b.expect("y", "1")
			for _, next := range []string{"..2", "..3"} {
				b.must(os.Mkdir(b.path(next), 0o755))
				b.write(next+"/y.wasm", next)
				b.link(next, "..data_tmp")
				b.rename("..data_tmp", "..data")
				b.one("y", next)
			}
			b.must(os.RemoveAll(b.path("..1")))
			b.quiet()
		},
		"what a link leads to": func(b *box) {
			b.must(os.Mkdir(b.path("../elsewhere"), 0o755))
			b.write("../elsewhere/file", "1")
			b.link(b.path("../elsewhere/file"), "y.wasm")
			b.expect("y", "1")
			b.write("../elsewhere/file", "2")
			b.expect("y", "2")
			b.remove("../elsewhere/file")
			b.quiet()
			b.write("../elsewhere/file", "3")
			b.expect("y", "3")
		},
		"a link to nowhere": func(b *box) {
			b.link("nowhere", "y.wasm")
			b.quiet()
			b.write("nowhere", "1")
			b.expect("y", "1")
		},
		"a directory": func(b *box) {
			b.must(os.Mkdir(b.path("y.wasm"), 0o755))
			b.one("y", "error: read "+b.path("y.wasm")+": not a regular file: a directory")
			b.write("y.wasm/z.wasm", "1")
			b.quiet()
			b.must(os.RemoveAll(b.path("y.wasm")))
			b.write("y.wasm", "1")
			b.expect("y", "1")
		},
		"a named pipe": func(b *box) {
			b.must(syscall.Mkfifo(b.path("y.wasm"), 0o644))
			b.one("y", "error: read "+b.path("y.wasm")+": not a regular file: a named pipe")
		},
		"a device": func(b *box) {
			b.link("/dev/zero", "y.wasm")
			b.one("y", "error: read "+b.path("y.wasm")+": not a regular file: a device")
		},
		"a companion that is a device": func(b *box) {
			b.link("/dev/zero", "x.test")
			b.one("x", "error: read "+b.path("x.test")+": not a regular file: a device")
			b.remove("x.test")
			b.one("x", "old")
		},
		"too large": func(b *box) {
			b.write("x.wasm", strings.Repeat("x", 1<<16+1))
			c := b.expect("x", "error: read "+b.path("x.wasm")+": too large: more than 65536 bytes")
			var path *fs.PathError
			if !errors.Is(c.File.Err, watch.ErrTooLarge) || !errors.As(c.File.Err, &path) || c.File.WASM != nil {
				b.Errorf("%#v", c.File)
			}
			b.must(os.Truncate(b.path("x.wasm"), 1<<16))
			b.expect("x", strings.Repeat("x", 1<<16))
		},
		"renamed to another": func(b *box) {
			b.rename("x.wasm", "y.wasm")
			b.one("y", "old")
			b.quiet()
		},
	} {
		t.Run(name, func(t *testing.T) { do(newBox(t, "x.wasm=old").start()) })
	}
}

func TestBurst(t *testing.T) {
	b := newBox(t, "x.wasm=old")
	b.cfg.Settle = 100 * time.Millisecond
	b.start()
	for i := range 1000 {
		b.write("x.wasm", fmt.Sprint(i))
	}
	n := 1
	for text(b.next()) != "999" {
		n++
	}
	if n > 500 {
		t.Errorf("%d changes are told", n)
	}
	b.quiet()
}

func TestHalfWritten(t *testing.T) {
	b := newBox(t, "x.wasm="+module)
	b.cfg.Whole = func(wasm []byte) bool { return string(wasm) == "mark" || watch.Module(wasm) }
	b.start()
	f, err := os.Create(b.path("x.wasm"))
	b.must(err)
	next := strings.ReplaceAll(module, "x", "y")
	for _, piece := range []string{next[:3], next[3:100], next[100 : len(next)-1]} {
		_, err = f.WriteString(piece)
		b.must(err)
		b.quiet()
	}
	_, err = f.WriteString(next[len(next)-1:])
	b.must(errors.Join(err, f.Close()))
	b.one("x", next)
}

func TestModified(t *testing.T) {
	b := newBox(t).start()
	before := time.Now().Add(-time.Second) // file systems keep coarser clocks
	b.put("x.wasm", "new")
	c := b.one("x", "new")
	if m := c.File.Modified; m.Before(before) || m.After(time.Now()) {
		t.Errorf("modified at %v, not after %v", m, before)
	}
	if c.File.Path != b.path("x.wasm") || c.File.Name != "x" {
		t.Errorf("%+v", c.File)
	}
}
