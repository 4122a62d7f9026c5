package sse_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/resonhost/resonhost/internal/sse"
)

// all reads all events, each as its kind, its data and the last ID.
func all(r *sse.Reader) (list []string, err error) {
	for {
		e, err := r.Next()
		if err != nil {
			return list, err
		}
		list = append(list, fmt.Sprintf("%s %q %s", e.Kind, e.Data, r.LastID()))
	}
}

func TestNext(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"one":                    {"event: a\nid: 1\ndata: {}\n\n", []string{`a "{}" 1`}},
		"no kind":                {"data:x\n\n", []string{`message "x" `}},
		"lines of data":          {"data: x\ndata\ndata:  y\n\n", []string{`message "x\n\n y" `}},
		"an ID holds":            {"id: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\n", []string{`message "x" 1`, `message "y" 1`, `message "z" `}},
		"an ID of no event":      {"id: 7\n\ndata: x\n\n", []string{`message "x" 7`}},
		"an ID with NUL":         {"id: 1\x002\ndata: x\n\n", []string{`message "x" `}},
		"a kind of no event":     {"event: a\n\ndata: x\n\n", []string{`message "x" `}},
		"comments":               {": hello\n\n:\ndata: x\n: y\n\n", []string{`message "x" `}},
		"ends of lines":          {"event: a\r\ndata: x\r\n\r\ndata: y\r\rdata: z\n\n", []string{`a "x" `, `message "y" `, `message "z" `}},
		"a byte order mark":      {"\uFEFFdata: x\n\ndata: \uFEFFy\n\n", []string{`message "x" `, "message \"\\ufeffy\" "}},
		"unknown fields":         {"dat: x\ndata : y\nDATA: z\ndata: w\n\n", []string{`message "w" `}},
		"cut off":                {"id: 1\ndata: x\n\nid: 2\ndata: y\n", []string{`message "x" 1`}},
		"cut off within a field": {"data: x", nil},
		"empty data":             {"data\n\n", []string{`message "" `}},
	} {
		for _, in := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			got, err := all(sse.NewReader(in, 1<<10))
			if !errors.Is(err, io.EOF) || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s: got %s, err %v, want %s", name, got, err, c.want)
			}
		}
	}
}

func TestRetry(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"1500": 1500 * time.Millisecond, "": 0, "-1": 0, "1s": 0, "99999999999": time.Hour, "99999999999999999999999": 0,
	} {
		r := sse.NewReader(strings.NewReader("retry: "+in+"\n\n"), 1<<10)
		if _, err := r.Next(); !errors.Is(err, io.EOF) || r.Retry() != want {
			t.Errorf("%q: %v, err %v, want %v", in, r.Retry(), err, want)
		}
	}
}

// TestTooLong bounds an event, not a stream.
func TestTooLong(t *testing.T) {
	fits := "data: 345678\n\n"
	if got, err := all(sse.NewReader(strings.NewReader(strings.Repeat(fits, 100)), 14)); len(got) != 100 || !errors.Is(err, io.EOF) {
		t.Errorf("%d events, err %v", len(got), err)
	}
	for _, in := range []string{"data: 123456789", strings.Repeat("data:\n", 10), strings.Repeat(":\n", 20), strings.Repeat("id\n", 20)} {
		if _, err := all(sse.NewReader(strings.NewReader(in+"\n\n"), 14)); !errors.Is(err, sse.ErrTooLong) {
			t.Errorf("%q: err %v", in, err)
		}
	}
}

// FuzzReader has streams of any bytes.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\uFEFFretry: 2000\nid: e-1\nevent: plugin.logged\ndata: {\"a\":1}\n\n: keep-alive\r\n\r\ndata: x\rdata\r\r"), 64)
	f.Add([]byte("id: \x00\ndata"), 0)
	f.Fuzz(func(t *testing.T, stream []byte, most int) {
		most = max(0, min(most, 1<<16))
		r := sse.NewReader(strings.NewReader(string(stream)), most)
		sum := 0
		for {
			e, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, sse.ErrTooLong) {
					t.Fatal(err)
				}
				break
			}
			if sum += len(e.Data) + 1; len(e.Data) > most || sum > len(stream) || e.Kind == "" {
				t.Fatalf("%q of %q, at most %d", e, stream, most)
			}
		}
		if r.Retry() < 0 || r.Retry() > time.Hour || strings.ContainsAny(r.LastID(), "\x00\n\r") {
			t.Fatalf("retry %v, ID %q", r.Retry(), r.LastID())
		}
	})
}
