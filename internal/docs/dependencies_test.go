package docs

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestHostDependencies holds what docs/rationale/dependencies.md says a program links that embeds package
// host to what it does link.
func TestHostDependencies(t *testing.T) {
	const file = "docs/rationale/dependencies.md"
	_, list, _ := strings.Cut(read(t, file).text, "\nA program that embeds package `host` links these modules")
	list, _, _ = strings.Cut(list, "\n| ")
	var says []string
	for _, m := range regexp.MustCompile("`([\\w.-]+\\.[a-z]+/[^`]+)`").FindAllStringSubmatch(list, -1) {
		says = append(says, m[1])
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./host")
	cmd.Dir = guesttest.Root()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	links := strings.Fields(string(out))
	slices.Sort(links)
	links = slices.Compact(links)
	slices.Sort(says)
	if !slices.Equal(links, says) {
		t.Errorf("host links\n\t%s\nand %s says\n\t%s", strings.Join(links, "\n\t"), file, strings.Join(says, "\n\t"))
	}
}
