package lines_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/lines"
)

// TestYield has a Run end where a line is to wait, and another go on there.
func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, nil)
		in, begin, asked, undone := "\xef\xbb\xbf1\n\n\"fail\"\n[3]\n4", time.Now(), 0, 0
		pace := func() (time.Duration, func(), error) {
			if asked++; asked%2 == 1 {
				return 0, nil, nil
			}
			return time.Hour, func() { undone++ }, nil
		}
		var out strings.Builder
		o := lines.Options{Pace: pace, Yield: true}
		for _, want := range []lines.Rest{{Line: 3, Offset: 6}, {Line: 5, Offset: 17}} {
			offset := int64(0)
			if o.From != nil {
				offset = o.From.Offset
			}
			summary, err := lines.Run(t.Context(), h, codec.New(), "t.echo", strings.NewReader(in[offset:]), &out, o)
			rest := summary.Rest
			if err != nil || rest == nil || rest.Line != want.Line || rest.Offset != want.Offset || time.Until(rest.Until) != time.Hour {
				t.Fatalf("%+v, %+v, %v; want %+v", summary, rest, err, want)
			}
			time.Sleep(time.Hour)
			o.From = rest
		}
		o.Yield = false
		if summary, err := lines.Run(t.Context(), h, codec.New(), "t.echo", strings.NewReader(in[o.From.Offset:]), &out, o); err != nil || summary.Rest != nil {
			t.Errorf("%+v, %v", summary, err)
		}
		got := strings.Split(out.String(), "\n")
		if len(got) != 5 || got[0] != "1" || !strings.Contains(got[1], `"line":3`) || got[2] != "[3]" || got[3] != "4" {
			t.Errorf("%q", got)
		}
		if took := time.Since(begin); took != 2*time.Hour || undone != 0 || asked != 4 {
			t.Errorf("took %v, %d of %d places were given back", took, undone, asked)
		}
	})
}

// TestWake ends a wait: the place is given back, and Pace asked again.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, begin, wake, undone, gone := start(t, nil), time.Now(), make(chan struct{}), 0, errors.New("gone")
		pace := func() (time.Duration, func(), error) {
			select {
			case <-wake:
				return 0, nil, gone
			default:
				return time.Hour, func() { undone++ }, nil
			}
		}
		time.AfterFunc(time.Minute, func() { close(wake) })
		var out strings.Builder
		_, err := lines.Run(t.Context(), h, codec.New(), "t.echo", strings.NewReader("1\n"), &out, lines.Options{Pace: pace, Wake: wake})
		if !errors.Is(err, gone) || time.Since(begin) != time.Minute || undone != 1 || out.Len() > 0 {
			t.Errorf("%v after %v, %d places were given back: %s", err, time.Since(begin), undone, &out)
		}
	})
}
