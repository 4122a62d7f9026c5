package devloop

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestGuestLog(t *testing.T) {
	var b bytes.Buffer
	var g GuestLog
	opts := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	log := slog.New(g.Handler(slog.NewTextHandler(&b, opts))).With("plugin", "p")
	want := func(text string) {
		t.Helper()
		if b.String() != text {
			t.Errorf("got %q, want %q", b.String(), text)
		}
		b.Reset()
	}
	log.Info("one")
	want("level=INFO msg=one plugin=p\n")
	g.hold()
	log.Info("one")
	log.Info("one")
	log.Info("one", "source", "stdout")
	log.Debug("two")
	want("")
	g.release(true)
	want("level=INFO msg=one plugin=p\nlevel=INFO msg=one plugin=p source=stdout\n")
	g.hold()
	log.Info("one")
	g.release(false)
	g.release(true)
	want("")
	g.drop()
	log.Error("one")
	if log.Enabled(context.Background(), slog.LevelError) {
		t.Error("what is dropped counts against the plugin's limit")
	}
	g.release(true)
	want("")
	g.hold()
	for i := range 2 * maxHeldRecords {
		log.Info(fmt.Sprint(i))
	}
	g.release(true)
	if n := strings.Count(b.String(), "\n"); n != maxHeldRecords {
		t.Errorf("%d records held, want %d", n, maxHeldRecords)
	}
	none := (*GuestLog)(nil)
	none.hold()
	none.drop()
	none.release(true)
}
