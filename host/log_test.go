package host_test

import (
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// TestLogIsTold follows what a plugin writes, by a host without a logger.
func TestLogIsTold(t *testing.T) {
	bus := event.New(0)
	lines := bus.Subscribe(1<<16, event.KindPluginLogged)
	defer lines.Close()
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{{Name: "noisy", WASM: guesttest.HandWritten(t, "hostile")}}, Events: bus,
		Defaults: host.PluginConfig{LogBytesPerSecond: 1 << 10},
	})
	hash := h.Plugins()[0].Hash
	run := func(transform string) {
		t.Helper()
		if _, err := h.Run(t.Context(), transform, []byte("!")); err != nil {
			t.Fatalf("%s: %v", transform, err)
		}
	}
	run("hostile.loglevel")
	e, err := lines.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, _ := e.Body.(event.PluginLogged)
	if first.Plugin != "hostile" || first.Source != "noisy" || first.Hash != hash || first.Level != "error" || first.Stream != "log" ||
		!strings.Contains(first.Text, "\x1b") {
		t.Errorf("got %+v", first)
	}

	run("hostile.write")    // 10 MB
	run("hostile.loglevel") // perhaps dropped as well
	var wrote, dropped, said uint64
	for e, _, _ := lines.Take(); e.Body != nil; e, _, _ = lines.Take() {
		body := e.Body.(event.PluginLogged)
		dropped += body.Dropped
		switch body.Stream {
		case "stdout":
			wrote++
			if body.Level != "info" || len(body.Text) > event.MaxLogLine {
				t.Errorf("got %+v", body)
			}
		case "host":
			said++
			if body.Level != "warn" || !strings.Contains(body.Text, "more than it may") {
				t.Errorf("got %+v", body)
			}
		}
	}
	if wrote == 0 || wrote > 10_000 || said == 0 {
		t.Errorf("of 100,000 lines %d were told, and %d times that others were dropped", wrote, said)
	}
	// The lines that came, those that were told missing before them, and those missing since the last.
	if wrote+dropped > 100_001 {
		t.Errorf("%d lines and %d dropped ones, of 100,001", wrote, dropped)
	}
	if got := len(bus.Logged("noisy")); got == 0 || got > event.LogLines {
		t.Errorf("%d lines are kept", got)
	}
	if bus.Logged("hostile") != nil {
		t.Error("lines are kept by a name that another plugin may have")
	}
}
