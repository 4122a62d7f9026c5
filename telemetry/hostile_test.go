package telemetry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/telemetry"
)

// gaveUp is in the log when the time for what is left is up.
const gaveUp = "context canceled"

// TestHostileCollectors has collectors that do all but what they should. No task fails, what is not sent
// is counted and logged once, and the end comes in time.
func TestHostileCollectors(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "100000000")
			w.WriteHeader(code)
			return true
		}
	}
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request) bool
		want   string // in the log; "" if the spans are taken
	}{
		"stalls": {func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, gaveUp},
		"stalls in its answer": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return true
		}, gaveUp},
		"closes": {func(w http.ResponseWriter, _ *http.Request) bool {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.Close()
			}
			return true
		}, "EOF"},
		"fails":         {status(http.StatusInternalServerError), "it answers 500"},
		"is overloaded": {status(http.StatusServiceUnavailable), "it answers 503"},
		"refuses":       {status(http.StatusUnauthorized), "it answers 401"},
		"leads away": {func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return true
		}, "it answers 307"},
		"is a web page": {func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("<html>hello</html>"))
			return true
		}, "not OTLP over HTTP"},
		"answers without end": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "application/x-protobuf")
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					break
				}
			}
			return true
		}, ""},
		"answers garbage": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write([]byte("\xff\xff\xff\xff"))
			return true
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			s.collector.with(c.answer)
			for range 3 {
				if resp, text := s.do(t, "POST", "/v1/transforms/hostile.echo", octets, "x"); resp.status != http.StatusOK {
					t.Errorf("%d: %s", resp.status, text)
				}
			}
			began, patience := time.Now(), time.Minute
			if c.want == gaveUp {
				patience = 200 * time.Millisecond
			}
			s.end(t, patience)
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("the end took %v", took)
			}
			sent, failed := s.value(t, "resonhost_telemetry_sent_total", "spans"), s.value(t, "resonhost_telemetry_dropped_total", "spans", "failed")
			metrics := s.value(t, "resonhost_telemetry_dropped_total", "metrics", "failed")
			if c.want == "" && (sent != 15 || metrics != 0) || c.want != "" && (failed != 15 || metrics != 1) {
				t.Errorf("%v spans were sent, %v failed, and %v sets of metrics, of 15 and 1", sent, failed, metrics)
			}
			if text := s.log.String(); strings.Count(text, "does not take spans") != map[bool]int{true: 1}[c.want != ""] || !strings.Contains(text, c.want) {
				t.Errorf("the log is\n%s, want %q once", text, c.want)
			}
		})
	}
}

// TestQueueIsBounded has more spans come than a collector that stalls takes.
func TestQueueIsBounded(t *testing.T) {
	s := start(t, nil)
	s.collector.with(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
	tracer := s.telemetry.Tracer()
	h := tracer.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
	const requests = 10_000
	for range requests {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/x", http.NoBody))
	}
	s.end(t, 50*time.Millisecond)
	full, failed := s.value(t, "resonhost_telemetry_dropped_total", "spans", "queue"), s.value(t, "resonhost_telemetry_dropped_total", "spans", "failed")
	if full < requests-3*4096 || full == 0 || full+failed != requests {
		t.Errorf("%v spans found the queue full, and %v were not taken, of %d", full, failed, requests)
	}
}

// TestCollectorComesBack has a request be sent again once the collector has time for it.
func TestCollectorComesBack(t *testing.T) {
	s := start(t, nil)
	var asked atomic.Int32
	s.collector.with(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/traces" || asked.Add(1) > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	s.do(t, "GET", "/v1/plugins", "", "")
	until(t, "the span has arrived", func() bool { return len(s.collector.all()) == 1 })
	until(t, "it is logged", func() bool { return strings.Contains(s.log.String(), "takes spans again") })
	if n := strings.Count(s.log.String(), "does not take spans"); n != 1 {
		t.Errorf("that it fails is logged %d times", n)
	}
	s.end(t, time.Minute)
	if dropped := s.value(t, "resonhost_telemetry_dropped_total", "spans", "failed"); dropped != 0 {
		t.Errorf("%v spans were dropped", dropped)
	}
}

// TestAfterTheEnd has spans end when nobody sends any more: they are counted.
func TestAfterTheEnd(t *testing.T) {
	s := start(t, nil)
	h := s.telemetry.Tracer().Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
	s.end(t, time.Minute)
	for range 3 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/x", http.NoBody))
	}
	if late := s.value(t, "resonhost_telemetry_dropped_total", "spans", "closed"); late != 3 {
		t.Errorf("%v spans came after the end, want 3", late)
	}
}

// TestRejected has a collector take a part.
func TestRejected(t *testing.T) {
	s := start(t, nil)
	s.collector.with(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/traces" {
			return false
		}
		partial := protowire.AppendTag(nil, 1, protowire.VarintType)
		partial = protowire.AppendVarint(partial, 2)
		partial = protowire.AppendTag(partial, 2, protowire.BytesType)
		partial = protowire.AppendString(partial, "too many\xff")
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial))
		return true
	})
	s.do(t, "POST", "/v1/transforms/hostile.echo", octets, "x")
	s.end(t, time.Minute)
	if sent, rejected := s.value(t, "resonhost_telemetry_sent_total", "spans"), s.value(t, "resonhost_telemetry_dropped_total", "spans", "rejected"); sent != 3 || rejected != 2 {
		t.Errorf("%v spans were taken and %v rejected, want 3 and 2", sent, rejected)
	}
	if !strings.Contains(s.log.String(), "rejected=2") {
		t.Errorf("the log is\n%s", s.log.String())
	}
}

// TestHostileTexts has callers send what is no text: the spans of others come all the same.
func TestHostileTexts(t *testing.T) {
	s := start(t, nil)
	long := strings.Repeat("ü", 1000)
	for _, path := range []string{"/v1/%ff%fe", "/v1/transforms/%ff", "/v1/x" + long} {
		s.do(t, "GET", path, "", "")
		s.do(t, "POST", path, octets, "x")
	}
	s.do(t, "ODD-"+strings.Repeat("X", 1000), "/v1/plugins", "", "")
	_, _ = s.host.Client("\xff", host.PriorityNormal).Run(context.Background(), "hostile.echo", nil)
	s.do(t, "POST", "/v1/transforms/hostile.badutf8", octets, "!")
	s.do(t, "POST", "/v1/transforms/hostile.echo", octets, "x")
	s.end(t, time.Minute)
	spans := s.collector.all()
	named(t, spans, "task hostile.echo", "")
	named(t, spans, "_OTHER /v1/plugins", "")
	if dropped := s.value(t, "resonhost_telemetry_dropped_total", "spans", "failed"); dropped != 0 {
		t.Errorf("%v spans were dropped:\n%s", dropped, s.log.String())
	}
	for _, span := range spans {
		for key, value := range texts(span.GetAttributes()) {
			if len(value) > 4*256 {
				t.Errorf("%s of %s has %d bytes", key, span.GetName(), len(value))
			}
		}
	}
}

// TestOwnProvider has a tracer without a telemetry, as a program has it with a provider of its own: a task
// whose caller has no span has none.
func TestOwnProvider(t *testing.T) {
	s := start(t, func(_ *telemetry.Options, cfg *host.Config) { cfg.Workers = 1 })
	if _, err := s.host.Run(context.Background(), "hostile.echo", nil); err != nil {
		t.Fatal(err)
	}
	s.end(t, time.Minute)
	if spans := s.collector.all(); len(spans) != 0 {
		t.Errorf("spans %q", names(spans))
	}
}
