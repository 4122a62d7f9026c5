package memory_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module/memory"
)

// variants are the ways in which a memory can be reset. The same tests run over all.
var variants = []struct {
	name  string
	mode  memory.Mode
	adapt func(*memory.Image)
}{
	{"cow", memory.Shared, func(*memory.Image) {}},
	{"cow-nocount", memory.Shared, (*memory.Image).WithoutCount},
	{"cow-noscan", memory.Shared, (*memory.Image).WithoutScan},
	{"cow-nopagemap", memory.Shared, (*memory.Image).WithoutPagemap},
	{"copy", memory.Plain, func(*memory.Image) {}},
}

func each(t *testing.T, test func(t *testing.T, e env)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { test(t, env{t, v.mode, v.adapt}) })
	}
}

// env makes images and memories of one variant.
type env struct {
	tb    testing.TB
	mode  memory.Mode
	adapt func(*memory.Image)
}

const (
	kib   = 1 << 10
	limit = 64 << 20
	page  = 4 * kib
)

// contents returns size random bytes, with pages of zeros among them.
func contents(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 0))
	for at := 0; at < size; at += page {
		if r.IntN(4) == 0 {
			continue
		}
		for i := range b[at : at+page] {
			b[at+i] = byte(r.Uint32())
		}
	}
	return b
}

// unclosed returns an image that the caller closes.
func (e env) unclosed(content []byte) *memory.Image {
	e.tb.Helper()
	im, err := memory.NewImage(content, e.mode)
	if err != nil {
		e.tb.Fatal(err)
	}
	e.adapt(im)
	return im
}

func (e env) image(content []byte) *memory.Image {
	e.tb.Helper()
	im := e.unclosed(content)
	e.tb.Cleanup(im.Close)
	return im
}

// memory returns a memory of size bytes as wazero would make it, and its bytes.
func (e env) memory(size int) (*memory.Memory, []byte) {
	m := memory.New(limit, e.mode)
	e.tb.Cleanup(m.Free)
	return m, m.Allocate(0, 4<<30).Reallocate(uint64(size))
}

func (e env) attached(im *memory.Image) (*memory.Memory, []byte) {
	e.tb.Helper()
	m, b := e.memory(int(im.Size()))
	if err := m.Attach(im); err != nil {
		e.tb.Fatal(err)
	}
	return m, b
}

// differs returns where two memories differ first, or -1.
func differs(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// TestReset hammers memories with tasks that mostly write the same pages, at times
// others, and at times all, and takes none of what a reset remembers for granted.
func TestReset(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 1))
			size := (1 + r.IntN(48)) * 64 * kib
			content := contents(seed, size)
			im := e.image(content)
			m, b := e.attached(im)
			pages := size / page
			var usual []int
			for range 20 {
				usual = append(usual, r.IntN(pages))
			}
			for task := range 250 {
				writes := usual[:r.IntN(len(usual)+1)]
				switch r.IntN(40) {
				case 0, 1, 2:
					writes = append([]int{r.IntN(pages), r.IntN(pages)}, writes...)
				case 3:
					writes = r.Perm(pages)
				case 4: // every other page makes as many spans as there can be
					writes = nil
					for p := 0; p < pages; p += 2 {
						writes = append(writes, p)
					}
				case 5:
					for i := range usual {
						usual[i] = r.IntN(pages)
					}
				case 6:
					writes = nil
				}
				for _, p := range writes {
					at := p*page + r.IntN(page)
					n := 1 + r.IntN(min(3*page, size-at))
					for i := at; i < at+n; i += 1 + r.IntN(n) {
						b[i] = byte(r.Uint32())
					}
				}
				if !m.Reset() {
					t.Fatalf("seed %d, task %d: not reset", seed, task)
				}
				if at := differs(b, content); at >= 0 {
					t.Fatalf("seed %d, task %d: byte %d of %d differs", seed, task, at, size)
				}
			}
			if at := differs(im.Bytes(), content); at >= 0 {
				t.Fatalf("seed %d: byte %d of the image has changed", seed, at)
			}
		}
	})
}

// TestMemoriesAreApart has memories of one image that are written, read and reset
// at the same time.
func TestMemoriesAreApart(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		const size = 512 * kib
		content := contents(7, size)
		im := e.image(content)
		var wg sync.WaitGroup
		for i := range 4 {
			m, b := e.attached(im)
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 2))
				want := make([]byte, size)
				for range 100 {
					copy(want, content)
					for range 30 {
						at := r.IntN(size)
						b[at], want[at] = byte(i), byte(i)
					}
					if at := differs(b, want); at >= 0 {
						t.Errorf("memory %d: byte %d is not what was written", i, at)
						return
					}
					if !m.Reset() {
						t.Errorf("memory %d: not reset", i)
						return
					}
				}
				if at := differs(b, content); at >= 0 {
					t.Errorf("memory %d: byte %d differs after the reset", i, at)
				}
			})
		}
		wg.Wait()
	})
}

// TestStats: what tasks keep writing is kept, what they do not is given back.
func TestStats(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		im := e.image(contents(3, 2<<20))
		m, b := e.attached(im)
		reset := func(task int, pages ...int) {
			for _, p := range pages {
				b[p*page] ^= byte(1 + task)
			}
			if !m.Reset() {
				t.Fatal("not reset")
			}
		}
		s := m.Stats()
		if s.Mode == memory.Plain {
			if s.ResidentBytes != 2<<20 {
				t.Errorf("%+v, want all of it resident", s)
			}
			return
		}
		all := make([]int, 400)
		for i := range all {
			all[i] = i
		}
		reset(0, all...)
		if n := m.Stats().ResidentPages; n != len(all) && n != 0 {
			t.Errorf("%d pages are kept of a task that wrote 400", n)
		}
		for task := range 10 { // soon none of them is
			reset(task)
		}
		if n := m.Stats().ResidentPages; n > 0 {
			t.Errorf("%d pages are kept of a task that wrote 400, after ten that wrote none", n)
		}
		for task := range 20 {
			reset(task, 3, 4, 100)
		}
		reset(0, 200)
		if n := m.Stats().ResidentPages; n != 4 && n != 0 {
			t.Errorf("%d pages are kept, want the 4 that were written", n)
		}
		for task := range 300 {
			reset(task, 3, 4)
		}
		if s := m.Stats(); s.ResidentPages != 2 && s.ResidentPages != 0 || s.ResidentBytes != uint64(s.ResidentPages*page) {
			t.Errorf("%+v, want the 2 pages that are still written", s)
		}
	})
}

// TestLargeTasks has tasks write more pages than are kept, of which as many are kept as may be.
func TestLargeTasks(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		content := contents(3, 8<<20)
		m, b := e.attached(e.image(content))
		if m.Stats().Mode == memory.Plain {
			return
		}
		for task := range 5 {
			for p := task; p < len(b)/page; p += 1 + task%2 {
				b[p*page+task]++
			}
			if !m.Reset() {
				t.Fatal("not reset")
			}
			if at := differs(b, content); at >= 0 {
				t.Fatalf("task %d: byte %d is not the image's", task, at)
			}
			if n := m.Stats().ResidentPages; n != 1024 && n != 0 {
				t.Fatalf("task %d: %d pages are kept, want as many as may be", task, n)
			}
		}
	})
}

// TestCopyInVain: a page that each task writes what it has anyhow is given back ever more
// rarely, since it is copied again each time.
func TestCopyInVain(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		m, b := e.attached(e.image(contents(3, 1<<20)))
		if s := m.Stats(); s.Mode == memory.Plain {
			return
		}
		kept, given := 0, 0
		same := bytes.Clone(b[5*page : 5*page+100])
		for range 3000 {
			copy(b[5*page:], same)
			if !m.Reset() {
				t.Fatal("not reset")
			}
			if m.Stats().ResidentPages == 0 {
				given++
			} else {
				kept++
			}
		}
		if kept > 0 && (given < 2 || given > 5) {
			t.Errorf("given back %d times in 3000 tasks, want about one for each doubling of a patience of 100", given)
		}
	})
}

func TestGrowth(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		const size = 128 * kib
		im := e.image(contents(1, size))
		m, b := e.attached(im)
		if m.Grown() || m.Limit() != limit {
			t.Errorf("grown %v, limit %d", m.Grown(), m.Limit())
		}
		if m.Reallocate(limit+1) != nil || m.Grown() {
			t.Errorf("it grew beyond its limit, or grown %v", m.Grown())
		}
		if !m.Reset() {
			t.Error("not reset after it was refused to grow")
		}
		b[0]++
		grown := m.Reallocate(limit)
		if len(grown) != limit || grown[0] != b[0] || grown[size] != 0 || grown[limit-1] != 0 {
			t.Fatalf("grown to %d bytes, want %d, what was and zeros", len(grown), limit)
		}
		grown[limit-1] = 1
		if !m.Grown() || m.Reset() {
			t.Errorf("grown %v, and it was reset", m.Grown())
		}
	})
}

// TestShrinks has tasks grow a memory by a little and by much, and write there. The next one finds
// the image, of the image's size, and zeros where it grows itself.
func TestShrinks(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		for seed := range uint64(4) {
			r := rand.New(rand.NewPCG(seed, 2))
			size := (1 + r.IntN(8)) * 64 * kib
			content := contents(seed, size)
			m, b := e.attached(e.image(content))
			for task := range 120 {
				grown := size + r.IntN(4)*64*kib
				switch r.IntN(20) {
				case 0:
					grown = size + 20<<20 // of which not all is kept
				case 1:
					grown = size
				}
				if b = m.Reallocate(uint64(grown)); len(b) != grown || m.Grown() != (grown > size) {
					t.Fatalf("task %d: %d bytes, want %d; grown %v", task, len(b), grown, m.Grown())
				}
				if at := differs(b[:size], content); at >= 0 {
					t.Fatalf("task %d: byte %d is not the image's", task, at)
				}
				for at, v := range b[size:] {
					if v != 0 {
						t.Fatalf("task %d: byte %d behind the image is %d", task, at, v)
					}
				}
				for range r.IntN(40) {
					b[r.IntN(grown)]++
				}
				b[grown-1]++
				if b = m.Shrink(); len(b) != size || m.Grown() {
					t.Fatalf("task %d: shrunk to %d bytes, want %d; grown %v", task, len(b), size, m.Grown())
				}
			}
			if at := differs(b, content); at >= 0 || !m.Reset() {
				t.Errorf("byte %d is not the image's, or it cannot be reset", at)
			}
		}
		if m, _ := e.memory(64 * kib); m.Shrink() != nil {
			t.Error("a memory without an image shrinks")
		}
	})
}

// TestGrowsToAttach is an instance that is smaller than the image.
func TestGrowsToAttach(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		content := contents(1, 192*kib)
		im := e.image(content)
		m, _ := e.memory(64 * kib)
		if err := m.Attach(im); !errors.Is(err, memory.ErrSize) {
			t.Errorf("error %v, want ErrSize", err)
		}
		b := m.Reallocate(192 * kib)
		b[100]++
		if err := m.Attach(im); err != nil {
			t.Fatal(err)
		}
		if m.Grown() || differs(b, content) >= 0 {
			t.Errorf("grown %v, byte %d differs", m.Grown(), differs(b, content))
		}
		if err := m.Attach(im); !errors.Is(err, memory.ErrAttached) {
			t.Errorf("error %v, want ErrAttached", err)
		}
	})
}

func TestLifetimes(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		const size = 256 * kib
		content := contents(9, size)
		im := e.unclosed(content)
		m, b := e.attached(im)
		late, _ := e.memory(size)
		im.Close()
		im.Close()
		if err := late.Attach(im); !errors.Is(err, memory.ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
		b[5]++
		if !m.Reset() || differs(b, content) >= 0 {
			t.Error("a memory does not outlive its image's owner")
		}
		m.Free()
		m.Free()
		if m.Reset() || m.Reallocate(size) != nil || m.Stats().ResidentBytes != 0 {
			t.Error("a memory that was freed is used")
		}
		if err := m.Attach(im); !errors.Is(err, memory.ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
		unused := memory.New(limit, e.mode)
		if unused.Reset() {
			t.Error("a memory without an instance was reset")
		}
		unused.Free()
		if late.Reset() {
			t.Error("a memory without an image was reset")
		}
	})
}

func TestAllocateTwice(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		m, _ := e.memory(64 * kib)
		defer func() {
			if recover() == nil {
				t.Error("a memory was given to two instances")
			}
		}()
		m.Allocate(0, 64*kib)
	})
}

// TestNoMemory is a module without pages.
func TestNoMemory(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		for _, limit := range []uint64{0, 64 * kib} {
			m := memory.New(limit, e.mode)
			t.Cleanup(m.Free)
			if b := m.Allocate(0, 4<<30).Reallocate(0); len(b) != 0 {
				t.Errorf("%d bytes", len(b))
			}
			im := e.image(nil)
			if err := m.Attach(im); err != nil || !m.Reset() {
				t.Errorf("error %v, or not reset", err)
			}
		}
	})
}

// TestMixed has memories of one mode and images of the other.
func TestMixed(t *testing.T) {
	for mode, other := range map[memory.Mode]memory.Mode{memory.Shared: memory.Plain, memory.Plain: memory.Shared} {
		content := contents(2, 128*kib)
		im := env{t, mode, func(*memory.Image) {}}.image(content)
		m, b := env{t, other, nil}.attached(im)
		for task := range 3 {
			b[task*40000]++
			if !m.Reset() || differs(b, content) >= 0 || m.Stats().Mode != memory.Plain {
				t.Errorf("image %v, memory %v: byte %d differs, %+v", mode, other, differs(b, content), m.Stats())
			}
		}
	}
}

func TestImageSize(t *testing.T) {
	if _, err := memory.NewImage(make([]byte, 100), memory.Shared); err == nil {
		t.Error("an image of 100 bytes")
	}
}

// TestImageCopies: what becomes of the bytes that an image was made of is nothing to
// it.
func TestImageCopies(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		content := contents(4, 64*kib)
		was := bytes.Clone(content)
		im := e.image(content)
		content[0]++
		if im.Size() != 64*kib || differs(im.Bytes(), was) >= 0 {
			t.Errorf("%d bytes, byte %d has changed", im.Size(), differs(im.Bytes(), was))
		}
		if plain := im.Denied() != nil; plain {
			t.Errorf("denied: %v", im.Denied())
		}
	})
}

func TestResetDoesNotAllocate(t *testing.T) {
	each(t, func(t *testing.T, e env) {
		m, b := e.attached(e.image(contents(5, 256*kib)))
		n := testing.AllocsPerRun(200, func() {
			b[0]++
			b[9*page]++
			m.Reset()
		})
		// Looking for copies may allocate; the tests' own faults have it look at times.
		if n > 2 {
			t.Errorf("%v allocations", n)
		}
	})
}

// BenchmarkReset resets an image of the size of a Go guest's after tasks that write
// pages all over it. What is reported is the reset alone.
func BenchmarkReset(b *testing.B) {
	for _, v := range variants {
		for _, pages := range []int{0, 20, 200} {
			b.Run(fmt.Sprintf("%s/%d pages", v.name, pages), func(b *testing.B) {
				e := env{b, v.mode, v.adapt}
				m, buf := e.attached(e.image(contents(1, 2560*kib)))
				b.ReportAllocs()
				laps := newLaps()
				for i := 0; b.Loop(); i++ {
					for p := range pages {
						buf[p*(640/pages)*page+i%page]++
					}
					laps.start()
					if !m.Reset() {
						b.Fatal("not reset")
					}
					laps.stop()
				}
				b.ReportMetric(laps.median(), "µs/reset")
			})
		}
	}
}
