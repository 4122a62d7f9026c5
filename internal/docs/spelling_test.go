//go:build spelling

package docs

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var (
	technical = regexp.MustCompile(`\S*(?:\d|[^\s(]/|\w\.\w|_)\S*`) // numbers with units, paths, file names
	letters   = regexp.MustCompile(`[\pL'’]+`)
	owners    = regexp.MustCompile(`['’]s\b`)
)

// ordinary is the text of a block without what is no word.
func ordinary(text string) string {
	return owners.ReplaceAllString(technical.ReplaceAllString(plain(text), " "), "")
}

// TestSpelling has hunspell look at the words of all documents, code left out. What is right and
// not in its British dictionary stands in words.txt.
func TestSpelling(t *testing.T) {
	docs := append(documents(t), read(t, "CHANGELOG.md"))
	var text strings.Builder
	for _, d := range docs {
		for _, b := range d.blocks() {
			text.WriteString(ordinary(b.text) + "\n")
		}
	}
	cmd := exec.CommandContext(context.Background(), "hunspell", "-i", "utf-8", "-d", "en_GB", "-l", "-p", "words.txt")
	cmd.Stdin = strings.NewReader(text.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v; install Debian's hunspell and hunspell-en-gb", cmd.Args, err)
	}
	unknown := make(map[string]bool)
	for word := range strings.FieldsSeq(string(out)) {
		unknown[word] = true
	}
	for _, d := range docs {
		for _, b := range d.blocks() {
			for _, word := range letters.FindAllString(ordinary(b.text), -1) {
				if unknown[word] {
					t.Errorf("%s:%d: %q is spelt wrong, or a word for internal/docs/words.txt", d.path, b.line, word)
				}
			}
		}
	}
}
