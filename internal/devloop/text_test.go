package devloop_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/devloop"
	"github.com/resonhost/resonhost/internal/terminal"
)

var (
	before = devloop.Version{Plugin: "shout", Version: "0.1.0", Hash: "eed6759b9ef293e7", Memory: 3 << 20}
	after  = devloop.Version{Plugin: "shout", Version: "0.2.0", Hash: "c46d452a9ef293e7", Memory: 4 << 20}
)

func TestPrint(t *testing.T) {
	built := &devloop.Build{Command: "make", Seconds: 1.234}
	for name, c := range map[string]struct {
		report devloop.Report
		want   string
	}{
		"loaded": {
			devloop.Report{Plugin: "shout", Result: "loaded", Serving: before, Build: built, Seconds: 0.5, Tasks: []devloop.Task{
				{Name: "a word", Change: devloop.New, Output: json.RawMessage(`"HELLO!"`), Nanoseconds: 5500, Runs: 101, Fuel: 27554},
				{Name: "no text", Change: devloop.New, Error: &api.Error{Kind: host.KindInvalidArgument, Detail: "text: must not be empty"}, Nanoseconds: 999, Runs: 101},
			}},
			`shout 0.1.0 (eed6759b) serves
built in 1.23 s, deployed in 0.50 s

input                           output            time               fuel
a word                          new             5.5 µs             27,554
  "HELLO!"
no text                         new error        999ns                  –
  invalid_argument: text: must not be empty
time: as a caller of the host sees it, median of up to 101 runs
memory of an instance 3.0 MiB
`,
		},
		"swapped": {
			devloop.Report{Plugin: "shout", Result: "swapped", Before: before, Serving: after, Build: built, Seconds: 0.5, Tasks: []devloop.Task{
				{Name: "one", Change: devloop.Same, Nanoseconds: 5_400_000, NanosecondsBefore: 5_000_000, Runs: 9, Fuel: 12_345_678_901, FuelBefore: 12_345_678_901},
				{Name: "much \x1b[31m more than fits: " + strings.Repeat("日本", 20), Change: devloop.Changed, Difference: "a[3]: was 1, is " + strings.Repeat("9", 100), Nanoseconds: 1_500_000_000, NanosecondsBefore: 1000, Runs: 3, Fuel: 999_999_999, FuelBefore: 1_999_999_998},
				{Name: "trap", Change: devloop.Same, Error: &api.Error{Kind: host.KindTrap, Detail: "unreachable"}, Fuel: 12},
				{Name: "refused", Change: devloop.Same, Error: &api.Error{Kind: host.KindInvalidArgument, Detail: "not shown"}, Fuel: 120, FuelBefore: 119},
			}},
			`shout 0.2.0 (c46d452a) serves, after 0.1.0 (eed6759b)
built in 1.23 s, deployed in 0.50 s

input                           output            time               fuel
one                             same            5.4 ms  +8.0%      12.35G      =
much \x1b[31m more than fits: … changed          1.5 s >×9999 999,999,999   -50%
  a[3]: was 1, is 9999999999999999999999999999999999999999999999999999999999999…
trap                            same error           –                 12
  trap: unreachable
refused                         same error           –                120  +0.8%
time: as a caller of the host sees it, median of up to 9 runs
memory of an instance 4.0 MiB, 1.0 MiB more than before
`,
		},
		"unchanged, inputs cannot be read": {
			devloop.Report{Plugin: "shout", Result: "unchanged", Before: after, Serving: after, Build: built, Error: &api.Error{Detail: "the inputs: x:1: no JSON"}},
			"shout 0.2.0 (c46d452a) serves, unchanged\nbuilt in 1.23 s, deployed in 0.00 s\nthe inputs: x:1: no JSON\nmemory of an instance 4.0 MiB, as before\n",
		},
		"build failed": {
			devloop.Report{Plugin: "shout", Result: devloop.BuildFailed, Before: before, Serving: before, Build: &devloop.Build{
				Command: "make", Seconds: 0.07, ExitCode: 2, Output: "x.go:1:2: \x1b[1mbad\n\tvar x\r\nmake: *** Error 1",
			}},
			"the build failed after 0.07 s with exit code 2: make\n  x.go:1:2: \\x1b[1mbad\n  \tvar x\n  make: *** Error 1\nshout 0.1.0 (eed6759b) keeps serving\n",
		},
		"no make": {
			devloop.Report{Plugin: "shout", Result: devloop.BuildFailed, Build: &devloop.Build{Command: "make", ExitCode: -1, Error: "there is no command make"}},
			"the build could not be run: make: there is no command make\nno version serves\n",
		},
		"refused": {
			devloop.Report{Plugin: "shout", Result: devloop.Refused, Serving: before, Error: &api.Error{
				Step: host.StepSelfTest, Detail: `shout.test.ndjson: line 2 "what is no letter stays" of shout: output: got "ROUTE 66, PLEASE?", want "ROUTE 66, PLEASE!"` + "\nsecond line",
			}},
			`shout is refused, at the step self-test:
  shout.test.ndjson: line 2 "what is no letter stays" of shout: output: got
  "ROUTE 66, PLEASE?", want "ROUTE 66, PLEASE!"
  second line
shout 0.1.0 (eed6759b) keeps serving
`,
		},
		"gone": {
			devloop.Report{Plugin: "shout", Result: devloop.Gone, Serving: before, Error: &api.Error{Detail: "lstat shout: no such file or directory"}},
			"there is no project any more: lstat shout: no such file or directory\nshout 0.1.0 (eed6759b) keeps serving\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b, coloured bytes.Buffer
			if err := (&devloop.Printer{W: &b}).Print(&c.report); err != nil {
				t.Fatal(err)
			}
			if b.String() != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", b.String(), c.want)
			}
			for line := range strings.Lines(b.String()) {
				if w := terminal.Width(strings.TrimSuffix(line, "\n")); w > 80 {
					t.Errorf("%d columns: %s", w, line)
				}
			}
			if err := (&devloop.Printer{W: &coloured, Colour: true}).Print(&c.report); err != nil {
				t.Fatal(err)
			}
			plain := coloured.String()
			for _, code := range []string{"0", "2", "31", "32", "33"} {
				plain = strings.ReplaceAll(plain, "\x1b["+code+"m", "")
			}
			if plain != c.want {
				t.Errorf("in colour:\n%q\nwant:\n%q", coloured.String(), c.want)
			}
		})
	}
}

// TestPrintMany leaves out what has not changed, of many.
func TestPrintMany(t *testing.T) {
	r := devloop.Report{Plugin: "shout", Result: "unchanged", Before: after, Serving: after, Tasks: make([]devloop.Task, 100)}
	for i := range r.Tasks {
		r.Tasks[i] = devloop.Task{Name: "task", Change: devloop.Same}
	}
	r.Tasks[99] = devloop.Task{Name: "last", Change: devloop.Changed, Difference: "x: was 1, is 2"}
	var b bytes.Buffer
	if err := (&devloop.Printer{W: &b}).Print(&r); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "task "); n != 40 || !strings.Contains(b.String(), "x: was 1, is 2\nand 59 more, whose output is the same\n") {
		t.Errorf("%d tasks:\n%s", n, b.String())
	}
}

type brokenPipe struct{}

var errPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errPipe }

func TestPrintFails(t *testing.T) {
	if err := (&devloop.Printer{W: brokenPipe{}}).Print(&devloop.Report{}); !errors.Is(err, errPipe) {
		t.Error(err)
	}
}
