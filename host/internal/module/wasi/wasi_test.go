package wasi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/sys"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Values of errno.
const (
	success  = 0
	ebadf    = 8
	efault   = 21
	einval   = 28
	eio      = 29
	enosys   = 52
	enotsock = 57
	espipe   = 70
)

// TestSignatures compares all functions with wazero's own.
func TestSignatures(t *testing.T) {
	r := runtime(t, false)
	if err := wasi.Instantiate(t.Context(), r, of); err != nil {
		t.Fatal(err)
	}
	got, want := r.Module(abi.ImportWASI).ExportedFunctionDefinitions(), wazeros(t)
	if len(got) != 46 || len(want) != 46 {
		t.Errorf("%d functions, wazero has %d, want 46", len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if g == nil {
			t.Errorf("no function %s", name)
			continue
		}
		if !bytes.Equal(g.ParamTypes(), w.ParamTypes()) || !bytes.Equal(g.ResultTypes(), w.ResultTypes()) {
			t.Errorf("%s is %x → %x, want %x → %x", name, g.ParamTypes(), g.ResultTypes(), w.ParamTypes(), w.ResultTypes())
		}
		if len(g.ParamNames()) != len(w.ParamTypes()) {
			t.Errorf("%s has names %q for %d parameters", name, g.ParamNames(), len(w.ParamTypes()))
		}
	}
}

func TestInstantiateTwice(t *testing.T) {
	r := runtime(t, false)
	if err := wasi.Instantiate(t.Context(), r, of); err != nil {
		t.Fatal(err)
	}
	if err := wasi.Instantiate(t.Context(), r, of); err == nil {
		t.Error("a runtime has the module twice")
	}
}

// Addresses the table of calls uses: room for anything, lists of buffers, and
// subscriptions. The last bytes of the memory are room for what is too short.
const (
	room       = 1024
	goodVecs   = 2048 // "hello" and " there", with an empty buffer between them
	wildVecs   = 2112 // the second buffer leaves the memory
	wrapVecs   = 2144 // its end wraps 32 bits
	text       = 2176
	sleeping   = 3072 // a subscription to sleep for 5 µs
	mixed      = 3200 // one of each type
	nonsense   = 3584 // of a type there is not
	outside    = 0xffff_fff0
	beyond     = size
	negative   = 0xffff_ffff
	nvecs      = 3
	hugeVecs   = 1025
	hugeEvents = 65
)

func prepare(g *guest) {
	g.put32(goodVecs, text, 5, 0, 0, text+5, 6)
	g.put32(wildVecs, text, 5, size-4, 5)
	g.put32(wrapVecs, text, 5, text, negative)
	g.mod.Memory().WriteString(text, "hello there")
	g.subscribeClock(sleeping, 1, 1, 5000, 0)
	g.subscribeClock(mixed, 2, 0, 1000, 0)
	g.subscribeStream(mixed+48, 3, 1, 0)
	g.subscribeStream(mixed+96, 4, 2, 1)
	g.subscribeStream(mixed+144, 5, 1, 7)
	g.subscribeStream(nonsense, 6, 3, 0)
}

func (g *guest) subscribeClock(at uint32, userdata uint64, id uint32, timeout uint64, flags uint32) {
	clear(g.bytes()[at:][:48])
	g.put64(at, userdata)
	g.put32(at+16, id)
	g.put64(at+24, timeout)
	g.put32(at+40, flags)
}

func (g *guest) subscribeStream(at uint32, userdata uint64, typ byte, fd uint32) {
	clear(g.bytes()[at:][:48])
	g.put64(at, userdata)
	g.bytes()[at+8] = typ
	g.put32(at+16, fd)
}

// TestCalls calls every function with good and with wild arguments. Whatever the
// answer, no memory but what was to be written changes.
func TestCalls(t *testing.T) {
	type call struct {
		name string
		want uint64
		args []uint64
	}
	calls := []call{
		{"args_sizes_get", success, []uint64{room, room + 4}},
		{"args_sizes_get", efault, []uint64{size - 3, room}},
		{"args_sizes_get", efault, []uint64{room, outside}},
		{"args_get", success, []uint64{room, room}},
		{"args_get", success, []uint64{0, size}},
		{"args_get", efault, []uint64{size + 1, room}},
		{"args_get", efault, []uint64{room, outside}},
		{"fd_filestat_get", success, []uint64{0, room}},
		{"fd_filestat_get", success, []uint64{2, size - 64}},
		{"fd_filestat_get", ebadf, []uint64{3, room}},
		{"fd_filestat_get", efault, []uint64{1, size - 63}},
		{"environ_sizes_get", success, []uint64{room, room + 4}},
		{"environ_sizes_get", efault, []uint64{outside, room}},
		{"environ_get", success, []uint64{room, room}},
		{"environ_get", efault, []uint64{outside, room}},
		{"clock_res_get", success, []uint64{0, room}},
		{"clock_res_get", success, []uint64{1, size - 8}},
		{"clock_res_get", einval, []uint64{2, room}},
		{"clock_res_get", einval, []uint64{negative, room}},
		{"clock_res_get", efault, []uint64{1, size - 7}},
		{"clock_time_get", success, []uint64{0, 0, room}},
		{"clock_time_get", success, []uint64{1, 1 << 63, room}},
		{"clock_time_get", einval, []uint64{3, 0, room}},
		{"clock_time_get", efault, []uint64{0, 0, size - 7}},
		{"clock_time_get", efault, []uint64{0, 0, outside}},
		{"fd_fdstat_get", success, []uint64{0, room}},
		{"fd_fdstat_get", success, []uint64{2, size - 24}},
		{"fd_fdstat_get", ebadf, []uint64{3, room}},
		{"fd_fdstat_get", ebadf, []uint64{negative, room}},
		{"fd_fdstat_get", efault, []uint64{1, size - 23}},
		{"fd_read", success, []uint64{0, goodVecs, nvecs, room}},
		{"fd_read", success, []uint64{0, size, 0, room}},
		{"fd_read", ebadf, []uint64{1, goodVecs, nvecs, room}},
		{"fd_read", einval, []uint64{0, goodVecs, hugeVecs, room}},
		{"fd_read", efault, []uint64{0, outside, 1, room}},
		{"fd_read", efault, []uint64{0, wildVecs, 2, room}},
		{"fd_read", efault, []uint64{0, goodVecs, nvecs, beyond}},
		{"fd_write", success, []uint64{1, goodVecs, nvecs, room}},
		{"fd_write", success, []uint64{2, goodVecs, 0, room}},
		{"fd_write", ebadf, []uint64{0, goodVecs, nvecs, room}},
		{"fd_write", ebadf, []uint64{3, goodVecs, nvecs, room}},
		{"fd_write", einval, []uint64{1, goodVecs, hugeVecs, room}},
		{"fd_write", einval, []uint64{1, goodVecs, 1<<29 + 1, room}},
		{"fd_write", efault, []uint64{1, size - 8, 2, room}},
		{"fd_write", efault, []uint64{1, wildVecs, 2, room}},
		{"fd_write", efault, []uint64{1, wrapVecs, 2, room}},
		{"fd_write", efault, []uint64{1, goodVecs, nvecs, size - 3}},
		{"poll_oneoff", success, []uint64{sleeping, room, 1, room + 512}},
		{"poll_oneoff", success, []uint64{mixed, room, 4, room + 512}},
		{"poll_oneoff", einval, []uint64{sleeping, room, 0, room + 512}},
		{"poll_oneoff", einval, []uint64{sleeping, room, hugeEvents, room + 512}},
		{"poll_oneoff", einval, []uint64{sleeping, room, negative, room + 512}},
		{"poll_oneoff", einval, []uint64{nonsense, room, 1, room + 512}},
		{"poll_oneoff", efault, []uint64{size - 47, room, 1, room + 512}},
		{"poll_oneoff", efault, []uint64{sleeping, size - 31, 1, room + 512}},
		{"poll_oneoff", efault, []uint64{sleeping, room, 1, size - 3}},
		{"poll_oneoff", efault, []uint64{outside, outside, 64, outside}},
		{"random_get", success, []uint64{room, 16}},
		{"random_get", success, []uint64{size, 0}},
		{"random_get", efault, []uint64{room, size}},
		{"random_get", efault, []uint64{outside, 32}},
		{"random_get", efault, []uint64{room, negative}},
		{"sched_yield", success, nil},
		{"proc_raise", enosys, []uint64{9}},
	}
	// What does nothing is called with a standard stream, another descriptor, and
	// an address outside for every other argument.
	for _, c := range []struct {
		names           string
		standard, other uint64
	}{
		{"fd_close", success, ebadf},
		{"fd_renumber fd_fdstat_set_flags fd_fdstat_set_rights fd_advise fd_allocate fd_datasync fd_sync", enosys, ebadf},
		{"fd_filestat_set_size fd_filestat_set_times", enosys, ebadf},
		{"fd_seek fd_tell fd_pread fd_pwrite", espipe, ebadf},
		{"fd_prestat_get fd_prestat_dir_name fd_readdir", ebadf, ebadf},
		{"path_create_directory path_filestat_get path_filestat_set_times path_link path_open", ebadf, ebadf},
		{"path_readlink path_remove_directory path_rename path_symlink path_unlink_file", ebadf, ebadf},
		{"sock_accept sock_recv sock_send sock_shutdown", enotsock, ebadf},
	} {
		for name := range strings.FieldsSeq(c.names) {
			for fd, want := range map[uint64]uint64{0: c.standard, 1: c.standard, 2: c.standard, 3: c.other, negative: c.other} {
				args := make([]uint64, len(wazeros(t)[name].ParamTypes()))
				for i := range args {
					args[i] = outside
				}
				args[0] = fd
				calls = append(calls, call{name, want, args})
			}
		}
	}
	called := map[string]bool{"proc_exit": true} // by TestExit
	for _, interpret := range []bool{false, true} {
		g := instantiate(t, interpret, forwarder(wazeros(t)), &wasi.System{})
		for _, c := range calls {
			called[c.name] = true
			clear(g.bytes())
			prepare(g)
			before := slices.Clone(g.bytes())
			if got := g.call(c.name, c.args...); got != c.want {
				t.Errorf("interpret %v: %s(%#x) is %d, want %d", interpret, c.name, c.args, got, c.want)
			}
			if c.want != success && !bytes.Equal(g.bytes(), before) {
				t.Errorf("%s(%#x) failed, and wrote", c.name, c.args)
			}
		}
	}
	for name := range wazeros(t) {
		if !called[name] {
			t.Errorf("%s is not called", name)
		}
	}
}

func TestExit(t *testing.T) {
	for _, code := range []uint64{0, 3, negative} {
		g := forward(t, &wasi.System{})
		for range 2 { // the instance can be called again
			_, err := g.try("proc_exit", code)
			exit := (*sys.ExitError)(nil)
			if !errors.As(err, &exit) || uint64(exit.ExitCode()) != code {
				t.Errorf("exit with %d: %v", code, err)
			}
		}
		if e := g.call("sched_yield"); e != success || g.mod.IsClosed() {
			t.Errorf("after it: errno %d, closed %v", e, g.mod.IsClosed())
		}
	}
}

func TestFdstat(t *testing.T) {
	g := forward(t, &wasi.System{})
	for fd, rights := range []uint64{1<<1 | 1<<27, 1<<6 | 1<<27, 1<<6 | 1<<27} {
		copy(g.bytes()[room:], strings.Repeat("x", 24))
		g.call("fd_fdstat_get", uint64(fd), room)
		if g.get64(room) != 0 || g.get64(room+8) != rights || g.get64(room+16) != 0 {
			t.Errorf("descriptor %d: %x", fd, g.bytes()[room:][:24])
		}
	}
}

func TestWrite(t *testing.T) {
	var out, errs bytes.Buffer
	charged := 0
	g := forward(t, &wasi.System{Stdout: &out, Stderr: &errs, Charge: func(n int) { charged += n }})
	prepare(g)
	g.call("fd_write", 1, goodVecs, nvecs, room)
	g.call("fd_write", 2, goodVecs, 1, room+4)
	if out.String() != "hello there" || errs.String() != "hello" || g.get32(room) != 11 || g.get32(room+4) != 5 || charged != 16+32 {
		t.Errorf("stdout %q, stderr %q, %d and %d bytes written, %d charged", &out, &errs, g.get32(room), g.get32(room+4), charged)
	}

	// A call takes 64 KiB, over several buffers too.
	g.put32(goodVecs, 0, 40<<10, 0, size, 0, size)
	out.Reset()
	g.call("fd_write", 1, goodVecs, nvecs, room)
	if out.Len() != 64<<10 || g.get32(room) != 64<<10 {
		t.Errorf("%d bytes written, said to be %d", out.Len(), g.get32(room))
	}

	// Where writers fail.
	prepare(g)
	g.Stdout, g.Stderr = short{3}, short{0}
	if e := g.call("fd_write", 1, goodVecs, nvecs, room); e != success || g.get32(room) != 3 {
		t.Errorf("a short write: errno %d, %d bytes", e, g.get32(room))
	}
	if e := g.call("fd_write", 2, goodVecs, nvecs, room); e != eio {
		t.Errorf("a failing write: errno %d", e)
	}
}

// short takes so many bytes of each write.
type short struct{ n int }

func (s short) Write([]byte) (int, error) { return s.n, io.ErrShortWrite }

// TestRead has a guest read its input in pieces.
func TestRead(t *testing.T) {
	charged := 0
	g := forward(t, &wasi.System{Input: []byte("0123456789abc"), Charge: func(n int) { charged += n }})
	prepare(g)
	for _, want := range []string{"01234", "567", "89abc", ""} { // into rooms of 5, 3, and 11 bytes in two
		count := uint64(1)
		switch want {
		case "567":
			g.put32(goodVecs, text, 3)
		case "89abc":
			g.put32(goodVecs, text, 5, 0, 0, text+5, 6)
			count = nvecs
		}
		e := g.call("fd_read", 0, goodVecs, count, room)
		if got := string(g.bytes()[text:][:g.get32(room)]); e != success || got != want {
			t.Errorf("errno %d, read %q, want %q", e, got, want)
		}
	}
	if charged != 13+48 {
		t.Errorf("%d bytes were charged", charged)
	}
	// A call fills 64 KiB at most.
	g.Input = bytes.Repeat([]byte("x"), 100<<10)
	g.put32(goodVecs, 0, size)
	if e := g.call("fd_read", 0, goodVecs, 1, size-4); e != success || g.get32(size-4) != 64<<10 || len(g.Input) != 36<<10 {
		t.Errorf("errno %d, %d bytes read, %d are left", e, g.get32(size-4), len(g.Input))
	}
	g.Reset()
	if len(g.Input) != 0 {
		t.Errorf("%d bytes of input are left to the next task", len(g.Input))
	}
}

// TestEmptyBilled has a guest billed for what it has the host look at, though no byte is read or written.
func TestEmptyBilled(t *testing.T) {
	charged := 0
	g := forward(t, &wasi.System{Input: []byte("abc"), Charge: func(n int) { charged += n }})
	clear(g.bytes())
	const vecs, results = 16 << 10, 8 << 10
	for _, c := range []struct {
		name string
		args []uint64
		want int
	}{
		{"fd_read", []uint64{0, vecs, 1024, results}, 8 << 10},
		{"fd_write", []uint64{1, vecs, 1024, results}, 8 << 10},
		{"poll_oneoff", []uint64{vecs, vecs, 64, results}, 64 * (48 + 32)},
	} {
		charged = 0
		if e := g.call(c.name, c.args...); e != success || charged != c.want {
			t.Errorf("%s: errno %d, %d bytes were charged, want %d", c.name, e, charged, c.want)
		}
	}
}

// TestStrings has a guest find its arguments and variables.
func TestStrings(t *testing.T) {
	args, err := wasi.NewStrings([]string{"name", "", "--flag"})
	if err != nil {
		t.Fatal(err)
	}
	environ, err := wasi.NewStrings([]string{"A=b"})
	if err != nil {
		t.Fatal(err)
	}
	charged := 0
	g := forward(t, &wasi.System{Arguments: args, Environment: environ, Charge: func(n int) { charged += n }})
	for _, c := range []struct {
		prefix, text string
		at           []uint32
	}{
		{"args", "name\x00\x00--flag\x00", []uint32{0, 5, 6}},
		{"environ", "A=b\x00", []uint32{0}},
	} {
		if e := g.call(c.prefix+"_sizes_get", room, room+4); e != success || int(g.get32(room)) != len(c.at) || int(g.get32(room+4)) != len(c.text) {
			t.Errorf("%s: errno %d, %d of %d bytes", c.prefix, e, g.get32(room), g.get32(room+4))
		}
		if e := g.call(c.prefix+"_get", room, size-uint64(len(c.text))); e != success {
			t.Errorf("%s: errno %d", c.prefix, e)
		}
		start := uint32(size - len(c.text))
		if got := string(g.bytes()[start:]); got != c.text {
			t.Errorf("%s are %q, want %q", c.prefix, got, c.text)
		}
		for i, at := range c.at {
			if got := g.get32(room + uint32(4*i)); got != start+at {
				t.Errorf("%s: pointer %d is %d, want %d", c.prefix, i, got, start+at)
			}
		}
		before := slices.Clone(g.bytes())
		for _, wild := range [][]uint64{{room, uint64(start) + 1}, {size - 3, room}, {outside, outside}} {
			if e := g.call(c.prefix+"_get", wild...); e != efault || !bytes.Equal(before, g.bytes()) {
				t.Errorf("%s%#x: errno %d, or it wrote", c.prefix, wild, e)
			}
		}
	}
	if charged != 13+12+4+4 {
		t.Errorf("%d bytes were charged", charged)
	}
	for _, bad := range [][]string{{"a", "b\x00c"}, {strings.Repeat("x", 600<<10), strings.Repeat("y", 600<<10)}} {
		if _, err := wasi.NewStrings(bad); err == nil {
			t.Errorf("%d strings that no guest can have are taken", len(bad))
		}
	}
}

// TestReadsNothing wants the end of the standard input.
func TestReadsNothing(t *testing.T) {
	g := forward(t, &wasi.System{})
	prepare(g)
	g.put32(room, negative)
	if e := g.call("fd_read", 0, goodVecs, nvecs, room); e != success || g.get32(room) != 0 {
		t.Errorf("errno %d, %d bytes", e, g.get32(room))
	}
}

func (g *guest) time(id uint64) int64 {
	g.tb.Helper()
	if e := g.call("clock_time_get", id, 0, room); e != success {
		g.tb.Fatalf("errno %d", e)
	}
	return int64(g.get64(room))
}

func TestVirtualClock(t *testing.T) {
	g := forward(t, &wasi.System{})
	for i := range int64(3) {
		if wall, mono := g.time(0), g.time(1); wall != wasi.Epoch+2*i*wasi.Step || mono != wasi.MonotonicEpoch+(2*i+1)*wasi.Step {
			t.Errorf("readings %d are %d and %d", i, wall, mono)
		}
	}
	if e := time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC); e.UnixNano() != wasi.Epoch {
		t.Errorf("the clock begins at %v", e)
	}
	// A call that fails reads no clock.
	g.call("clock_time_get", 0, 0, outside)
	if now := g.time(1); now != wasi.MonotonicEpoch+6*wasi.Step {
		t.Errorf("the clock is at %d", now)
	}
	// It stops before it wraps.
	for range 3 {
		g.subscribeClock(sleeping, 1, 0, 1<<63-1, 0)
		g.call("poll_oneoff", sleeping, room, 1, room+512)
	}
	if a, b := g.time(0), g.time(0); a != 1<<63-1 || b != a || g.time(1) < 0 {
		t.Errorf("at its end the clock reads %d and %d", a, b)
	}
}

func TestRealClock(t *testing.T) {
	g := forward(t, &wasi.System{RealClock: true})
	if d := time.Since(time.Unix(0, g.time(0))); d < 0 || d > time.Minute {
		t.Errorf("the wall clock is off by %v", d)
	}
	first := g.time(1)
	g.Reset()
	time.Sleep(time.Millisecond)
	if d := g.time(1) - first; first != wasi.MonotonicEpoch || d < int64(time.Millisecond) {
		t.Errorf("the monotonic clock begins at %d and went by %d", first, d)
	}
}

func TestRandom(t *testing.T) {
	draw := func(g *guest, n uint64) string {
		clear(g.bytes())
		if e := g.call("random_get", 8, n); e != success {
			t.Fatalf("errno %d", e)
		}
		return string(g.bytes()[8:][:n])
	}
	var charges []int
	g := forward(t, &wasi.System{Charge: func(n int) { charges = append(charges, n) }})
	first, second := draw(g, 13), draw(g, 100_000)
	if !slices.Equal(charges, []int{13, 65536, 100_000 - 65536}) {
		t.Errorf("charged %d", charges)
	}
	if strings.Trim(first, "\x00") == "" || strings.Contains(second, first) || strings.Count(second, "\x00") > 1000 {
		t.Error("not random")
	}
	g.Reset()
	if draw(g, 13) != first || draw(g, 100_000) != second {
		t.Error("after Reset other bytes")
	}
	g = forward(t, &wasi.System{RealRandom: true})
	first = draw(g, 32)
	g.Reset()
	if draw(g, 32) == first {
		t.Error("the real source repeats itself")
	}
}

// TestMark wants Reset to go back to the mark, in the middle of a random number
// too.
func TestMark(t *testing.T) {
	g := forward(t, &wasi.System{})
	run := func() [3]uint64 {
		g.call("random_get", room+8, 8)
		return [...]uint64{uint64(g.time(0)), uint64(g.time(1)), g.get64(room + 8)}
	}
	start := run()
	g.call("random_get", room, 3)
	g.Mark()
	marked := run()
	run()
	g.Reset()
	if again := run(); again != marked || again == start {
		t.Errorf("after Reset %d, want %d", again, marked)
	}
}

func TestEnds(t *testing.T) {
	cause := errors.New("too much")
	g := forward(t, &wasi.System{Charge: func(int) { panic(cause) }})
	if _, err := g.try("random_get", room, 8); !errors.Is(err, cause) {
		t.Errorf("where Charge panics: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	for want, ctx := range map[uint32]context.Context{
		sys.ExitCodeContextCanceled:  cancelled,
		sys.ExitCodeDeadlineExceeded: late,
	} {
		g := forward(t, &wasi.System{})
		_, err := g.mod.ExportedFunction("random_get").Call(with(ctx, g.System), room, 8)
		exit := (*sys.ExitError)(nil)
		if !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Errorf("where the context is done: %v", err)
		}
	}
}

// TestAllocs wants no memory of the host for a call.
func TestAllocs(t *testing.T) {
	g := forward(t, &wasi.System{Stdout: io.Discard, Charge: func(int) {}})
	prepare(g)
	stack := make([]uint64, 8)
	for _, c := range []struct {
		name string
		want uint64
		args []uint64
	}{
		{"clock_time_get", success, []uint64{0, 0, room}},
		{"random_get", success, []uint64{room, 100}},
		{"fd_write", success, []uint64{1, goodVecs, nvecs, room}},
		{"poll_oneoff", success, []uint64{mixed, room, 4, room + 512}},
		{"fd_fdstat_get", success, []uint64{1, room}},
		{"fd_seek", espipe, []uint64{1, 0, 0, room}},
		{"sched_yield", success, nil},
	} {
		f := g.mod.ExportedFunction(c.name)
		n := testing.AllocsPerRun(100, func() {
			copy(stack, c.args)
			if err := f.CallWithStack(g.ctx, stack); err != nil || stack[0] != c.want {
				t.Fatalf("%s: errno %d, err %v", c.name, stack[0], err)
			}
		})
		if n != 0 {
			t.Errorf("%s allocates %v times", c.name, n)
		}
	}
}
