package wasi_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// Values of errno that functions of directories have.
const (
	eexist       = 20
	eisdir       = 31
	emfile       = 33
	enametoolong = 37
	enoent       = 44
	erofs        = 69
	enotcapable  = 76
)

// dir is the descriptor of the directory that a guest begins with, and path where its path lies.
const (
	dir  = 3
	path = 4096
)

// withDirectory makes a forwarder that has a directory.
func withDirectory(tb testing.TB) *guest {
	tb.Helper()
	s := &wasi.System{}
	s.Preopen()
	return forward(tb, s)
}

// at writes a path to the memory, and calls a function with $ in place of its address and length.
func (g *guest) at(name, p string, args ...any) uint64 {
	g.tb.Helper()
	copy(g.bytes()[path:], p)
	var all []uint64
	for _, a := range args {
		switch a := a.(type) {
		case int:
			all = append(all, uint64(a))
		case string:
			all = append(all, path, uint64(len(p)))
		}
	}
	return g.call(name, all...)
}

// open opens a path, and returns the errno, and the descriptor.
func (g *guest) open(fd int, p string, flags, rights int) (uint64, int) {
	g.tb.Helper()
	g.put32(room, negative)
	e := g.at("path_open", p, fd, 1, "$", flags, rights, 0, 0, room)
	return e, int(int32(g.get32(room)))
}

// TestPaths has paths lead nowhere, or to the directory, or out of it, in all functions that take one.
func TestPaths(t *testing.T) {
	g := withDirectory(t)
	const found = success
	type answers struct{ itself, name uint64 }
	functions := map[string]struct {
		answers
		args []any
	}{
		"path_open":               {answers{found, enoent}, []any{dir, 1, "$", 0, 1 << 1, 0, 0, room}},
		"path_filestat_get":       {answers{found, enoent}, []any{dir, 1, "$", room}},
		"path_filestat_set_times": {answers{erofs, enoent}, []any{dir, 0, "$", 0, 0, 0}},
		"path_create_directory":   {answers{eexist, erofs}, []any{dir, "$"}},
		"path_readlink":           {answers{einval, enoent}, []any{dir, "$", room, 10, room}},
		"path_remove_directory":   {answers{erofs, enoent}, []any{dir, "$"}},
		"path_unlink_file":        {answers{eisdir, enoent}, []any{dir, "$"}},
		"path_symlink":            {answers{eexist, erofs}, []any{0, 4, dir, "$"}},
		"path_link":               {answers{erofs, enoent}, []any{dir, 0, "$", dir, "$"}},
		"path_rename":             {answers{erofs, enoent}, []any{dir, "$", dir, "$"}},
	}
	for p, want := range map[string]func(answers) uint64{
		".":                       func(a answers) uint64 { return a.itself },
		"./":                      func(a answers) uint64 { return a.itself },
		".//./.":                  func(a answers) uint64 { return a.itself },
		"a":                       func(a answers) uint64 { return a.name },
		"./a":                     func(a answers) uint64 { return a.name },
		"a//":                     func(a answers) uint64 { return a.name },
		"...":                     func(a answers) uint64 { return a.name },
		"..a":                     func(a answers) uint64 { return a.name },
		"a\x00b":                  func(a answers) uint64 { return a.name },
		"\xff":                    func(a answers) uint64 { return a.name },
		strings.Repeat("a", 4096): func(a answers) uint64 { return a.name },
		"":                        func(answers) uint64 { return enoent },
		"a/b":                     func(answers) uint64 { return enoent },
		"a/../..":                 func(answers) uint64 { return enoent },
		"a/.":                     func(answers) uint64 { return enoent },
		"..":                      func(answers) uint64 { return enotcapable },
		"../":                     func(answers) uint64 { return enotcapable },
		"./../a":                  func(answers) uint64 { return enotcapable },
		"/":                       func(answers) uint64 { return enotcapable },
		"/etc/passwd":             func(answers) uint64 { return enotcapable },
		"//a":                     func(answers) uint64 { return enotcapable },
		strings.Repeat("a", 4097): func(answers) uint64 { return enametoolong },
	} {
		for name, f := range functions {
			g.Reset()
			before := slices.Clone(g.bytes())
			copy(before[path:], p)
			e := g.at(name, p, f.args...)
			if e != want(f.answers) {
				t.Errorf("%s of %.20q is %d, want %d", name, p, e, want(f.answers))
			}
			if e != success && !bytes.Equal(before, g.bytes()) {
				t.Errorf("%s of %.20q failed, and wrote", name, p)
			}
		}
	}
	// The second path counts too, and the second descriptor.
	g.put64(room, 0)
	copy(g.bytes()[room:], ".")
	for _, c := range []struct {
		to   int
		path string
		want uint64
	}{{dir, "a", erofs}, {dir, "a/b", enoent}, {dir, "..", enotcapable}, {1, "a", ebadf}, {4, "a", ebadf}} {
		if e := g.at("path_link", c.path, dir, 0, room, 1, c.to, "$"); e != c.want {
			t.Errorf("a link to %d, %q is %d, want %d", c.to, c.path, e, c.want)
		}
		if e := g.at("path_rename", c.path, dir, room, 1, c.to, "$"); e != c.want {
			t.Errorf("renaming to %d, %q is %d, want %d", c.to, c.path, e, c.want)
		}
	}
}

// TestOpens has flags and rights decide what becomes of a path that is opened.
func TestOpens(t *testing.T) {
	g := withDirectory(t)
	const create, directory, exclusive, truncate, read, write = 1, 2, 4, 8, 1 << 1, 1 << 6
	for _, c := range []struct {
		path          string
		flags, rights int
		want          uint64
	}{
		{"a", create, write, erofs},
		{"a", create | exclusive, write, erofs},
		{"a/b", create, write, enoent},
		{"a", truncate, write, enoent},
		{"a", directory, read, enoent},
		{".", 0, read, success},
		{".", directory, read, success},
		{".", create, read, eisdir},
		{".", create | exclusive, read, eexist},
		{".", truncate, read, eisdir},
		{".", 0, read | write, eisdir},
	} {
		if e, fd := g.open(dir, c.path, c.flags, c.rights); e != c.want || (e == success) != (fd > dir) {
			t.Errorf("opening %q with %#x for %#x is %d, descriptor %d, want %d", c.path, c.flags, c.rights, e, fd, c.want)
		}
	}
	for fd, want := range map[int]uint64{0: ebadf, 2: ebadf, 9: ebadf, 66: ebadf, 67: ebadf, 3 + 1<<30: ebadf} {
		if e, _ := g.open(fd, ".", 0, 0); e != want {
			t.Errorf("opening at %d is %d, want %d", fd, e, want)
		}
	}
}

// TestDescriptors opens, moves and closes directories.
func TestDescriptors(t *testing.T) {
	g := withDirectory(t)
	is := func(want string) {
		t.Helper()
		got := ""
		for fd := range uint64(70) {
			switch {
			case fd < dir:
			case g.call("fd_prestat_get", fd, room) == success:
				got += "N"
			case g.call("fd_filestat_get", fd, room) == success:
				got += "d"
			default:
				got += "."
			}
		}
		if got = strings.TrimRight(got, "."); got != want {
			t.Errorf("descriptors are %s, want %s", got, want)
		}
	}
	call := func(want uint64, name string, args ...uint64) {
		t.Helper()
		if e := g.call(name, args...); e != want {
			t.Errorf("%s(%d) is %d, want %d", name, args, e, want)
		}
	}
	open := func(want int) {
		t.Helper()
		if e, fd := g.open(dir, ".", 0, 0); e != success || fd != want {
			t.Errorf("opening is %d, descriptor %d, want %d", e, fd, want)
		}
	}
	is("N")
	open(4)
	open(5)
	open(6)
	is("Nddd")
	call(success, "fd_close", 5)
	call(ebadf, "fd_close", 5)
	is("Nd.d")
	open(5)
	call(success, "fd_renumber", 6, 4)
	is("Ndd")
	call(success, "fd_renumber", 4, 4)
	call(ebadf, "fd_renumber", 4, 6)
	call(ebadf, "fd_renumber", 6, 4)
	call(enosys, "fd_renumber", 4, 1)
	call(enosys, "fd_renumber", 1, 4)
	is("Ndd")
	call(success, "fd_renumber", 4, 3)
	is("d.d")
	g.Reset()
	is("N")
	open(4)
	call(success, "fd_renumber", 3, 4)
	is(".N")
	call(success, "fd_close", 4)
	is("")
	g.Reset()
	is("N")
	for fd := 4; fd < 67; fd++ {
		open(fd)
	}
	if e, _ := g.open(dir, ".", 0, 0); e != emfile {
		t.Errorf("one descriptor too many is %d", e)
	}
	call(success, "fd_close", 66)
	open(66)
	// What a guest has when it is marked is what it goes back to.
	g.Reset()
	call(success, "fd_close", 3)
	g.Mark()
	g.Reset()
	is("")
}

// TestDirectory asks a directory for all that a descriptor has.
func TestDirectory(t *testing.T) {
	g := withDirectory(t)
	is := func(name string, want uint64, args ...uint64) {
		t.Helper()
		if e := g.call(name, args...); e != want {
			t.Errorf("%s%#x is %d, want %d", name, args, e, want)
		}
	}
	fill := func() { copy(g.bytes()[room:], strings.Repeat("x", 64)) }

	fill()
	is("fd_prestat_get", success, dir, room)
	if got := string(g.bytes()[room:][:9]); got != "\x00\x00\x00\x00\x01\x00\x00\x00x" {
		t.Errorf("prestat %q", got)
	}
	is("fd_prestat_get", efault, dir, size-7)
	is("fd_prestat_dir_name", success, dir, room, 1)
	if got := string(g.bytes()[room:][:2]); got != "/\x00" {
		t.Errorf("it is called %q", got)
	}
	is("fd_prestat_dir_name", success, dir, size-1, 100)
	is("fd_prestat_dir_name", enametoolong, dir, room, 0)
	is("fd_prestat_dir_name", efault, dir, outside, 1)

	fill()
	is("fd_fdstat_get", success, dir, room)
	const reads = 1<<13 | 1<<14 | 1<<15 | 1<<18 | 1<<21 | 1<<27
	if g.get64(room) != 3 || g.get64(room+8) != reads || g.get64(room+16) != reads|1<<1 {
		t.Errorf("fdstat %x", g.bytes()[room:][:24])
	}
	for _, stat := range []func() uint64{
		func() uint64 { return g.call("fd_filestat_get", dir, room) },
		func() uint64 { return g.at("path_filestat_get", ".", dir, 0, "$", room) },
	} {
		fill()
		want := make([]byte, 64)
		want[16], want[24] = 3, 1
		if e := stat(); e != success || !bytes.Equal(g.bytes()[room:][:64], want) {
			t.Errorf("errno %d, filestat %x", e, g.bytes()[room:][:64])
		}
	}
	is("fd_filestat_get", efault, dir, size-63)

	fill()
	is("fd_readdir", success, dir, room, 64, 0, room+64)
	if n := binary.LittleEndian.Uint32(g.bytes()[room+64:]); n != 0 || g.bytes()[room] != 'x' {
		t.Errorf("%d bytes of entries, %q", n, g.bytes()[room:][:64])
	}
	is("fd_readdir", success, dir, room, 0, 1<<63, room+64)
	is("fd_readdir", efault, dir, size-1, 2, 0, room)
	is("fd_readdir", efault, dir, room, 64, 0, size-3)

	prepare(g)
	is("fd_read", eisdir, dir, goodVecs, nvecs, room)
	is("fd_write", ebadf, dir, goodVecs, nvecs, room)
	for names, want := range map[string]uint64{
		"fd_pread":                  eisdir,
		"fd_pwrite fd_seek fd_tell": ebadf,
		"fd_advise fd_allocate fd_filestat_set_size":              ebadf,
		"fd_sync fd_datasync":                                     success,
		"fd_filestat_set_times":                                   erofs,
		"fd_fdstat_set_flags fd_fdstat_set_rights":                enosys,
		"sock_accept sock_recv sock_send sock_shutdown":           ebadf,
		"path_open path_filestat_get path_filestat_set_times":     efault,
		"path_create_directory path_readlink path_unlink_file":    efault,
		"path_remove_directory path_link path_rename":             efault,
		"fd_prestat_get fd_readdir fd_fdstat_get fd_filestat_get": efault,
	} {
		for name := range strings.FieldsSeq(names) {
			args := slices.Repeat([]uint64{outside}, len(wazeros(t)[name].ParamTypes()))
			args[0] = dir
			is(name, want, args...)
		}
	}
	is("path_symlink", efault, room, 1, dir, outside, 1)
	is("path_open", efault, dir, 0, path, 1, 0, 0, 0, 0, size-3)
}

// TestPathsBilled has a guest billed for the paths that the host reads.
func TestPathsBilled(t *testing.T) {
	g := withDirectory(t)
	charged := 0
	g.Charge = func(n int) { charged += n }
	g.at("path_filestat_get", strings.Repeat("./", 1000), dir, 0, "$", room)
	if charged != 2000 {
		t.Errorf("%d bytes were charged", charged)
	}
	g.at("path_link", ".", dir, 0, "$", dir, "$")
	if charged != 2002 {
		t.Errorf("%d bytes were charged", charged)
	}
}

// TestDirectoryIsOnesOwn has only those guests have a directory who are given one.
func TestDirectoryIsOnesOwn(t *testing.T) {
	with := withDirectory(t)
	if e, _ := with.open(dir, "a", 0, 0); e != enoent {
		t.Errorf("errno %d", e)
	}
	without := forward(t, &wasi.System{})
	if e, _ := without.open(dir, "a", 0, 0); e != ebadf {
		t.Errorf("errno %d", e)
	}
	without.Adopt(with.System)
	if e, _ := without.open(dir, "a", 0, 0); e != enoent {
		t.Errorf("what is adopted: errno %d", e)
	}
}
