package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestUnusedStdout has a command that writes nothing succeed where its output would be lost: a
// daemon's may be a /dev/null that is open for reading as well.
func TestUnusedStdout(t *testing.T) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := newOutput(f)
	if o.closed == nil || o.err != nil {
		t.Errorf("closed is %v, the error %v; want it told when something is written", o.closed, o.err)
	}
	if _, err := o.Write([]byte("a")); !errors.Is(err, errStdoutClosed) || !errors.Is(o.err, errStdoutClosed) {
		t.Errorf("writing: %v, %v; want %v", err, o.err, errStdoutClosed)
	}
}

// TestTokenTakenBack makes a token that nobody gets, as standard output is full. Its line is not in the file, either.
func TestTokenTakenBack(t *testing.T) {
	for name, before := range map[string]string{"a file with another": "other cert scopes=call\n", "a new file": ""} {
		t.Run(name, func(t *testing.T) {
			tokens := filepath.Join(t.TempDir(), "tokens")
			if before != "" {
				if err := os.WriteFile(tokens, []byte(before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()
			for _, flag := range []string{"--json=false", "--json"} {
				var stderr bytes.Buffer
				code := run(t.Context(), []string{"resonhost", "token", "new", "--name", "n", "--scopes", "call", "--tokens", tokens, flag}, nil, full, &stderr)
				if code != api.ExitFailed || !strings.HasSuffix(stderr.String(), "no space left on device\n") {
					t.Errorf("exit code %d: %s", code, &stderr)
				}
				b, err := os.ReadFile(tokens)
				if err != nil || before != "" && string(b) != before || strings.Contains(string(b), "scopes=call") != (before != "") {
					t.Errorf("the file has %q, err %v", b, err)
				}
			}
		})
	}
}

// lostOutput is how a command ends whose output is lost.
type lostOutput struct {
	code   int
	reason string // on standard error; "" for none
}

// TestStdoutFails has every command that writes to standard output fail if that is lost, and tell
// it once; and end without a word if its reader is gone.
func TestStdoutFails(t *testing.T) {
	hostile := filepath.Join(guesttest.Root(), "testdata/guests/hostile.wasm")
	cascade := filepath.Join(guesttest.Dir(t, guesttest.Cascade), "cascade.wasm")
	plugins := t.TempDir()
	if err := os.Symlink(hostile, filepath.Join(plugins, "hostile.wasm")); err != nil {
		t.Fatal(err)
	}
	url := "http://" + startRun(t, "--plugins", plugins).addr
	project := t.TempDir()
	for name, text := range map[string]string{
		"Makefile":            "all:\n\tcp '" + hostile + "' hostile.wasm\n",
		"hostile.test.ndjson": "",
	} {
		if err := os.WriteFile(filepath.Join(project, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commands := map[string][]string{
		"call":            {"call", "cascade", "--mode", "inline"},
		"inspect":         {"inspect", hostile},
		"inspect --json":  {"inspect", "--json", hostile},
		"validate":        {"validate", hostile},
		"validate --json": {"validate", "--json", hostile},
		"plugins ls":      {"plugins", "ls", "--url", url},
		"plugins --json":  {"plugins", "ls", "--json", "--url", url},
		"plugins pause":   {"plugins", "pause", "hostile", "--url", url},
		"plugins resume":  {"plugins", "resume", "hostile", "--json", "--url", url},
		"dev":             {"dev", "--once", project},
		"dev --json":      {"dev", "--once", "--json", project},
		"new":             {"new", "shout", "--lang", "c", "--dir"},
		"new --json":      {"new", "shout", "--lang", "c", "--json", "--dir"},
		"version":         {"version"},
		"version --json":  {"version", "--json"},
		"--version":       {"--version"},
		"help":            {"help"},
		"help of run":     {"run", "--help"},
		"whoami":          {"whoami", "--url", url},
		"top":             {"top", "--once", "--url", url},
		"config print":    {"config", "print"},
		"completion":      {"completion", "bash"},
		"man":             {"man"},
		"conform":         {"conform", cascade},
		"state key":       {"state", "key"},
		"token new":       {"token", "new", "--name", "somebody", "--scopes", "call"},
	}
	const full = "no space left on device"
	for how, want := range map[string]lostOutput{
		"closed": {api.ExitFailed, "standard output is closed, or is /dev/null opened for reading and writing; send results to a file with > FILE, or to none with > /dev/null"},
		"full":   {api.ExitFailed, full},
		"pipe":   {code: api.ExitUnread},
		"null":   {},
	} {
		for name, args := range commands {
			t.Run(how+"/"+name, func(t *testing.T) {
				if args[0] == "new" {
					args = append(args[:len(args):len(args)], filepath.Join(t.TempDir(), "shout"))
				}
				cmd := exec.Command(binary(t), args...)
				switch how {
				case "closed":
					cmd = exec.Command("sh", append([]string{"-c", `exec "$@" >&-`, "sh", cmd.Path}, args...)...)
				case "full":
					f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					cmd.Stdout = f
				case "pipe":
					r, w, err := os.Pipe()
					if err != nil {
						t.Fatal(err)
					}
					r.Close()
					defer w.Close()
					cmd.Stdout = w
				}
				want := want
				if how == "pipe" && name == "token new" { // nothing shows the token again
					want = lostOutput{api.ExitFailed, "standard output: broken pipe"}
				}
				var stderr bytes.Buffer
				cmd.Stdin, cmd.Stderr = strings.NewReader("{}\n"), &stderr
				err := cmd.Run()
				if code := cmd.ProcessState.ExitCode(); code != want.code {
					t.Errorf("%v, want exit code %d; %s", err, want.code, &stderr)
				}
				said := stderr.String()
				switch {
				case want.reason == "":
					if strings.Contains(said, "pipe") {
						t.Errorf("got %s\nwant no word of the reader", said)
					}
				case !strings.HasSuffix(said, want.reason+"\n") || strings.Count(said, want.reason) != 1:
					t.Errorf("got %s\nwant once, at the end, %s", said, want.reason)
				}
			})
		}
	}
}
