package command_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/command"
	"github.com/resonhost/resonhost/host/internal/module/kindtest"
	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// words are what the guest "program" can do, each a transform.
var words = []string{
	"echo", "pieces", "leave", "trap", "spin", "grow", "deep", "arguments", "variables", "none", "chance", "much", "fail", "quiet",
}

func programs() *companion.File {
	f := &companion.File{
		Name: "program", Environment: map[string]string{"LANG": "en", "EMPTY": "", "A": "1=2"},
	}
	for _, word := range words {
		f.Transforms = append(f.Transforms, companion.Transform{Name: "program." + word, Arguments: []string{word}})
	}
	return f
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Subject{
		Kind: kindtest.With(command.Kind{}, programs()), WASM: guesttest.HandWritten(t, "program"),
		Echo: "program.echo", Leave: "program.leave", Trap: "program.trap", Spin: "program.spin", Grow: []string{"program.grow"},
	})
}

func options(kind contract.Kind) module.Options {
	s := kindtest.Subject{Kind: kind}
	o := s.Options()
	o.Name = "program"
	return o
}

// run runs a transform in an instance that is as a new one.
func run(t *testing.T, in *module.Instance, transform int, payload string) (abi.Result, error) {
	t.Helper()
	var got [1]abi.Result
	_, err := in.Run(t.Context(), &module.Call{
		Transform: transform, Items: []abi.Item{{Payload: []byte(payload)}}, Results: got[:],
		Limits: module.Limits{Timeout: time.Minute},
	})
	return got[0], err
}

func TestProgram(t *testing.T) {
	for _, interpret := range []bool{false, true} {
		opts := options(kindtest.With(command.Kind{}, programs()))
		opts.Interpret = interpret
		m := kindtest.Load(t, guesttest.HandWritten(t, "program"), opts)
		in := m.Instance()
		var first abi.Result
		for i, c := range []struct {
			word, input string
			status      abi.Status
			output      string
		}{
			{"echo", "abc", abi.StatusOK, "abc"},
			{"pieces", strings.Repeat("0123456789", 100), abi.StatusOK, strings.Repeat("0123456789", 100)},
			{"arguments", "", abi.StatusOK, "program\x00arguments\x00"},
			{"variables", "", abi.StatusOK, "A=1=2\x00EMPTY=\x00LANG=en\x00"},
			{"none", "", abi.StatusOK, "\x2c\x39\x00"},
			{"much", "!!!", abi.StatusOK, strings.Repeat("!"+strings.Repeat("\x00", 1<<16-1), 3)},
			{"much", "", abi.StatusOK, ""},
			{"fail", "said before", abi.StatusFailed, "exit code 3: no such thing\nthe last words"},
			{"quiet", "", abi.StatusFailed, "exit code 4"},
			{"echo", "reads what comes", abi.StatusOK, "reads what comes"},
			{"chance", "", abi.StatusOK, ""},
			{"chance", "", abi.StatusOK, ""},
			{"leave", "!", abi.StatusOK, ""},
			{"leave", "!!", abi.StatusOK, "gmsd"},
			{"leave", "!", abi.StatusOK, ""},
		} {
			got, err := run(t, in, indexOf(c.word), c.input)
			if c.word == "chance" {
				if first.Payload == nil {
					first = got
				}
				c.output = string(first.Payload)
			}
			if err != nil || got.Status != c.status || string(got.Payload) != c.output {
				t.Errorf("%d: %s answers with %v %.100q, err %v", i, c.word, got.Status, got.Payload, err)
			}
			if !in.Reset() {
				t.Fatalf("%d: after %s it cannot be put back", i, c.word)
			}
		}
	}
}

func indexOf(word string) int {
	for i, w := range words {
		if w == word {
			return i
		}
	}
	panic(word)
}

// TestRunsOnce has no program begin where another has ended.
func TestRunsOnce(t *testing.T) {
	m := kindtest.Load(t, guesttest.HandWritten(t, "program"), options(kindtest.With(command.Kind{}, programs())))
	in := m.Instance()
	if _, err := run(t, in, indexOf("echo"), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, in, indexOf("echo"), "b"); err == nil || in.Usable() {
		t.Errorf("it ran again: %v", err)
	}
}

// TestExitsDeep has programs end in the midst of many calls, often enough that what each leaves
// would be noticed.
func TestExitsDeep(t *testing.T) {
	for _, interpret := range []bool{false, true} {
		opts := options(kindtest.With(command.Kind{}, programs()))
		opts.Interpret = interpret
		m := kindtest.Load(t, guesttest.HandWritten(t, "program"), opts)
		in := m.Instance()
		for range 100 {
			if got, err := run(t, in, indexOf("deep"), ""); err != nil || got.Status != abi.StatusOK || !in.Reset() {
				t.Fatalf("%v %q, err %v", got.Status, got.Payload, err)
			}
		}
	}
}

// TestOutputIsBounded has a program end early that writes more than it may.
func TestOutputIsBounded(t *testing.T) {
	m := kindtest.Load(t, guesttest.HandWritten(t, "program"), options(kindtest.With(command.Kind{}, programs())))
	in := m.Instance()
	_, err := run(t, in, indexOf("much"), strings.Repeat("!", 1000)) // 64 MiB
	fault := (*module.Fault)(nil)
	const want = "_start wrote more than 4194304 bytes to its stdout, the limit (MaxOutput, --max-output)"
	if !errors.As(err, &fault) || fault.Message != want || !fault.Task {
		t.Errorf("err %v, want %s", err, want)
	}
	if !in.Usable() || !in.Reset() {
		t.Error("the instance is of no more use")
	}
	if got, err := run(t, in, indexOf("echo"), "a"); err != nil || string(got.Payload) != "a" {
		t.Errorf("the next task: %q, %v", got.Payload, err)
	}
}

// TestWithoutCompanion has a program be one transform of its source's name.
func TestWithoutCompanion(t *testing.T) {
	m := kindtest.Load(t, guesttest.HandWritten(t, "program"), options(command.Kind{}))
	info := m.Info()
	if len(info.Manifest.Transforms) != 1 || info.Manifest.Transforms[0].Name != "program" || !info.Single || info.Claim != "exports _start" {
		t.Errorf("%+v, %+v", info, info.Manifest)
	}
	if got, err := run(t, m.Instance(), 0, "a"); err != nil || string(got.Payload) != "a" {
		t.Errorf("%q, %v", got.Payload, err)
	}
}

func TestRefuses(t *testing.T) {
	program := guesttest.HandWritten(t, "program")
	for _, c := range []struct {
		name   string
		wasm   []byte
		change func(*companion.File)
		want   string
	}{
		{"an export", program, func(f *companion.File) { f.Transforms[0].Export = "main" }, "export: is of no use to a command"},
		{"an operation", program, func(f *companion.File) { f.Transforms[0].Operation = "op" }, "operation: is for guests of waPC"},
		{"a state", program, func(f *companion.File) { f.Transforms[0].StateBytes = 8 }, "transforms[0].state: a command keeps no state"},
		{"a variable without a name", program, func(f *companion.File) { f.Environment = map[string]string{"": "b"} }, `environment: "" is no name of a variable`},
		{"a variable's name", program, func(f *companion.File) { f.Environment = map[string]string{"A=B": "b"} }, "is no name of a variable"},
		{"a variable's value", program, func(f *companion.File) { f.Environment = map[string]string{"A": "b\x00"} }, `environment: "A=b\x00" has a NUL in it`},
		{"an argument", program, func(f *companion.File) { f.Transforms[0].Arguments = []string{"\x00"} }, `arguments of program.echo: "\x00" has a NUL in it`},
		{"a start of another type", module1("_start", "\x60\x01\x7f\x00"), nil, "exports _start(i32) → (), want _start() → ()"},
		{"no memory", module1("_start", "\x60\x00\x00"), nil, `does not export a memory called "memory"`},
		{"no start", module1("main", "\x60\x00\x00"), nil, "does not export the function _start() → (), which a command begins with"},
	} {
		file := programs()
		if c.change != nil {
			c.change(file)
		}
		m, err := module.Load(t.Context(), c.wasm, options(kindtest.With(command.Kind{}, file)))
		if err == nil {
			_ = m.Close(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err %v, want %s", c.name, err, c.want)
		}
	}
}

// TestRefusesKeys has the line of what a command has no use for told.
func TestRefusesKeys(t *testing.T) {
	opts := options(command.Kind{})
	opts.Companion = []byte("name: program\nconfig: {a: b}\nallowed_hosts: [x]\nmax_response_bytes: 1\nmax_variable_bytes: 1\ntransforms: [{name: program, state: 1}]\n")
	_, err := module.Load(t.Context(), guesttest.HandWritten(t, "program"), opts)
	const want = "program.plugin.yaml:2: config: a command reads none; environment and arguments are what it gets\n" +
		"program.plugin.yaml:3: allowed_hosts: a command sends no requests\n" +
		"program.plugin.yaml:4: max_response_bytes: a command sends no requests\n" +
		"program.plugin.yaml:5: max_variable_bytes: a command has none\n" +
		"program.plugin.yaml:6: transforms[0].state: a command keeps no state"
	if err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
}

// module1 is a module of one function that does nothing, exported by that name.
func module1(export, typ string) []byte {
	section := func(id byte, content string) string { return string([]byte{id, byte(len(content))}) + content }
	return []byte("\x00asm\x01\x00\x00\x00" + section(1, "\x01"+typ) + section(3, "\x01\x00") +
		section(7, "\x01"+string(byte(len(export)))+export+"\x00\x00") + section(10, "\x01\x02\x00\x0b"))
}

// TestGo runs a program in Go, which takes its memory anew in each task, and ends by proc_exit.
func TestGo(t *testing.T) {
	opts := options(command.Kind{})
	opts.MemoryLimit = 64 << 20
	m := kindtest.Load(t, guesttest.BuildCommand(t, "./testdata/guests/wordcount"), opts)
	in := m.Instance()
	for range 20 {
		got, err := run(t, in, 0, "one two\nthree")
		if err != nil || got.Status != abi.StatusOK || string(got.Payload) != "1 3 13\n" {
			t.Fatalf("%v %q, err %v", got.Status, got.Payload, err)
		}
		if !in.Grown() {
			t.Error("it has not grown, so that this tests less than it is to")
		}
		if !in.Reset() || in.Grown() {
			t.Fatal("it cannot be put back")
		}
	}
}

// TestFiles has a program in Go look for files, and make some: there are none, and it can make none.
// What it does to its descriptors is gone in the next run.
func TestFiles(t *testing.T) {
	opts := options(command.Kind{})
	opts.MemoryLimit = 64 << 20
	m := kindtest.Load(t, guesttest.BuildCommand(t, "./testdata/guests/files"), opts)
	in := m.Instance()
	const want = `getwd: /
open: No such file or directory
open deep: No such file or directory
read: No such file or directory
stat: No such file or directory
stat /: true
readdir: []
walk: [.]
readlink: No such file or directory
create: Read-only file system
mkdir: Read-only file system
mkdir deep: Read-only file system
temp: No such file or directory
write /: Is a directory
remove: No such file or directory
rename: No such file or directory
symlink: Read-only file system
close 3: <nil>
open then: Bad file number
`
	for range 3 {
		got, err := run(t, in, 0, "")
		if err != nil || got.Status != abi.StatusOK || string(got.Payload) != want {
			t.Fatalf("%v, err %v, want\n%s, got\n%s", got.Status, err, want, got.Payload)
		}
		if !in.Reset() {
			t.Fatal("it cannot be put back")
		}
	}
}
