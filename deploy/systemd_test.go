package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// worstExposure is what systemd-analyze may say of the service at most, in tenths: from 0, which can do
// nothing, to 100, which can do everything.
const worstExposure = 20

// TestUnits has systemd's own tool read the units, with the command and its manual page where they say.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"resonhost.service", "resonhost.socket"} {
		unit := strings.ReplaceAll(read(t, "systemd/"+name), "/usr/local/bin/resonhost", binary(t))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pages := filepath.Join(dir, "man", "man1")
	if err := os.MkdirAll(pages, 0o700); err != nil {
		t.Fatal(err)
	}
	page, err := exec.Command(binary(t), "man").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pages, "resonhost.1"), page, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MANPATH", filepath.Join(dir, "man"))
	if out := run(t, dir, "systemd", "systemd-analyze", "verify", "./resonhost.service", "./resonhost.socket"); out != "" {
		t.Errorf("systemd-analyze verify says: %s", out)
	}
	out := run(t, dir, "systemd", "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+strconv.Itoa(worstExposure), "./resonhost.service")
	if !strings.Contains(out, "Overall exposure level") {
		t.Errorf("systemd-analyze security says: %s", out)
	}
}

var execLine = regexp.MustCompile(`(?m)^Exec(?:StartPre|Start)=/usr/local/bin/resonhost (\w+)(?: check)? (.*)$`)

// TestUnitsSettings has the command check the settings that the service gives it.
func TestUnitsSettings(t *testing.T) {
	lines := execLine.FindAllStringSubmatch(read(t, "systemd/resonhost.service"), -1)
	if len(lines) != 2 || lines[0][1] != "config" || lines[1][1] != "run" || lines[0][2] != lines[1][2] {
		t.Fatalf("the service runs %q: what is checked must be what is run", lines)
	}
	file := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(file, []byte("workers: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.ReplaceAll(lines[0][2], "/etc/resonhost/run.yaml", file))
	cmd := exec.Command(binary(t), append([]string{"config", "check"}, args...)...)
	cmd.Env = append(os.Environ(), "RESONHOST_PLUGINS="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
