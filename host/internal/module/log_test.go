package module

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOverflowIsSaidOnce has a plugin log ten times what it may, of which a line passes now and then. That
// lines are dropped is said once, and again only after a second without such. Each line is told or counted.
func TestOverflowIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, perSecond = 64, 8 << 10
		var out bytes.Buffer
		passed, missing, said := 0, uint64(0), 0
		g := newGuestLog(slog.New(slog.NewTextHandler(&out, nil)), perSecond)
		g.telling(func(l Line) {
			missing += l.Dropped
			if l.Stream == "host" {
				said++
			} else {
				passed++
			}
		}, "p", "")
		line := []byte(strings.Repeat("x", size))
		written := 0
		write := func() {
			g.write(slog.LevelInfo, "stdout", line)
			written++
		}
		flood := func() {
			for range 10 * 2 * perSecond / size { // ten times as many, for two seconds
				write()
				time.Sleep(time.Second * size / perSecond / 10)
			}
		}
		for times := 1; times <= 2; times++ {
			flood()
			if inLog := strings.Count(out.String(), overflow); said != times || inLog != times {
				t.Errorf("after flood %d: said %d times, in the log %d times", times, said, inLog)
			}
			time.Sleep(lull)
			write()
			if uint64(passed)+missing != uint64(written) || missing*size != g.dropped.Load() || passed < perSecond/size {
				t.Errorf("%d passed and %d are missing of %d; %d bytes dropped", passed, missing, written, g.dropped.Load())
			}
		}
	})
}
