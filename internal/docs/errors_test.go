package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
)

var kindRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\d{3}) \\| (\\d+) \\| .+ \\| (.+) \\|$")

// TestErrors holds docs/reference/errors.md to the kinds of errors that there are, with their
// statuses, their exit codes and what to do.
func TestErrors(t *testing.T) {
	d := read(t, "docs/reference/errors.md")
	documented := make(map[string]string)
	for _, m := range kindRow.FindAllStringSubmatch(d.text, -1) {
		documented[m[1]] = m[2] + ", " + m[3] + ": " + strings.ReplaceAll(m[4], "`", "")
	}
	for _, rule := range api.Rules() {
		kind := string(rule.Kind)
		if want := fmt.Sprintf("%d, %d: %s", rule.Status, rule.Exit, rule.Do); documented[kind] != want {
			t.Errorf("%s says of the kind %s: %q, want %q", d.path, kind, documented[kind], want)
		}
		delete(documented, kind)
	}
	for kind := range documented {
		t.Errorf("%s: there is no kind %s", d.path, kind)
	}
	for _, code := range []int{api.ExitOK, api.ExitFailed, api.ExitUsage, api.ExitPlugins, api.ExitMismatch, api.ExitInterrupted, api.ExitUnread} {
		if !strings.Contains(d.text, fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("%s lacks the exit code %d", d.path, code)
		}
	}
}
