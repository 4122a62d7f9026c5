package memory_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/memory"
)

// TestNothingLeaks counts mappings and descriptors over many lives.
func TestNothingLeaks(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		content := contents(6, 256*kib)
		life := func(i int) {
			im := e.unclosed(content)
			m := memory.New(limit, e.mode)
			b := m.Allocate(0, 4<<30).Reallocate(im.Size())
			if err := m.Attach(im); err != nil {
				t.Fatal(err)
			}
			b[i%len(b)]++
			if !m.Reset() {
				t.Fatal("not reset")
			}
			if i%3 == 0 {
				m.Reallocate(limit)
			}
			if i%2 == 0 {
				im.Close()
			}
			m.Free()
			m.Free()
			im.Close()
		}
		life(0)
		fds, maps := descriptors(t), mappings(t)
		for i := range 200 {
			life(i)
		}
		if now := descriptors(t); now != fds {
			t.Errorf("%d descriptors, there were %d", now, fds)
		}
		// Those of the Go runtime come and go.
		if now := mappings(t); now > maps+20 {
			t.Errorf("%d mappings, there were %d", now, maps)
		}
		if b := read(t, "/proc/self/maps"); bytes.Contains(b, []byte("resonhost-image")) {
			t.Errorf("an image is still mapped:\n%s", b)
		}
	})
}

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func mappings(t *testing.T) int {
	t.Helper()
	return bytes.Count(read(t, "/proc/self/maps"), []byte("\n"))
}

// TestFallsBack is a process that is granted no more mappings.
func TestFallsBack(t *testing.T) {
	content := contents(8, 128*kib)
	e := env{t, memory.Shared, func(*memory.Image) {}}
	im := e.image(content)
	restore := im.Unmappable()
	m, b := e.attached(im)
	restore()
	b[70000]++
	if !m.Reset() || differs(b, content) >= 0 || m.Stats().Mode != memory.Plain {
		t.Errorf("byte %d differs, %+v", differs(b, content), m.Stats())
	}
}

// TestTracking says which ways of telling copies the tests ran over: the weaker
// they are, the less they say.
func TestTracking(t *testing.T) {
	for _, v := range variants {
		im := env{t, v.mode, v.adapt}.image(contents(1, 64*kib))
		t.Log(v.name, im.Tracking())
		if v.name == "cow-nopagemap" && im.Tracking() != "nothing" || v.name == "copy" && im.Tracking() != "plain" {
			t.Errorf("%s: %s", v.name, im.Tracking())
		}
	}
}

// TestGivesBack: what a reset drops is the system's again: all but some copies of a large task, and soon
// those, too.
func TestGivesBack(t *testing.T) {
	const size = 32 << 20
	e := env{t, memory.Shared, func(*memory.Image) {}}
	m, b := e.attached(e.image(make([]byte, size)))
	before := anonymous(t, m)
	for at := 0; at < size; at += page {
		b[at] = 1
	}
	during := anonymous(t, m)
	var after [10]int
	for i := range after {
		if !m.Reset() {
			t.Fatal("not reset")
		}
		after[i] = anonymous(t, m)
	}
	if before != 0 || during != size || after[0] > 1024*page || after[len(after)-1] != 0 {
		t.Errorf("%d bytes of copies before the task, %d in it, %d after it and the next ones", before, during, after)
	}
}

// anonymous returns how much of the image's mappings are copies, in bytes.
func anonymous(t *testing.T, _ *memory.Memory) (n int) {
	t.Helper()
	ours := false
	for line := range strings.Lines(string(read(t, "/proc/self/smaps"))) {
		f := strings.Fields(line)
		switch {
		case !strings.HasSuffix(f[0], ":"):
			ours = strings.Contains(line, "resonhost-image")
		case ours && f[0] == "Anonymous:":
			kb := 0
			for _, d := range f[1] {
				kb = kb*10 + int(d-'0')
			}
			n += kb * kib
		}
	}
	return n
}
