//go:build scaffolds

package scaffold_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// cPlugin begins a plugin in C in a directory of its own.
func cPlugin(t *testing.T, source string) (resonhost, dir string) {
	t.Helper()
	resonhost, dir = filepath.Join(t.TempDir(), "resonhost"), t.TempDir()
	run(t, guesttest.Root(), nil, "go", "build", "-o", resonhost, "./cmd/resonhost")
	run(t, dir, nil, resonhost, "new", "big", "--lang", "c", "--dir", ".")
	if source != "" {
		if err := os.WriteFile(filepath.Join(dir, "plugin.c"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return resonhost, dir
}

// compile builds it with what clang is given beside the sources.
func compile(t *testing.T, dir string, flags ...string) {
	t.Helper()
	args := append([]string{"--target=wasm32-wasi", "-std=c11", "-o", "big.wasm", "plugin.c", "resonhost.c"}, flags...)
	if out, err := command(dir, nil, "clang", args...).CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s\n%s", err, out, installs["c"])
	}
}

// refused returns what validate says of it.
func refused(t *testing.T, resonhost, dir string) string {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "big.test.ndjson")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	out, err := command(dir, nil, resonhost, "validate", "big.wasm").CombinedOutput()
	if err == nil {
		t.Fatalf("it could serve: %s", out)
	}
	return string(out)
}

// TestDebugBuild has a function that is fine once it is optimised: one of 300 variables and 1,300
// cases.
func TestDebugBuild(t *testing.T) {
	var c strings.Builder
	c.WriteString(`#include "resonhost.h"
#include <stdio.h>
const char rh_manifest[] = RH_JSON({
	"name": "big", "version": "0.1.0",
	"transforms": [{"name": "big", "input": "text/plain", "output": "text/plain"}]
});
static unsigned big(unsigned n) {
`)
	const variables, cases = 300, 1300
	for i := range variables {
		fmt.Fprintf(&c, "unsigned v%d = n * %d;\n", i, i+3)
	}
	c.WriteString("switch (n) {\n")
	for i := range cases {
		fmt.Fprintf(&c, "case %d: v%d += v%d * %d; break;\n", i, i%variables, (i*7+1)%variables, i+1)
	}
	c.WriteString("}\nunsigned sum = 0;\n")
	for i := range variables {
		fmt.Fprintf(&c, "sum = sum * 31 + v%d;\n", i)
	}
	c.WriteString(`return sum;
}
static rh_status run(const rh_task *task) {
	char digits[16];
	rh_write(digits, (size_t)snprintf(digits, sizeof digits, "%u", big(task->input_len)));
	return RH_OK;
}
const rh_transform rh_transforms[] = {run};
const size_t rh_transform_count = 1;
`)
	resonhost, dir := cPlugin(t, c.String())
	compile(t, dir, "-mexec-model=reactor", "-Wl,--stack-first", "-O0")
	const want = `^resonhost: big\.wasm: inspect: function \d+ "big" has \d{8} jumps times variables, the limit is 5000000: ` +
		`debug builds have such functions, so compile with -O1 or more, or Rust's --release; or raise --max-flow \(PluginConfig\.MaxFlow\)\n$`
	if got := refused(t, resonhost, dir); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("%s, want\n%s", got, want)
	}
	// As the scaffold's Makefile links.
	compile(t, dir, "-mexec-model=reactor", "-Wl,--stack-first,--strip-debug", "-O0")
	const stripped = "raise --max-flow (PluginConfig.MaxFlow); or compile with -O1 or more, or Rust's --release, if this is a debug build\n"
	if got := refused(t, resonhost, dir); !strings.HasSuffix(got, stripped) {
		t.Errorf("without DWARF: %s, want at its end\n%s", got, stripped)
	}
	compile(t, dir, "-mexec-model=reactor", "-Wl,--stack-first", "-O1")
	run(t, dir, nil, resonhost, "validate", "big.wasm")
}

// TestNoStartUp has a plugin whose constructors run at each call, without a self-test and with one.
func TestNoStartUp(t *testing.T) {
	for name, c := range map[string]struct{ tests, want string }{
		"no self-test": {"", "self-test: big fails at an empty input (trap: resonhost_run: unreachable)"},
		"self-test": {
			`, "self_tests": [{"name": "a word", "transform": "big", "input": "abc", "output": "abc"}]`,
			`self-test 0 "a word" of big: trap: resonhost_run: unreachable`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			resonhost, dir := cPlugin(t, `#include "resonhost.h"
const char rh_manifest[] = RH_JSON({
	"name": "big", "version": "0.1.0",
	"transforms": [{"name": "big", "input": "text/plain", "output": "text/plain"}]`+c.tests+`
});
static rh_status run(const rh_task *task) {
	rh_write(task->input, task->input_len);
	return RH_OK;
}
const rh_transform rh_transforms[] = {run};
const size_t rh_transform_count = 1;
`)
			compile(t, dir, "-O2", "-nostartfiles", "-Wl,--no-entry")
			want := "resonhost: big.wasm: " + c.want + ": its constructors run at each call, " +
				"since it was linked without a start-up object (-Wl,--no-entry or -nostartfiles): link it with clang -mexec-model=reactor, which exports _initialize\n"
			if got := refused(t, resonhost, dir); got != want {
				t.Errorf("%s, want\n%s", got, want)
			}
		})
	}
}
