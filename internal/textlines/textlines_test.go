package textlines_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/resonhost/resonhost/internal/textlines"
)

var (
	errLong = errors.New("long")
	errRoom = errors.New("no room")
	errRead = errors.New("broken")
)

// all reads all lines, each as one of a list.
func all(in io.Reader, o textlines.Options) (list []string) {
	r := textlines.New(in, o)
	for l, ok := r.Next(); ok; l, ok = r.Next() {
		switch {
		case l.Fatal != nil:
			list = append(list, fmt.Sprintf("%d@%d fatal %v within %v", l.Number, l.Offset, l.Fatal, l.Within))
		case l.Err != nil:
			list = append(list, fmt.Sprintf("%d@%d %v", l.Number, l.Offset, l.Err))
		default:
			list = append(list, fmt.Sprintf("%d@%d %d %.9s", l.Number, l.Offset, len(l.Text), l.Text))
		}
	}
	return list
}

func TestNext(t *testing.T) {
	large := strings.Repeat("x", 300<<10) // several times what is read at once
	for name, c := range map[string]struct {
		in   io.Reader
		opts textlines.Options
		want string
	}{
		"blank lines count":       {strings.NewReader("a\n\n \t\r\nbc"), textlines.Options{}, "1@0 1 a, 4@7 2 bc"},
		"nothing":                 {strings.NewReader(""), textlines.Options{}, ""},
		"a byte at a time":        {iotest.OneByteReader(strings.NewReader("a\nb\n")), textlines.Options{}, "1@0 1 a, 2@2 1 b"},
		"goes on":                 {strings.NewReader("a\nb\n"), textlines.Options{Number: 7, Offset: 100}, "7@100 1 a, 8@102 1 b"},
		"large":                   {strings.NewReader(large + "\n" + large), textlines.Options{}, "1@0 307200 xxxxxxxxx, 2@307201 307200 xxxxxxxxx"},
		"as long as may be":       {strings.NewReader("abc\nabcd\nab\n"), textlines.Options{Most: 3}, "1@0 3 abc, 2@4 long, 3@9 2 ab"},
		"much longer":             {strings.NewReader("a\n" + large + "\nb"), textlines.Options{Most: 100 << 10}, "1@0 1 a, 2@2 long, 3@307203 1 b"},
		"a byte order mark":       {strings.NewReader("\xef\xbb\xbfa\nb"), textlines.Options{}, "1@0 1 a, 2@5 1 b"},
		"another coding":          {strings.NewReader("\xff\xfea\x00\n\x00b"), textlines.Options{}, "1@0 the text is UTF-16, and must be UTF-8; no further line was read"},
		"fails between lines":     {io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(errRead)), textlines.Options{}, "1@0 1 a, 2@2 fatal broken within false"},
		"fails within a line":     {io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(errRead)), textlines.Options{}, "1@0 1 a, 2@2 fatal broken within true"},
		"fails within a long one": {io.MultiReader(strings.NewReader(large), iotest.ErrReader(errRead)), textlines.Options{Most: 9}, "1@0 fatal broken within true"},
	} {
		t.Run(name, func(t *testing.T) {
			held := 0
			c.opts.TooLong = errLong
			if c.opts.Most == 0 {
				c.opts.Most = 1 << 20
			}
			c.opts.Take = func(n int) error { held += n; return nil }
			if got := strings.Join(all(c.in, c.opts), ", "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestTake has room for 100 KiB at a time: a line that has none harms no other, and what is not handed on is given back.
func TestTake(t *testing.T) {
	const room = 100 << 10
	held := 0
	r := textlines.New(strings.NewReader(strings.Repeat("x", 90<<10)+"\n"+strings.Repeat("y", 200<<10)+"\n \n\xef\xbb\xbfz"), textlines.Options{
		Most: 1 << 20, Number: 1, TooLong: errLong,
		Take: func(n int) error {
			if held+n > room {
				return errRoom
			}
			held += n
			return nil
		},
	})
	for _, want := range []struct {
		size int
		err  error
	}{{90 << 10, nil}, {0, errRoom}, {4, nil}} {
		l, ok := r.Next()
		if !ok || len(l.Text) != want.size || !errors.Is(l.Err, want.err) || held != want.size {
			t.Errorf("%d bytes, %v, %v, with %d held; want %d, %v", len(l.Text), l.Err, ok, held, want.size, want.err)
		}
		held -= len(l.Text)
	}
	if _, ok := r.Next(); ok || held != 0 {
		t.Errorf("a further line: %v, %d bytes held", ok, held)
	}
}

// FuzzNext holds lines of any text to what bytes.Split finds.
func FuzzNext(f *testing.F) {
	f.Add([]byte("a\n\n\xef\xbb\xbfb"), uint8(1))
	f.Add([]byte("\xff\xfea\n\x00\x00"), uint8(9))
	f.Fuzz(func(t *testing.T, text []byte, most uint8) {
		held := 0
		r := textlines.New(bytes.NewReader(text), textlines.Options{Most: int(most), TooLong: errLong, Take: func(n int) error { held += n; return nil }})
		lines := bytes.Split(text, []byte("\n"))
		for l, ok := r.Next(); ok; l, ok = r.Next() {
			want := lines[l.Number-1]
			switch {
			case l.Fatal != nil, held != len(l.Text), len(l.Text) > int(most), !bytes.HasPrefix(text[l.Offset:], want):
				t.Fatalf("%+v, %d bytes held", l, held)
			case errors.Is(l.Err, errLong) != (len(want) > int(most)):
				t.Fatalf("%d bytes: %v", len(want), l.Err)
			case l.Err == nil && !bytes.HasSuffix(want, l.Text):
				t.Fatalf("%q of %q", l.Text, want)
			}
			held -= len(l.Text)
		}
		if held != 0 {
			t.Fatalf("%d bytes are held", held)
		}
	})
}
