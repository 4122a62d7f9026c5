package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
)

func askAt(t *testing.T, out io.Writer, url string, patience time.Duration) error {
	t.Helper()
	r := remote{url: url}
	return r.askReady(t.Context(), stdio{out: newOutput(out), err: io.Discard}, patience)
}

func TestReady(t *testing.T) {
	d := startRun(t, "--mode", "inline")
	var out bytes.Buffer
	if err := askAt(t, &out, "http://"+d.addr, time.Minute); err != nil || out.String() != "ready\n" {
		t.Errorf("%q, err %v", &out, err)
	}
	if log, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d\n%s", code, log)
	}
	if err := askAt(t, &out, "http://"+d.addr, time.Minute); err == nil {
		t.Error("a host that has ended is ready")
	}
}

// TestNotReady has hosts that take no tasks, in ways that a health check must tell.
func TestNotReady(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"draining": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"detail": "draining"}`)
		}, "draining"},
		"no host": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "404 Not Found"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-over:
			case <-r.Context().Done():
			}
		}, "no answer within 100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tc.answer)
			defer s.Close()
			patience := time.Minute
			if name == "silent" {
				patience = 100 * time.Millisecond
			}
			var out bytes.Buffer
			err := askAt(t, &out, s.URL, patience)
			if e := (*exit)(nil); !errors.As(err, &e) || e.code != api.ExitFailed || !strings.HasSuffix(err.Error(), ": "+tc.want) || out.Len() > 0 {
				t.Errorf("%q, err %v, want %s", &out, err, tc.want)
			}
		})
	}
}
