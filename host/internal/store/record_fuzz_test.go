package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/store"
)

// FuzzParseRecord reads any bytes as what was decided about a plugin. What is taken is read again as the same.
func FuzzParseRecord(f *testing.F) {
	seed, err := json.Marshal(store.Record{
		Plugin: "p", Dir: "/plugins", Serving: id("a"), Previous: id("b"), Trial: id("c"), Rejected: id("d"),
		Since: time.UnixMilli(5).UTC(), By: "operator", RejectedAt: time.UnixMilli(7).UTC(), Paused: true,
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"plugin":"p","serving":""}`))
	f.Add([]byte(`{"serving":"../` + id("a") + `"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := store.ParseRecord(b)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%q: what was read cannot be written: %v", b, err)
		}
		again, err := store.ParseRecord(text)
		if err != nil || !again.Since.Equal(r.Since) || !again.RejectedAt.Equal(r.RejectedAt) {
			t.Fatalf("%q: %+v, %v, and before %+v", b, again, err, r)
		}
		again.Since, again.RejectedAt = r.Since, r.RejectedAt
		if again != r {
			t.Fatalf("%q: %+v, and before %+v", b, again, r)
		}
	})
}
