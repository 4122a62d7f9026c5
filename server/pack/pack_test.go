package pack_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/resonhost/resonhost/server/pack"
)

func TestOf(t *testing.T) {
	for header, want := range map[string]pack.Coding{"": pack.None, "identity": pack.None, "GZIP": pack.Gzip, "x-gzip": pack.Gzip, "zstd": pack.Zstd} {
		if c, ok := pack.Of(header); !ok || c != want {
			t.Errorf("%q: %q, %v", header, c, ok)
		}
	}
	for _, header := range []string{"br", "gzip, zstd", "deflate"} {
		if c, ok := pack.Of(header); ok {
			t.Errorf("%q: %q", header, c)
		}
	}
}

func TestChoose(t *testing.T) {
	for header, want := range map[string]pack.Coding{
		"": pack.None, "*": pack.None, "br": pack.None, "identity": pack.None, "gzip": pack.Gzip, "gzip, deflate, br": pack.Gzip, "gzip, zstd": pack.Zstd,
		"zstd, gzip": pack.Zstd, "gzip;q=1, zstd;q=0.5": pack.Gzip, "gzip;q=0": pack.None, "zstd; q=0, gzip ;q=0.1": pack.Gzip, "gzip;q=x": pack.None,
		"gzip;q=2": pack.None, ",,": pack.None,
	} {
		if c := pack.Choose(header); c != want {
			t.Errorf("%q: %q, want %q", header, c, want)
		}
	}
}

func anyRoom(int) bool { return true }

// unpack unpacks a body of which at most so many bytes are free.
func unpack(p *pack.Pool, c pack.Coding, body []byte, free int64, room func(int) bool) ([]byte, error) {
	r := p.Reader(c, bytes.NewReader(body), free, room)
	defer r.Close()
	return io.ReadAll(r)
}

func codings() []pack.Coding { return []pack.Coding{pack.Gzip, pack.Zstd} }

// TestThereAndBack packs documents and unpacks them, many at once by one pool.
func TestThereAndBack(t *testing.T) {
	p := pack.New()
	for _, c := range codings() {
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				doc := []byte(strings.Repeat(`{"number": 12345}`, 100+i*1000))
				packed := p.Pack(c, doc)
				if packed == nil || len(packed) > len(doc)/10 {
					t.Errorf("%s: %d bytes became %d", c, len(doc), len(packed))
				}
				got, err := unpack(p, c, packed, 1<<20, anyRoom)
				if err != nil || !bytes.Equal(got, doc) {
					t.Errorf("%s: %d bytes, want %d; %v", c, len(got), len(doc), err)
				}
			})
		}
		all.Wait()
		noise := make([]byte, 4<<10)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		if packed := p.Pack(c, noise); packed != nil {
			t.Errorf("%s: noise became %d bytes", c, len(packed))
		}
	}
}

// TestEachFlushArrives has who unpacks see all that was flushed, before there is more.
func TestEachFlushArrives(t *testing.T) {
	p := pack.New()
	for _, c := range codings() {
		from, to := io.Pipe()
		got := make(chan string)
		go func() {
			r := p.Reader(c, from, 1<<20, anyRoom)
			defer r.Close()
			buf := make([]byte, 1<<10)
			for {
				n, err := r.Read(buf)
				if n > 0 {
					got <- string(buf[:n])
				}
				if err != nil {
					got <- err.Error()
					return
				}
			}
		}()
		w := p.Writer(c, to)
		for _, line := range []string{"a\n", "b\n", "c\n"} {
			done := make(chan error, 1)
			go func() {
				_, err := io.WriteString(w, line)
				done <- errors.Join(err, w.Flush())
			}()
			if text := <-got; text != line {
				t.Errorf("%s: %q, want %q", c, text, line)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		go func() { _ = w.Close(); _ = to.Close() }()
		if end := <-got; end != io.EOF.Error() {
			t.Errorf("%s: %s", c, end)
		}
	}
}

// zeros are bodies that become size bytes.
func zeros(t *testing.T, c pack.Coding, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if c == pack.Zstd {
		var err error
		if w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestBombs has bodies that become far longer than they are.
func TestBombs(t *testing.T) {
	p := pack.New()
	for _, c := range codings() {
		bomb := zeros(t, c, 64<<20)
		got, err := unpack(p, c, bomb, 1<<20, anyRoom)
		var format *pack.FormatError
		if most := 1<<20 + pack.MaxRatio*len(bomb) + 256<<10; !errors.As(err, &format) || !strings.Contains(err.Error(), "becomes more than 256 times as long") || len(got) > most {
			t.Errorf("%s: %d bytes of %d, %v", c, len(got), len(bomb), err)
		}
	}
}

func TestBroken(t *testing.T) {
	p := pack.New()
	own := errors.New("the connection broke")
	for _, c := range codings() {
		body := p.Pack(c, []byte(strings.Repeat("some text ", 1000)))
		damaged := bytes.Clone(body)
		damaged[len(damaged)-1] ^= 0x55 // of the sum
		for name, of := range map[string]struct {
			body []byte
			want string
		}{
			"cut off": {body[:len(body)-3], "the " + string(c) + " of the body is cut off"},
			"damaged": {damaged, "the " + string(c) + " of the body is damaged"},
			"another": {[]byte("{\"phiValue\": 1}"), "the " + string(c) + " of the body is damaged"},
			"more":    {append(bytes.Clone(body), "more than that"...), "the " + string(c) + " of the body is damaged"},
		} {
			_, err := unpack(p, c, of.body, 1<<20, anyRoom)
			if format := (*pack.FormatError)(nil); !errors.As(err, &format) || err.Error() != of.want {
				t.Errorf("%s: %v, want %s", name, err, of.want)
			}
		}
		r := p.Reader(c, io.MultiReader(bytes.NewReader(body[:len(body)/2]), iotest.ErrReader(own)), 1<<20, anyRoom)
		if _, err := io.ReadAll(r); !errors.Is(err, own) {
			t.Errorf("%s: %v", c, err)
		}
		r.Close()
		if _, err := unpack(p, c, body, 1<<20, func(int) bool { return false }); !errors.Is(err, pack.ErrNoRoom) {
			t.Errorf("%s: %v", c, err)
		}
		if got, err := unpack(p, c, nil, 1<<20, anyRoom); err != nil || len(got) != 0 {
			t.Errorf("%s: %d bytes of none, %v", c, len(got), err)
		}
	}
}

// TestWindows asks for as much memory as the body refers back, and takes none that refers further than
// HTTP allows, or than its first frame.
func TestWindows(t *testing.T) {
	p := pack.New()
	frame := func(window, size int) []byte {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		noise := make([]byte, size)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		if _, err := w.Write(noise); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Flush(), w.Close()); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	small, large := frame(64<<10, 256<<10), frame(8<<20, 256<<10)
	for name, c := range map[string]struct {
		body []byte
		most int
		want string
	}{
		"small":            {small, 1 << 20, ""},
		"large":            {large, 9 << 20, ""},
		"beyond HTTP":      {frame(16<<20, 256<<10), 9 << 20, "the zstd of the body refers back by more than 8388608 bytes, or by more than its first frame"},
		"small then large": {append(bytes.Clone(small), large...), 1 << 20, "the zstd of the body refers back by more than 131072 bytes, or by more than its first frame"},
		"large then small": {append(bytes.Clone(large), small...), 9 << 20, ""},
	} {
		asked := 0
		_, err := unpack(p, pack.Zstd, c.body, 4<<20, func(n int) bool { asked += n; return true })
		if asked > c.most || (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: asked for %d bytes, %v; want %s", name, asked, err, c.want)
		}
	}
}

// FuzzReader unpacks what anybody sends: none panics, and what comes out is bounded.
func FuzzReader(f *testing.F) {
	p := pack.New()
	for _, c := range codings() {
		f.Add(string(c), p.Pack(c, []byte(strings.Repeat("some text ", 1000))))
	}
	f.Add("zstd", []byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		c, ok := pack.Of(name)
		if !ok || c == pack.None {
			return
		}
		got, err := unpack(p, c, body, 1<<20, anyRoom)
		if most := 1<<20 + pack.MaxRatio*len(body) + 256<<10; len(got) > most {
			t.Fatalf("%d bytes of %d, %v", len(got), len(body), err)
		}
		if format := (*pack.FormatError)(nil); err != nil && !errors.As(err, &format) {
			t.Fatalf("%T %v", err, err)
		}
	})
}

// waiting is a body that says when it is first waited for.
type waiting struct {
	io.Reader

	begun func()
}

func (w *waiting) Read(b []byte) (int, error) {
	w.begun()
	return w.Reader.Read(b)
}

// TestSlowBodies has more bodies wait for their clients than may be unpacked at once.
func TestSlowBodies(t *testing.T) {
	p := pack.New()
	for _, c := range codings() {
		var all sync.WaitGroup
		var clients []io.Closer
		for range 4 * runtime.GOMAXPROCS(0) {
			body, client := io.Pipe()
			clients = append(clients, client)
			begun := make(chan struct{})
			all.Go(func() {
				r := p.Reader(c, &waiting{body, sync.OnceFunc(func() { close(begun) })}, 1<<20, anyRoom)
				defer r.Close()
				_, _ = io.ReadAll(r) // until its client ends it
			})
			<-begun
		}
		if got, err := unpack(p, c, zeros(t, c, 1<<10), 1<<20, anyRoom); err != nil || len(got) != 1<<10 {
			t.Errorf("%s: %d bytes, %v, beside bodies that wait", c, len(got), err)
		}
		for _, client := range clients {
			_ = client.Close()
		}
		all.Wait()
	}
}
