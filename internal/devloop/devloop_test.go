//go:build unix

package devloop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/devloop"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// project is one whose build edits a guest by the sed script in the file "edit". It stands
// for a compiler, which would take its time.
type project struct {
	dir     string
	host    *host.Host
	config  devloop.Config
	reports chan *devloop.Report
	end     context.CancelFunc
	ended   chan error
}

const buildScript = `LC_ALL=C sed -f edit guest.bin > hostile.wasm.new && mv hostile.wasm.new hostile.wasm`

func newProject(t *testing.T) *project {
	t.Helper()
	h, err := host.New(host.Config{
		StartEmpty: true, Translate: codec.New().Translate,
		Defaults: host.PluginConfig{MemoryLimit: 16 << 20, BreakAfter: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p := &project{dir: filepath.Join(t.TempDir(), "project"), host: h, reports: make(chan *devloop.Report), ended: make(chan error, 1)}
	p.fill(t)
	p.config = devloop.Config{
		Dir: p.dir, Command: []string{"sh", "build.sh"}, Name: "hostile",
		WASM: filepath.Join(p.dir, "hostile.wasm"), Tests: filepath.Join(p.dir, "hostile.test.ndjson"),
		Host: h, Codecs: codec.New(), Status: func(string) {},
	}
	return p
}

// fill writes the project.
func (p *project) fill(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p.write(t, "guest.bin", string(guesttest.HandWritten(t, "hostile")))
	p.write(t, "edit", "")
	p.write(t, "build.sh", buildScript)
	p.write(t, "hostile.test.ndjson", `{"name": "a word", "transform": "hostile.echo", "input": "abc", "output": {"base64": "YWJj"}}`)
}

func (p *project) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start starts the loop, which the test ends.
func (p *project) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.end = cancel
	p.config.Report = func(r *devloop.Report) error {
		select {
		case p.reports <- r:
		case <-ctx.Done():
		}
		return nil
	}
	go func() { p.ended <- devloop.Run(ctx, p.config) }()
	t.Cleanup(func() {
		cancel()
		if err := <-p.ended; err != nil {
			t.Error(err)
		}
	})
}

// next is the next report, in short.
func (p *project) next(t *testing.T) (r *devloop.Report, short string) {
	t.Helper()
	select {
	case r = <-p.reports:
	case err := <-p.ended:
		t.Fatalf("the loop has ended: %v", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %q serves", r.Result, r.Serving.Version)
	switch {
	case r.Error != nil && r.Error.Step != "":
		fmt.Fprintf(&b, "; %s: %s", r.Error.Step, r.Error.Detail)
	case r.Error != nil:
		fmt.Fprintf(&b, "; %s", r.Error.Detail)
	}
	for _, task := range r.Tasks {
		fmt.Fprintf(&b, "; %s %s", task.Name, task.Change)
		if task.Error != nil {
			fmt.Fprintf(&b, " %s", task.Error.Kind)
		}
		if task.Difference != "" {
			fmt.Fprintf(&b, " (%s)", task.Difference)
		}
	}
	return r, b.String()
}

func (p *project) want(t *testing.T, want string) *devloop.Report {
	t.Helper()
	r, got := p.next(t)
	if got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	return r
}

func TestLoop(t *testing.T) {
	p := newProject(t)
	p.start(t)
	first := p.want(t, `loaded, "1.0.0" serves; a word new`)
	task := first.Tasks[0]
	if string(task.Output) != `{"base64":"YWJj"}` || task.Fuel == 0 || task.Nanoseconds <= 0 || task.Runs < 1 || first.Serving.Memory != 4<<20 {
		t.Errorf("%+v, memory %d", task, first.Serving.Memory)
	}

	p.write(t, "edit", `s/"1\.0\.0"/"1.1.0"/`)
	second := p.want(t, `swapped, "1.1.0" serves; a word same`)
	if again := second.Tasks[0]; again.FuelBefore != task.Fuel || again.Fuel != task.Fuel || again.NanosecondsBefore != task.Nanoseconds || second.Before != first.Serving {
		t.Errorf("%+v, before %+v", again, second.Before)
	}

	p.write(t, "edit", "no sed")
	failed := p.want(t, `build_failed, "1.1.0" serves`)
	if b := failed.Build; b.ExitCode != 1 || !strings.Contains(b.Output, "sed: ") || b.Command != "sh build.sh" {
		t.Errorf("%+v", b)
	}

	// Another transform of the name: a test fails.
	p.write(t, "edit", `s/"1\.0\.0"/"1.2.0"/; s/hostile\.echo/hostile.ech0/`)
	p.want(t, `refused, "1.1.0" serves; self-test: hostile.test.ndjson: line 1 "a word" of hostile.echo: the plugin has no such transform`)
	p.write(t, "hostile.test.ndjson", `{"name": "a word", "transform": "hostile.ech0", "input": "abc", "output": {"base64": "YWI="}}`)
	p.want(t, `refused, "1.1.0" serves; self-test: hostile.test.ndjson: line 1 "a word" of hostile.ech0: base64: got "YWJj", want "YWI="`)
	p.write(t, "hostile.test.ndjson", "")
	p.want(t, `swapped, "1.2.0" serves`)

	p.write(t, "build.sh", "rm hostile.wasm")
	p.want(t, `refused, "1.2.0" serves; the build left no plugin: open `+p.config.WASM+`: no such file or directory`)
	p.write(t, "edit", `s/"1\.0\.0"/"1.2.0"/; s/hostile\.echo/hostile.ech0/ # the same`)
	p.write(t, "build.sh", buildScript)
	for { // or of the first of the two saves before
		if _, got := p.next(t); got == `unchanged, "1.2.0" serves` {
			break
		}
	}
}

// TestOutputs compares the outputs of inputs that the plugin comes to see otherwise.
func TestOutputs(t *testing.T) {
	p := newProject(t)
	p.config.Inputs = filepath.Join(p.dir, "inputs")
	p.write(t, "hostile.test.ndjson", "")
	p.write(t, "inputs", `{"transform": "hostile.echo", "input": "!"}
{"name": "trap", "transform": "hostile.trap", "input": "!"}
{"name": "again", "transform": "hostile.echo", "input": "!"}
{"name": "bad", "transform": "hostile.echo", "input": 7}
"bare"`)
	p.start(t)
	p.want(t, `loaded, "1.0.0" serves; inputs:1 new; trap new trap; again new; bad new invalid_argument; inputs:5 new invalid_argument`)
	// The two change places.
	p.write(t, "edit", `s/hostile\.echo/hostile.xxxx/; s/hostile\.trap/hostile.echo/; s/hostile\.xxxx/hostile.trap/`)
	r := p.want(t, `swapped, "1.0.0" serves; inputs:1 changed trap (was an output, is the error trap: resonhost_run: unreachable); `+
		`trap changed (was the error trap: resonhost_run: unreachable, is an output); `+
		`again changed trap (was an output, is the error trap: resonhost_run: unreachable); bad same invalid_argument; inputs:5 same invalid_argument`)
	if !r.Failed() || r.Tasks[0].Runs != 0 || r.Tasks[1].Runs == 0 {
		t.Errorf("failed: %v, runs %d and %d", r.Failed(), r.Tasks[0].Runs, r.Tasks[1].Runs)
	}
	p.write(t, "inputs", "{")
	p.want(t, `unchanged, "1.0.0" serves; the inputs: `+p.config.Inputs+`:1: unexpected end of JSON input`)
	p.write(t, "inputs", `{"transform": "hostile.echo", "input": "!"}`)
	p.want(t, `unchanged, "1.0.0" serves; inputs:1 same trap`)
}

// TestSaveDuringBuild has a build that would not end, and its processes hold a pipe open.
func TestSaveDuringBuild(t *testing.T) {
	p := newProject(t)
	r := p.buildWithoutEnd(t)
	p.start(t)
	alive := r()
	p.write(t, "build.sh", buildScript)
	p.want(t, `loaded, "1.0.0" serves; a word new`)
	if rest, err := io.ReadAll(alive); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestEndDuringBuild ends the loop, and the build with it.
func TestEndDuringBuild(t *testing.T) {
	p := newProject(t)
	r := p.buildWithoutEnd(t)
	p.start(t)
	alive := r()
	p.end()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
	p.ended <- nil // for the end of the test
	if rest, err := io.ReadAll(alive); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// buildWithoutEnd has the project have such a build. What it returns waits until it runs,
// and returns what ends when the last of its processes does.
func (p *project) buildWithoutEnd(t *testing.T) func() io.Reader {
	t.Helper()
	alive := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(alive, 0o600); err != nil {
		t.Fatal(err)
	}
	p.write(t, "build.sh", fmt.Sprintf("exec 3>'%s'; sleep 1000000 & echo up >&3; sleep 1000000", alive))
	return func() io.Reader {
		f, err := os.Open(alive)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		r := bufio.NewReader(f)
		if line, err := r.ReadString('\n'); line != "up\n" {
			t.Fatalf("%q, %v", line, err)
		}
		return r
	}
}

// TestProjectIsDeleted has what was built go on, and be built anew once there is a project.
func TestProjectIsDeleted(t *testing.T) {
	p := newProject(t)
	p.start(t)
	p.want(t, `loaded, "1.0.0" serves; a word new`)
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	for { // it may be built while it goes
		r, _ := p.next(t)
		if r.Serving.Version != "1.0.0" {
			t.Fatalf("%+v", r)
		}
		if r.Result == devloop.Gone {
			break
		}
	}
	if _, err := p.host.Run(t.Context(), "hostile.echo", []byte("abc")); err != nil {
		t.Error(err)
	}
	p.fill(t)
	p.write(t, "edit", `s/"1\.0\.0"/"2.0.0"/`)
	p.until(t, "2.0.0")
}

// TestBuildWritesSource has each build write another source: that ends, the version serves, and
// who saves is told how to leave it out. A save begins a build all the same.
func TestBuildWritesSource(t *testing.T) {
	p := newProject(t)
	p.write(t, "build.sh", "echo $$ > build.stamp\n"+buildScript)
	builds := 0
	told, settled := "", make(chan struct{})
	p.config.Status = func(s string) {
		if strings.HasPrefix(s, "building: ") {
			builds++
		}
		if strings.Contains(s, "--ignore") {
			told = s
			close(settled)
		}
	}
	p.start(t)
	last := ""
	for waiting := true; waiting; {
		select {
		case r := <-p.reports:
			last = r.Serving.Version
		case <-settled:
			waiting = false
		}
	}
	if want := "build.stamp changed during each of the last 4 builds, so the build seems to write it: that begins no further build. " +
		"--ignore build.stamp leaves it out; if you saved it, do so again"; told != want {
		t.Errorf("told: %s\nwant: %s", told, want)
	}
	if builds < 4 || builds > 6 || last != "1.0.0" {
		t.Errorf("%d builds, %q serves; want 4 to 6, 1.0.0", builds, last)
	}
	p.write(t, "edit", `s/"1\.0\.0"/"1.1.0"/`)
	p.want(t, `swapped, "1.1.0" serves; a word same`)
}

func TestBurstOfSaves(t *testing.T) {
	p := newProject(t)
	p.start(t)
	p.want(t, `loaded, "1.0.0" serves; a word new`)
	const last = 199
	for i := range last + 1 {
		p.write(t, "edit", fmt.Sprintf(`s/"1\.0\.0"/"%d.%d.%d"/`, 1+i/100, i/10%10, i%10)) // as long
	}
	p.until(t, "2.9.9")
}

// until waits for a version to serve.
func (p *project) until(t *testing.T, version string) {
	t.Helper()
	for {
		if r, _ := p.next(t); r.Serving.Version == version {
			return
		}
	}
}

func TestOnce(t *testing.T) {
	p := newProject(t)
	p.config.Once = true
	var got *devloop.Report
	p.config.Report = func(r *devloop.Report) error { got = r; return nil }
	var status []string
	p.config.Status = func(s string) { status = append(status, s) }
	if err := devloop.Run(t.Context(), p.config); err != nil || got.Result != "loaded" {
		t.Errorf("%v, %+v", err, got)
	}
	// What is there from the last time is what the next is compared with.
	p.write(t, "edit", `s/"1\.0\.0"/"1.1.0"/`)
	if err := devloop.Run(t.Context(), p.config); err != nil || got.Result != "swapped" || got.Tasks[0].Change != devloop.Same {
		t.Errorf("%v, %+v", err, got)
	}
	p.write(t, "edit", "no sed")
	if err := devloop.Run(t.Context(), p.config); !errors.Is(err, devloop.ErrFailed) || got.Result != devloop.BuildFailed {
		t.Errorf("%v, %+v", err, got)
	}
	p.write(t, "hostile.wasm", "none")
	if err := devloop.Run(t.Context(), p.config); !errors.Is(err, devloop.ErrFailed) {
		t.Error(err)
	}
	want := `building: sh build.sh
hostile 1.0.0 (HASH) serves, as it was built before
building: sh build.sh
hostile 1.1.0 (HASH) serves, as it was built before
building: sh build.sh
what was built before is not taken: inspect: not a WebAssembly module of version 1
building: sh build.sh`
	lines := strings.Join(status, "\n")
	for _, v := range []string{"1.0.0", "1.1.0"} {
		if at := strings.Index(lines, v+" ("); at >= 0 {
			at += len(v) + 2
			lines = lines[:at] + "HASH" + lines[at+8:]
		}
	}
	if lines != want {
		t.Errorf("status:\n%s\nwant:\n%s", lines, want)
	}
	broken := errors.New("broken pipe")
	p.config.Report = func(*devloop.Report) error { return broken }
	if err := devloop.Run(t.Context(), p.config); !errors.Is(err, broken) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := devloop.Run(ended, p.config); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestReportIsJSON has it have what is there, and no more.
func TestReportIsJSON(t *testing.T) {
	gone := api.New(api.KindNotFound, "gone")
	b, err := json.Marshal(&devloop.Report{Plugin: "p", Result: devloop.Gone, Error: &gone})
	if want := `{"plugin":"p","result":"gone","error":{"status":404,"detail":"gone","kind":"not_found"}}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}
