package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestReadmePlugin does what README.md says under "Write a plugin", to the letter.
func TestReadmePlugin(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(guesttest.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n## Write a plugin\n")
	_, text, _ = strings.Cut(text, "```go\n")
	source, text, _ := strings.Cut(text, "```\n")
	_, text, _ = strings.Cut(text, "```\n")
	session, _, ok := strings.Cut(text, "```\n")
	if !ok {
		t.Fatal("README.md has no source and session")
	}

	dir := filepath.Join(t.TempDir(), "shout")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "shout.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	var script, want strings.Builder
	script.WriteString("set -e\n")
	for line := range strings.Lines(session) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			command = strings.ReplaceAll(command, "../resonhost/bin/resonhost", binary(t))
			script.WriteString(strings.ReplaceAll(command, "../resonhost", guesttest.Root()))
		} else {
			want.WriteString(line)
		}
	}
	cmd := exec.Command("sh", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off") // nothing is to be downloaded
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if got, err := cmd.Output(); err != nil || string(got) != want.String() {
		t.Errorf("%v, %q, want %q\n%s", err, got, want.String(), stderr.String())
	}
}
