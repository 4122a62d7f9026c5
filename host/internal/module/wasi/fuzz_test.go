package wasi_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// FuzzPoll has poll_oneoff read what a guest may have written, at addresses it may
// have given.
func FuzzPoll(f *testing.F) {
	s := &wasi.System{}
	g := forward(f, s)
	prepare(g)
	f.Add(g.bytes()[mixed:][:4*48], uint32(mixed), uint32(room), uint32(4), uint32(0))
	f.Add(g.bytes()[sleeping:][:48], uint32(size-48), uint32(size-32), uint32(1), uint32(size-4))
	f.Add([]byte{}, uint32(outside), uint32(outside), uint32(1<<28), uint32(outside))
	f.Fuzz(func(t *testing.T, subscriptions []byte, in, out, count, result uint32) {
		g.tb = t
		clear(g.bytes())
		if in < size {
			copy(g.bytes()[in:], subscriptions)
		}
		before := slices.Clone(g.bytes())
		s.Reset()
		e := g.call("poll_oneoff", uint64(in), uint64(out), uint64(count), uint64(result))
		if e == success {
			if n := g.get32(result); n == 0 || n > count {
				t.Errorf("%d events of %d subscriptions", n, count)
			}
		} else if !bytes.Equal(g.bytes(), before) {
			t.Errorf("errno %d, and wrote", e)
		}
		changed(t, before, g.bytes(), span{out, count * 32}, span{result, 4})
		if now := g.time(1); now < wasi.MonotonicEpoch {
			t.Errorf("the clock went back to %d", now)
		}
	})
}

// FuzzWrite does so with fd_write.
func FuzzWrite(f *testing.F) {
	var out bytes.Buffer
	g := forward(f, &wasi.System{Stdout: &out, Stderr: &out})
	prepare(g)
	for _, at := range []uint32{goodVecs, wildVecs, wrapVecs} {
		f.Add(g.bytes()[at:][:24], uint32(1), at, uint32(3), uint32(room))
	}
	f.Add([]byte{0, 0, 0, 0, 0, 0, 2, 0}, uint32(2), uint32(size-8), uint32(1), uint32(size-4))
	f.Fuzz(func(t *testing.T, vecs []byte, fd, iovs, count, result uint32) {
		g.tb = t
		clear(g.bytes())
		if iovs < size {
			copy(g.bytes()[iovs:], vecs)
		}
		before := slices.Clone(g.bytes())
		out.Reset()
		e := g.call("fd_write", uint64(fd), uint64(iovs), uint64(count), uint64(result))
		if e == success {
			if n := g.get32(result); int(n) != out.Len() || n > 64<<10 {
				t.Errorf("%d bytes written, said to be %d", out.Len(), n)
			}
		} else if out.Len() != 0 {
			t.Errorf("errno %d, and wrote %d bytes", e, out.Len())
		}
		changed(t, before, g.bytes(), span{result, 4})
	})
}

// FuzzRead does so with fd_read.
func FuzzRead(f *testing.F) {
	input := bytes.Repeat([]byte("input"), 40)
	s := &wasi.System{}
	g := forward(f, s)
	prepare(g)
	for _, at := range []uint32{goodVecs, wildVecs, wrapVecs} {
		f.Add(g.bytes()[at:][:24], at, uint32(3), uint32(room))
	}
	f.Add([]byte{0, 0, 0, 0, 0, 0, 2, 0}, uint32(size-8), uint32(1), uint32(size-4))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 2, 0}, uint32(4), uint32(4), uint32(12)) // over the list of buffers
	f.Fuzz(func(t *testing.T, vecs []byte, iovs, count, result uint32) {
		g.tb = t
		clear(g.bytes())
		if iovs < size {
			copy(g.bytes()[iovs:], vecs)
		}
		before := slices.Clone(g.bytes())
		s.Input = input
		e := g.call("fd_read", 0, uint64(iovs), uint64(count), uint64(result))
		if read := len(input) - len(s.Input); e != success && (read > 0 || !bytes.Equal(before, g.bytes())) {
			t.Errorf("errno %d, and read %d bytes", e, read)
		}
	})
}

// FuzzFiles calls all functions of files and directories, one after the other, with paths that a guest may have
// written and arguments that it may have given.
func FuzzFiles(f *testing.F) {
	s := &wasi.System{}
	s.Preopen()
	g := forward(f, s)
	types := wazeros(f)
	var names []string
	for name := range types {
		if strings.HasPrefix(name, "path_") || strings.HasPrefix(name, "fd_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	f.Add([]byte(".././a//b"), uint32(path), uint32(9), uint32(3), uint32(4), uint32(room), []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"))
	f.Add([]byte("./."), uint32(path), uint32(3), uint32(3), uint32(66), uint32(size-4), []byte("\x10\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c"))
	f.Add([]byte("/etc"), uint32(size-4), uint32(1<<31), uint32(negative), uint32(67), uint32(outside), []byte{})
	f.Fuzz(func(t *testing.T, text []byte, at, length, fd, other, result uint32, calls []byte) {
		g.tb = t
		s.Reset()
		for _, c := range calls[:min(len(calls), 200)] {
			name := names[int(c)%len(names)]
			// Paths come as descriptors do, in any place: what is no path is as wild as it may be.
			args := []uint64{uint64(fd), uint64(other), uint64(at), uint64(length), uint64(result), uint64(result), 0, 0, uint64(result)}
			if c >= 128 {
				args = []uint64{uint64(fd), uint64(at), uint64(length), uint64(other), uint64(result), uint64(at), uint64(length), 0, 0}
			}
			clear(g.bytes())
			if at < size {
				copy(g.bytes()[at:], text)
			}
			before := slices.Clone(g.bytes())
			e := g.call(name, args[:len(types[name].ParamTypes())]...)
			if e != success && !bytes.Equal(before, g.bytes()) {
				t.Errorf("%s is %d, and wrote", name, e)
			}
			if opened := binary.LittleEndian.Uint32(g.bytes()[min(result, size-4):]); name == "path_open" && e == success && (opened < 3 || opened > 66) {
				t.Errorf("descriptor %d is opened", opened)
			}
		}
		s.Reset()
		if e := g.call("fd_prestat_get", 3, room); e != success {
			t.Errorf("after them a guest has no directory: %d", e)
		}
	})
}

// span is a part of the memory.
type span struct{ at, len uint32 }

// changed wants no byte to differ outside some spans.
func changed(t *testing.T, before, after []byte, spans ...span) {
	t.Helper()
	for _, s := range spans {
		if uint64(s.at)+uint64(s.len) <= size {
			copy(after[s.at:][:s.len], before[s.at:])
		}
	}
	if !bytes.Equal(before, after) {
		t.Error("memory has changed where it must not")
	}
}
