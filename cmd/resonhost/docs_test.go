package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestDocs does what the documents say, to the letter: README.md in a checkout, and each of those in
// docs in an empty directory beside one, with resonhost in the PATH.
//
// A block of code of the language console is a session: a line that begins with $ is a command,
// with further lines after a \, and what follows is what it prints. A line … stands for any lines,
// and … within a line for any text. Where nothing follows, a command may print what it likes, and must
// succeed. A server goes on in the background once it has printed what is shown. Comments say
// what other blocks are:
//
//	<!-- file: NAME -->     the content of a file
//	<!-- edit: NAME -->     a diff of a file
//	<!-- more -->           what the server prints later
//	<!-- shows: NAME -->    lines that a file has
//	<!-- as in: NAME -->    lines that a document of this repository has, which are tested there
func TestDocs(t *testing.T) {
	root := guesttest.Root()
	var names []string
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(at string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(at, ".md") {
			names = append(names, at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("README", func(t *testing.T) { runDocument(t, filepath.Join(root, "README.md"), "resonhost") })
	for _, name := range names {
		rel, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.ToSlash(rel), ".md"), func(t *testing.T) { runDocument(t, name, "work") })
	}
}

// fenced is a block of code with its language, and what a comment before it says of it.
var fenced = regexp.MustCompile("(?ms)^(?:<!-- ([a-z ]+?)(?:: (\\S+))? -->\n\n?)?```(\\S*)[^\n]*\n(.*?\n)```\n")

func runDocument(t *testing.T, file, dir string) {
	t.Helper()
	root := guesttest.Root()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := fenced.FindAllSubmatchIndex(text, -1)
	var s *session
	for _, at := range blocks {
		part := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return string(text[at[2*i]:at[2*i+1]])
		}
		what, name, language, body := part(1), part(2), part(3), part(4)
		line := 1 + bytes.Count(text[:at[8]], []byte("\n"))
		if what == "" && language != "console" {
			if language == "go" || strings.HasPrefix(body, "$ ") || strings.Contains(body, "\n$ ") {
				t.Errorf("%s:%d: nothing runs this block; it must be of the language console, or a file", file, line)
			}
			continue
		}
		if s == nil {
			s = newSession(t, dir)
		}
		s.at = fmt.Sprintf("%s:%d", file, line)
		switch {
		case what == "file":
			s.write(name, body)
		case what == "edit":
			s.edit(name, body)
		case what == "shows":
			s.shows(filepath.Join(s.dir, filepath.FromSlash(name)), body)
		case what == "as in":
			s.shows(filepath.Join(root, filepath.FromSlash(name)), body)
		case what == "more":
			s.await(body)
		case what == "" && language == "console":
			s.console(body)
		default:
			t.Errorf("%s: there is no %q", s.at, what)
		}
	}
}

// session is a document's: a directory beside a checkout, in which its commands are run.
type session struct {
	t    *testing.T
	top  string // has the directory and the checkout
	dir  string
	at   string // where in the document
	env  []string
	addr string      // of the server
	seen int         // how much of what the server printed has been shown
	job  *background // nil before there is one
}

func newSession(t *testing.T, dir string) *session {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is missing, which the documents use: install it")
	}
	s := &session{t: t, top: t.TempDir()}
	s.dir = filepath.Join(s.top, dir)
	bin := filepath.Join(s.top, "resonhost", "bin")
	for _, d := range []string{s.dir, bin} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(guesttest.Dir(t, guesttest.Cascade, guesttest.Tick), filepath.Join(bin, "plugins")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary(t), filepath.Join(bin, "resonhost")); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(),
		"PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"GOPROXY=off", "GOSUMDB=off", "GOFLAGS=", "GOWORK=off", // nothing is to be downloaded
		// A machine that does other work beside takes longer than the defaults.
		"RESONHOST_COMPILE_TIMEOUT=10m", "RESONHOST_INIT_TIMEOUT=2m")
	return s
}

func (s *session) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s: %s", s.at, fmt.Sprintf(format, args...))
}

func (s *session) write(name, body string) {
	s.t.Helper()
	file := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		s.fatalf("%v", err)
	}
	// As editors do; a host may watch.
	if err := errors.Join(os.WriteFile(file+".new", []byte(s.here(body)), 0o600), os.Rename(file+".new", file)); err != nil {
		s.fatalf("%v", err)
	}
}

func (s *session) edit(name, diff string) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(name)))
	if err != nil {
		s.fatalf("%v", err)
	}
	var before, after strings.Builder
	for line := range strings.Lines(diff) {
		switch text := line[1:]; line[0] {
		case '-':
			before.WriteString(text)
		case '+':
			after.WriteString(text)
		default:
			before.WriteString(text)
			after.WriteString(text)
		}
	}
	if n := strings.Count(string(b), before.String()); n != 1 {
		s.fatalf("%s has the lines to change %d times:\n%s", name, n, before.String())
	}
	s.write(name, strings.Replace(string(b), before.String(), after.String(), 1))
}

// shows checks that a file has the lines, one after the other.
func (s *session) shows(file, lines string) {
	s.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		s.fatalf("%v", err)
	}
	if !strings.Contains(string(b), lines) {
		s.fatalf("%s does not have these lines", file)
	}
}

// checkout is where a document has the go command look for this module; the directory resonhost
// beside it has what make build builds.
var checkout = regexp.MustCompile(`(replace |resonhost=)(?:\.\./)+resonhost\b`)

// here writes what a document says as it is in this test.
func (s *session) here(text string) string {
	text = checkout.ReplaceAllString(text, "${1}"+guesttest.Root())
	if s.addr != "" {
		text = strings.NewReplacer("localhost:8080", s.addr, "127.0.0.1:8080", s.addr).Replace(text)
	}
	return text
}

// there is the reverse of here.
func (s *session) there(text string) string {
	text = strings.ReplaceAll(text, guesttest.Root(), "../resonhost")
	if s.addr != "" {
		text = strings.ReplaceAll(text, s.addr, "127.0.0.1:8080")
	}
	return text
}

// console runs the commands of a block, one after the other.
func (s *session) console(body string) {
	s.t.Helper()
	var command, want strings.Builder
	more := false
	flush := func() {
		if command.Len() > 0 {
			s.command(command.String(), want.String())
		}
		command.Reset()
		want.Reset()
	}
	for line := range strings.Lines(body) {
		text, begins := strings.CutPrefix(line, "$ ")
		switch {
		case begins:
			flush()
			fallthrough
		case more:
			command.WriteString(text)
			more = strings.HasSuffix(text, "\\\n")
		default:
			want.WriteString(line)
		}
	}
	flush()
}

// everyday are commands that CI runs as they are.
var everyday = map[string]string{"make run": "resonhost run --plugins bin/plugins", "make test": "true", "make build": "true"}

// servers are commands that go on until they are told to end.
var servers = regexp.MustCompile(`^(?:\S*/)?resonhost (run|dev [^|]*)\b`)

// looks are commands that show what became of a plugin's file.
var looks = regexp.MustCompile(`^resonhost plugins ls$`)

func (s *session) command(text, want string) {
	s.t.Helper()
	text = strings.TrimSuffix(text, "\n")
	if c, ok := everyday[text]; ok {
		text = c
	}
	if servers.MatchString(text) && !strings.Contains(text, "--once") {
		s.start(text)
		s.await(want)
		return
	}
	if s.job != nil && looks.MatchString(text) {
		s.awaitFiles()
	}
	// The directory goes on to the next command.
	cmd := exec.Command("sh", "-c", s.here(text)+"\ncode=$?; pwd >\"$RESONHOST_TEST_PWD\"; exit $code")
	cmd.Dir = s.dir
	pwd := filepath.Join(s.top, "pwd")
	cmd.Env = slices.Concat(s.env, []string{"RESONHOST_TEST_PWD=" + pwd})
	if s.addr != "" {
		cmd.Env = append(cmd.Env, "RESONHOST_URL=http://"+s.addr)
	}
	out, err := cmd.CombinedOutput()
	if dir, err := os.ReadFile(pwd); err == nil {
		s.dir = strings.TrimSpace(string(dir))
	}
	if want == "" && err == nil || want != "" && pattern(want, true).MatchString(normal(s.there(string(out)))) {
		return
	}
	s.fatalf("$ %s: %v\n%s\nwant\n%s", text, err, s.there(string(out)), want)
}

// awaitFiles waits until the server has told of each plugin of its directory what became of the
// file as it is now: whether it serves or is refused. It tells that once it is so.
func (s *session) awaitFiles() {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.job.plugins, "*.wasm"))
	if err != nil || len(files) == 0 {
		s.fatalf("no plugins in %s: %v", s.job.plugins, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			s.fatalf("%v", err)
		}
		s.awaitOutput(func(out string) bool { return strings.Contains(out, fmt.Sprintf("hash=%x", sha256.Sum256(b))) },
			"what became of "+file)
	}
}

// background is a command that goes on.
type background struct {
	cmd     *exec.Cmd
	plugins string        // the directory, if it has one
	wrote   chan struct{} // has something if there is further output
	mu      sync.Mutex
	out     bytes.Buffer // guarded by mu
	done    chan struct{}
}

func (j *background) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case j.wrote <- struct{}{}:
	default:
	}
	return j.out.Write(b)
}

func (j *background) output() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.out.String()
}

func (s *session) start(text string) {
	s.t.Helper()
	j := &background{wrote: make(chan struct{}, 1), done: make(chan struct{})}
	j.cmd = exec.Command("sh", "-c", "exec "+s.here(text))
	j.cmd.Dir, j.cmd.Env, j.cmd.Stdout, j.cmd.Stderr = s.dir, slices.Concat(s.env, []string{"RESONHOST_LISTEN=127.0.0.1:0"}), j, j
	if err := j.cmd.Start(); err != nil {
		s.fatalf("$ %s: %v", text, err)
	}
	go func() {
		defer close(j.done)
		_ = j.cmd.Wait() // of a signal
	}()
	if m := regexp.MustCompile(`--plugins (\S+)`).FindStringSubmatch(text); m != nil {
		j.plugins = filepath.Join(s.dir, m[1])
	}
	s.job, s.seen = j, 0
	s.t.Cleanup(func() {
		_ = j.cmd.Process.Signal(syscall.SIGTERM)
		<-j.done
	})
}

var listening = regexp.MustCompile(`(?:addr=|serving at http://)(127\.0\.0\.1:\d+)`)

// await waits until the server has printed the text, since it began or since it last had.
func (s *session) await(want string) {
	s.t.Helper()
	s.awaitOutput(func(out string) bool {
		if m := listening.FindStringSubmatch(out); m != nil {
			s.addr = m[1]
		}
		lines := normal(s.there(out[:strings.LastIndexByte(out, '\n')+1]))[s.seen:]
		if at := pattern(want, false).FindStringIndex(lines); at != nil {
			s.seen += at[1]
			return true
		}
		if at, ok := deviates(lines, want); ok {
			s.fatalf("the server printed\n%s\nwant\n%s", at, want)
		}
		return false
	}, want)
}

// deviates reports whether what was printed cannot go on to what is wanted, and returns where.
func deviates(lines, want string) (line string, ok bool) {
	printed := slices.Collect(strings.Lines(lines))
	for i, w := range slices.Collect(strings.Lines(want)) {
		switch {
		case i == len(printed), w == "…\n":
			return "", false
		case !pattern(w, true).MatchString(printed[i]):
			return printed[i], true
		}
	}
	return "", false
}

// awaitOutput waits until what the server has printed is ok, which it asks at each change.
func (s *session) awaitOutput(ok func(out string) bool, want string) {
	s.t.Helper()
	if s.job == nil {
		s.fatalf("there is no server")
	}
	deadline := time.After(10 * time.Minute)
	for !ok(s.job.output()) {
		select {
		case <-s.job.wrote:
		case <-s.job.done:
			s.fatalf("the server has ended:\n%s\nwant\n%s", s.there(s.job.output()), want)
		case <-deadline:
			s.fatalf("the server printed\n%s\nwant\n%s", s.there(s.job.output()), want)
		}
	}
}

// varies is what differs from run to run: times, hashes, durations, and how wide columns are.
var varies = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b(?:\d+\.)?\d+(?:e-\d+)? ?(?:ns|µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b|\b[0-9a-f]{8}\b`), "HASH"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

func normal(s string) string {
	for _, v := range varies {
		s = v.what.ReplaceAllString(s, v.as)
	}
	return s
}

// pattern is an expression for what a document shows.
func pattern(want string, whole bool) *regexp.Regexp {
	var b strings.Builder
	for line := range strings.Lines(normal(want)) {
		if line == "…\n" {
			b.WriteString(`(?s:.*?)`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(line, " \n")), "…", ".*") + ` ?\n`)
	}
	if whole {
		return regexp.MustCompile(`\A` + b.String() + `\z`)
	}
	return regexp.MustCompile(`(?m:^)` + b.String())
}
