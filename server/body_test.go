package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// deadlines is a ResponseWriter that remembers its last read deadline.
type deadlines struct {
	*httptest.ResponseRecorder

	last time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.last = t
	return nil
}

// TestLineDeadlines has lines that come in pieces: there is a deadline within one, none between
// two, and always the first that is past once no more is wanted.
func TestLineDeadlines(t *testing.T) {
	const text = "a\nbc\nd"
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	p := &lineProgress{progress: progress{r: iotest.OneByteReader(strings.NewReader(text)), control: http.NewResponseController(d), timeout: time.Hour}}
	for i := range len(text) - 1 {
		if _, err := p.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		if within := text[i] != '\n'; within == d.last.IsZero() {
			t.Errorf("after %q the deadline is %v", text[:i+1], d.last)
		}
	}
	p.end()
	ended := d.last
	if ended.IsZero() || ended.After(time.Now()) {
		t.Errorf("at the end the deadline is %v", ended)
	}
	for range 2 { // begins a line, and is at the body's end
		_, _ = p.Read(make([]byte, 8))
		if !d.last.Equal(ended) {
			t.Errorf("after the end the deadline is %v, was %v", d.last, ended)
		}
	}
}
