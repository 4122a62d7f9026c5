package server

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/jobs"
)

// FuzzJobRequest has any body of a job of one task.
func FuzzJobRequest(f *testing.F) {
	f.Add([]byte(`{"transform": "t", "input": {"a": [1, "\u2028"]}, "stream": "s", "priority": "bulk", "timeout": "30s"}`))
	f.Add([]byte("\xef\xbb\xbf{\"transform\":\"t\",\"input\":null}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var spec jobs.Spec
		if err := decodeJob(body, &spec); err != nil {
			return
		}
		if spec.Transform == "" || len(spec.Stream) > host.MaxStreamKey || spec.Timeout < 0 || len(spec.Input) > len(body) {
			t.Errorf("%+v", spec)
		}
		if !json.Valid(spec.Input) || bytes.ContainsAny(spec.Input, "\n\r") {
			t.Errorf("an input that is no line: %q", spec.Input)
		}
	})
}

// FuzzPrefer has any header by which a client says how long it waits.
func FuzzPrefer(f *testing.F) {
	for _, s := range []string{"wait=10", `respond-async, WAIT = "7" ; x=y`, "wait", "wait=-1", "wait=99999999999999999999", "waiting=3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if d := preferredWait([]string{header}); d < 0 || d > maxWait || d%time.Second != 0 {
			t.Errorf("%v", d)
		}
	})
}

// TestPrefer has what clients send.
func TestPrefer(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    time.Duration
	}{
		{nil, 0},
		{[]string{"wait=10"}, 10 * time.Second},
		{[]string{"respond-async", `handling=lenient, Wait = "7"; x=y, wait=9`}, 7 * time.Second},
		{[]string{"wait=3600"}, time.Minute},
		{[]string{"wait=-1"}, 0},
		{[]string{"wait"}, 0},
		{[]string{"waiting=3"}, 0},
	} {
		if got := preferredWait(c.headers); got != c.want {
			t.Errorf("%q: %v, want %v", c.headers, got, c.want)
		}
	}
}
