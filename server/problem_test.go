package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/server"
)

// TestRetryAfter has an answer of every kind of error: one with 429 or 503 says when to come again, and
// no other does.
func TestRetryAfter(t *testing.T) {
	for _, r := range api.Rules() {
		for _, status := range []int{r.Status, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			e := api.New(r.Kind, "why")
			e.Status = status
			w := httptest.NewRecorder()
			server.WriteProblem(w, e)
			var got api.Error
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Kind != r.Kind || got.Status != status || got.Title == "" || w.Code != status {
				t.Errorf("%s with %d: %d %s, %v", r.Kind, status, w.Code, w.Body, err)
			}
			after, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if want := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; want != (err == nil && after > 0) {
				t.Errorf("%s with %d: Retry-After %q", r.Kind, status, w.Header().Get("Retry-After"))
			}
		}
	}
}
