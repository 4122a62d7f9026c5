package docs

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

// Bounds on the sentences of a document, in words. A sentence that is longer than that says two
// things, most often.
const (
	meanWords = 17.0
	mostWords = 30 // of nine sentences in ten
	few       = 8  // sentences of which no mean is taken
)

var lengths = flag.Bool("lengths", false, "log the mean of each document, and its longest sentences")

// TestSentences holds documents to short sentences. Code, tables and headings do not count.
func TestSentences(t *testing.T) {
	for _, d := range documents(t) {
		total, count, long := 0, 0, 0
		var longest []int
		texts := make(map[int]string)
		for _, b := range d.blocks() {
			if b.kind != prose {
				continue
			}
			for _, s := range sentences(b.text) {
				n := len(words(s))
				total, count = total+n, count+1
				if n > mostWords {
					long++
					longest = append(longest, n<<16|b.line)
					texts[n<<16|b.line] = s
				}
			}
		}
		if count == 0 {
			continue
		}
		mean := float64(total) / float64(count)
		slices.Sort(longest)
		slices.Reverse(longest)
		if *lengths {
			t.Logf("%s: %d sentences, mean %.1f, %d longer than %d", d.path, count, mean, long, mostWords)
		}
		if count >= few && mean > meanWords {
			t.Errorf("%s: its sentences have %.1f words in the mean, must have at most %.0f", d.path, mean, meanWords)
		}
		if long*10 > count || *lengths {
			if long*10 > count {
				t.Errorf("%s: %d of %d sentences have more than %d words, at most one in ten may", d.path, long, count, mostWords)
			}
			for _, l := range longest {
				t.Logf("%s:%d: %d words: %s", d.path, l&0xffff, l>>16, texts[l])
			}
		}
	}
}

// TestReadme holds the README to what a newcomer reads in a few minutes.
func TestReadme(t *testing.T) {
	const most = 150
	if n := strings.Count(read(t, "README.md").text, "\n"); n > most {
		t.Errorf("README.md has %d lines, must have at most %d: figures go to bench, details to docs", n, most)
	}
}
