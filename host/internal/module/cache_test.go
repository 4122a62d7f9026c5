package module_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/module"
)

// printBuild is set in the environment of a copy of the test's own program.
const printBuild = "RESONHOST_TEST_PRINT_BUILD"

// TestBuild has a program find in the cache what a copy of it has put there, and not what another
// program has. The tests of a package are such a copy each time that they run.
func TestBuild(t *testing.T) {
	if path := os.Getenv(printBuild); path != "" {
		if err := os.WriteFile(path, []byte(module.Build()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	own := module.Build()
	if own == "" {
		t.Fatal("the program does not know what it was built of")
	}
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		program []byte
		same    bool
	}{
		"copy":  {program, true},
		"other": {append(program[:len(program):len(program)], 0), false},
	} {
		dir := t.TempDir()
		file, out := filepath.Join(dir, name), filepath.Join(dir, "build")
		if err := os.WriteFile(file, c.program, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(file, "-test.run", "^TestBuild$")
		cmd.Env = append(os.Environ(), printBuild+"="+out)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b); strings.TrimSpace(got) == "" || (got == own) != c.same {
			t.Errorf("%s: %q, and this program is %q", name, got, own)
		}
	}
}
