package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/resonhost/resonhost/internal/guesttest"
)

var update = flag.Bool("update", false, "write the scripts' expected outputs anew")

// binDir is where the command is built to.
var binDir string

func TestMain(m *testing.M) {
	var err error
	if binDir, err = os.MkdirTemp("", "resonhost"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Plugins are compiled once for all tests, and not to the developer's own cache.
	if err := os.Setenv("RESONHOST_CACHE_DIR", filepath.Join(binDir, "cache")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(binDir)
	os.Exit(code)
}

// build builds the command, once. Scripts and vectors drive what users do: under
// the race detector this process would take minutes to compile their plugins.
var build = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-o", filepath.Join(binDir, "resonhost"), "./cmd/resonhost")
	cmd.Dir = guesttest.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v in %s: %w\n%s", cmd.Args, cmd.Dir, err, out)
	}
	return nil
})

// binary is the path of the built command.
func binary(tb testing.TB) string {
	tb.Helper()
	if err := build(); err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(binDir, "resonhost")
}

// TestScripts runs testdata/script. A script finds the built-in plugins in
// $PLUGINS, echo in $ECHO, gohostile in $GOHOSTILE, the hand-written guests in $GUESTS,
// and this module in $ROOT. It can build in Go, with nothing to be downloaded.
func TestScripts(t *testing.T) {
	bin := filepath.Dir(binary(t))
	plugins := guesttest.Dir(t, guesttest.Cascade, guesttest.Tick)
	echo := guesttest.Dir(t, "./testdata/guests/echo")
	gohostile := guesttest.Dir(t, "./testdata/guests/gohostile")
	goEnv := goEnv(t, "GOCACHE", "GOMODCACHE")
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(guesttest.Root(), "testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("PLUGINS", plugins)
			env.Setenv("ECHO", echo)
			env.Setenv("GOHOSTILE", gohostile)
			env.Setenv("GUESTS", filepath.Join(guesttest.Root(), "testdata", "guests"))
			env.Setenv("ROOT", guesttest.Root())
			env.Setenv("GOPROXY", "off")
			env.Setenv("RESONHOST_CACHE_DIR", filepath.Join(binDir, "cache"))
			// A machine that does other work beside takes longer than the defaults.
			env.Setenv("RESONHOST_COMPILE_TIMEOUT", "10m")
			env.Setenv("RESONHOST_INIT_TIMEOUT", "2m")
			for name, value := range goEnv {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":     code,
			"longline": longLine,
		},
	})
}

// goEnv returns settings of the go command. A script has no home to find them in.
func goEnv(t *testing.T, names ...string) map[string]string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"env", "-json"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var env map[string]string
	if err := json.Unmarshal(out, &env); err != nil {
		t.Fatal(err)
	}
	return env
}
