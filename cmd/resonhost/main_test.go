package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/resonhost/resonhost/internal/guesttest"
)

var update = flag.Bool("update", false, "write the scripts' expected outputs anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"resonhost": func() { os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/script. A script finds the built-in plugins in
// $PLUGINS, echo in $ECHO, and the hand-written guests in $GUESTS.
func TestScripts(t *testing.T) {
	plugins := guesttest.Dir(t, guesttest.Cascade, guesttest.Tick)
	echo := guesttest.Dir(t, "./testdata/guests/echo")
	guests, err := filepath.Abs(filepath.Join(guesttest.Root(), "testdata", "guests"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join(guesttest.Root(), "testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PLUGINS", plugins)
			env.Setenv("ECHO", echo)
			env.Setenv("GUESTS", guests)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":     code,
			"longline": longLine,
		},
	})
}
