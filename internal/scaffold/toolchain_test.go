//go:build scaffolds

package scaffold_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/resonhost/resonhost/abi"
	rules "github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/scaffold"
)

// installs is how Debian has the toolchains that are tested, by language.
var installs = map[string]string{
	"go":             "see https://go.dev/doc/install",
	"rust":           "apt-get install cargo libstd-rust-dev-wasm32",
	"assemblyscript": "apt-get install nodejs npm",
	"c":              "apt-get install clang lld wasi-libc libclang-rt-dev-wasm32",
}

// reserved are names that their languages would not have for a variable.
var reserved = map[string]string{"go": "type", "rust": "fn", "assemblyscript": "function", "c": "while"}

// TestToolchains builds a new plugin in each language that can be tested, and has it
// checked, called and maltreated.
func TestToolchains(t *testing.T) {
	bin := t.TempDir()
	resonhost := filepath.Join(bin, "resonhost")
	run(t, guesttest.Root(), nil, "go", "build", "-o", resonhost, "./cmd/resonhost")
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for _, l := range everyLanguage() {
		if l.Untested != "" {
			continue
		}
		t.Run(l.Kind+"/"+l.Name, func(t *testing.T) {
			dir, name := t.TempDir(), reserved[l.Name]
			args := []string{"new", name, "--kind", l.Kind, "--lang", l.Name, "--dir", "."}
			if l.Kind == scaffold.Native && l.Name == "go" { // whose plugins are of this module's packages
				args = append(args, "--replace", guesttest.Root())
			}
			run(t, dir, nil, resonhost, args...)
			if out, err := command(dir, nil, "make", "CFLAGS=-O2 -Wall -Wextra -pedantic -Werror").CombinedOutput(); err != nil {
				t.Fatalf("make: %v\n%s\nIt needs %s. %s", err, out, l.Needs, installs[l.Name])
			}
			file := filepath.Join(dir, name+".wasm")
			if test, _, _ := strings.Cut(l.Test, "#"); test != "" {
				if out, err := command(dir, nil, "sh", "-c", test).CombinedOutput(); err != nil || !strings.Contains(string(out), "ok") {
					t.Errorf("%s: %v\n%s", test, err, out)
				}
			}
			if l.Kind != scaffold.Native {
				refusal := "text: must not be empty"
				if l.Kind == scaffold.Command {
					refusal = "exit code 1: " + refusal
				}
				t.Run("inspect", func(t *testing.T) { inspect(t, resonhost, file, 2) })
				t.Run("call", func(t *testing.T) { callTests(t, resonhost, dir, name, "", refusal) })
				t.Run("conform", func(t *testing.T) { run(t, dir, nil, resonhost, "conform", file) })
				t.Run("large", func(t *testing.T) { callLarge(t, resonhost, dir, name) })
				t.Run("dev", func(t *testing.T) { dev(t, resonhost, dir, name, l.Source) })
				return
			}
			t.Run("inspect", func(t *testing.T) { inspect(t, resonhost, file, 3) })
			t.Run("call", func(t *testing.T) { callTests(t, resonhost, dir, name, "text", "text: must not be empty") })
			t.Run("conform", func(t *testing.T) { run(t, dir, nil, resonhost, "conform", file) })
			t.Run("large", func(t *testing.T) { callLarge(t, resonhost, dir, name) })
			t.Run("frames", func(t *testing.T) { malformed(t, file) })
		})
	}
}

func command(dir string, stdin []byte, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	return cmd
}

// run returns what a command prints that must succeed.
func run(t *testing.T, dir string, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := command(dir, stdin, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.Bytes())
	}
	return out
}

// dev has the project built, deployed and tried, and once more with a fault in its source, which its
// self-tests find.
func dev(t *testing.T, resonhost, dir, name, source string) {
	if out := run(t, dir, nil, resonhost, "dev", ".", "--once"); !strings.Contains(string(out), name+" 0.1.0 (") {
		t.Errorf("%s", out)
	}
	file := filepath.Join(dir, source)
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(b, []byte("'!'"), []byte("'?'"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := command(dir, nil, resonhost, "dev", ".", "--once").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `output of 6 bytes is "?" from byte 5 on`) {
		t.Errorf("err %v, %s", err, out)
	}
}

func inspect(t *testing.T, resonhost, file string, tests int) {
	var got struct {
		SelfTests int    `json:"self_tests"`
		NoReset   string `json:"no_reset"`
	}
	if err := json.Unmarshal(run(t, ".", nil, resonhost, "inspect", "--json", file), &got); err != nil {
		t.Fatal(err)
	}
	if got.SelfTests != tests || got.NoReset != "" {
		t.Errorf("%d self-tests passed, cannot be reset: %q", got.SelfTests, got.NoReset)
	}
}

// callTests calls the plugin with the tests beside it, many times over: in tasks
// apart, and in frames of several.
func callTests(t *testing.T, resonhost, dir, name, field, refusal string) {
	type test struct {
		Input, Output json.RawMessage
		Error         string
	}
	b, err := os.ReadFile(filepath.Join(dir, name+".test.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	var tests []test
	for line := range bytes.Lines(b) {
		var c test
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		tests = append(tests, c)
	}
	const rounds = 500
	var input bytes.Buffer
	for range rounds {
		for _, c := range tests {
			input.Write(append(c.Input, '\n'))
		}
	}
	for _, isolation := range []string{"pristine", "frame", "shared"} {
		t.Run(isolation, func(t *testing.T) {
			cmd := command(dir, input.Bytes(), resonhost, "call", name, "--plugins", ".", "--isolation", isolation)
			out, err := cmd.Output()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("err %v, want exit code 1, as lines fail", err)
			}
			lines := bufio.NewScanner(bytes.NewReader(out))
			n := 0
			for ; lines.Scan(); n++ {
				c := tests[n%len(tests)]
				want := string(c.Output)
				if c.Error != "" {
					member := ""
					if field != "" {
						member = fmt.Sprintf(`"field":%q,`, field)
					}
					want = fmt.Sprintf(`{"error":{"status":%d,"detail":%q,"kind":%q,%s"transform":%q,"plugin":%q,"version":"0.1.0","line":%d}}`, rules.RuleOf(host.Kind(c.Error)).Status, refusal, c.Error, member, name, name, n+1)
				}
				if lines.Text() != want {
					t.Fatalf("line %d: %s, want %s", n+1, lines.Text(), want)
				}
			}
			if n != rounds*len(tests) {
				t.Errorf("%d lines, want %d", n, rounds*len(tests))
			}
		})
	}
}

// callLarge has one instance do tasks that together are larger than its memory may
// get, each larger than the room the plugin has at first.
func callLarge(t *testing.T, resonhost, dir, name string) {
	const tasks, size = 100, 600 << 10
	line, want := `"`+strings.Repeat("x", size)+`"`+"\n", `"`+strings.Repeat("X", size)+`!"`+"\n"
	for _, isolation := range []string{"shared", "pristine"} {
		out := run(t, dir, []byte(strings.Repeat(line, tasks)), resonhost, "call", name, "--plugins", ".",
			"--isolation", isolation, "--workers", "1", "--batch-target", "none", "--memory-limit", "24MiB")
		if got := strings.Count(string(out), want); got != tasks || len(out) != tasks*len(want) {
			t.Errorf("%s: %d of %d right answers, %d bytes", isolation, got, tasks, len(out))
		}
	}
}

// malformed gives the plugin frames that break the contract, which no host does. It
// must trap, as it must not read beyond the frame.
func malformed(t *testing.T, file string) {
	ctx := t.Context()
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	if _, err := r.NewHostModuleBuilder(abi.ImportModule).NewFunctionBuilder().
		WithFunc(func(_, _, _ uint32) {}).Export(abi.ImportLog).Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	compiled, err := r.CompileModule(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	frame := abi.AppendInput(nil, []abi.Item{{Payload: []byte("payload"), State: []byte{1}}, {Payload: []byte("x")}})
	with := func(at int, v byte) []byte {
		b := bytes.Clone(frame)
		b[at] = v
		return b
	}
	call := func(transform uint64, shift, n int, frame []byte) ([]abi.Result, error) {
		m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions(abi.ExportInitialize))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close(ctx)
		ptr := alloc(t, m, len(frame))
		if !m.Memory().Write(ptr, frame) {
			t.Fatal("the frame is not in memory")
		}
		packed, err := m.ExportedFunction(abi.ExportRun).Call(ctx, transform, uint64(int(ptr)+shift), uint64(n))
		if err != nil {
			return nil, err
		}
		at, size := abi.Unpack(packed[0])
		out, ok := m.Memory().Read(at, size)
		if !ok {
			t.Fatal("the answer is not in memory")
		}
		return results(t, out), nil
	}
	got, err := call(0, 0, len(frame), frame)
	if err != nil || len(got) != 2 || string(got[0].Payload) != "PAYLOAD!!" || string(got[1].Payload) != "X!" ||
		!bytes.Equal(got[0].State, []byte{2}) || !bytes.Equal(got[1].State, []byte{1}) {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err := call(0, 0, 8, abi.AppendInput(nil, nil)); err != nil || len(got) != 0 {
		t.Errorf("no items: %v, %v", got, err)
	}
	for name, c := range map[string]struct {
		transform uint64
		shift, n  int
		frame     []byte
	}{
		"transform":         {1, 0, len(frame), frame},
		"negative":          {1<<32 - 1, 0, len(frame), frame},
		"elsewhere":         {0, 8, len(frame) - 8, frame},
		"beyond":            {0, 0, len(frame) + 8, frame},
		"huge":              {0, 0, 1<<32 - 1, frame},
		"empty":             {0, 0, 0, frame},
		"no header":         {0, 0, 7, frame},
		"cut off":           {0, 0, len(frame) - 8, frame},
		"no padding":        {0, 0, len(frame) - 7, frame},
		"trailing":          {0, 0, len(frame) + 8, append(bytes.Clone(frame), make([]byte, 8)...)},
		"magic":             {0, 0, len(frame), with(3, '2')},
		"count too large":   {0, 0, len(frame), with(4, 3)},
		"count too small":   {0, 0, len(frame), with(4, 1)},
		"count huge":        {0, 0, len(frame), with(7, 0xff)},
		"payload too large": {0, 0, len(frame), with(8, 200)},
		"payload huge":      {0, 0, len(frame), with(11, 0xff)},
		"payload negative":  {0, 0, len(frame), with(11, 0x80)},
		"state too large":   {0, 0, len(frame), with(12, 200)},
		"state huge":        {0, 0, len(frame), with(15, 0xff)},
		"wraps":             {0, 0, len(frame), append(append(bytes.Clone(frame[:8]), 0xff, 0xff, 0xff, 0xff), frame[12:]...)},
	} {
		if got, err := call(c.transform, c.shift, c.n, c.frame); err == nil {
			t.Errorf("%s: answered with %q", name, got)
		}
	}
}

// alloc has the plugin grant room, after it has refused what it must.
func alloc(t *testing.T, m api.Module, n int) uint32 {
	t.Helper()
	call := func(n uint64) uint32 {
		got, err := m.ExportedFunction(abi.ExportAlloc).Call(t.Context(), n)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		return uint32(got[0])
	}
	for _, n := range []uint64{0, 256<<20 + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		if ptr := call(n); ptr != 0 {
			t.Errorf("%d bytes are granted at %d", n, ptr)
		}
	}
	for _, n := range []uint64{1, 7, 300 << 10, uint64(n)} {
		if ptr := call(n); ptr == 0 || ptr%8 != 0 || uint64(ptr)+n > uint64(m.Memory().Size()) {
			t.Errorf("%d bytes are granted at %d of %d", n, ptr, m.Memory().Size())
		}
	}
	return call(uint64(n))
}

func results(t *testing.T, frame []byte) (all []abi.Result) {
	t.Helper()
	r, err := abi.ReadOutput(frame)
	for err == nil && r.Len() > 0 {
		var res abi.Result
		if res, err = r.Next(); err == nil {
			all = append(all, abi.Result{Status: res.Status, Payload: bytes.Clone(res.Payload), State: bytes.Clone(res.State)})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}
