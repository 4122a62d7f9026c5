package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host"
)

// soaked runs many tasks of which 5 % trap, 5 % run past their deadline and 5 % grow,
// and reports whether all others were right and how the memory went.
func (b *bench) soaked(ctx context.Context) (err error) {
	hostile, err := b.guest("hostile")
	if err != nil {
		return err
	}
	h, err := host.New(host.Config{
		Plugins:  []host.Source{hostile},
		Defaults: host.PluginConfig{RunTimeout: 5 * time.Millisecond, MemoryLimit: 16 << 20, BreakAfter: -1},
	})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(context.Background())) }()
	warm := min(10_000, b.soak/2)
	var next, wrong, missed atomic.Int64
	var after, most atomic.Int64
	var workers sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := int(next.Add(1)); i <= b.soak && ctx.Err() == nil; i = int(next.Add(1)) {
				transform, want := "hostile.echo", host.Kind("")
				input := strconv.Itoa(i)
				switch i % 20 {
				case 3:
					transform, want, input = "hostile.trap", host.KindTrap, "!"
				case 9:
					transform, want, input = "hostile.spin", host.KindTimeout, "!"
				case 15:
					transform, input = "hostile.growok", "!"
				}
				out, err := h.Run(ctx, transform, []byte(input))
				switch {
				case want == "" && host.KindOf(err) == host.KindTimeout:
					missed.Add(1) // a slow moment of the machine; the deadline is short
				case err == nil && (want != "" || string(out) != input), err != nil && host.KindOf(err) != want:
					wrong.Add(1)
				}
				if i == warm {
					after.Store(resident())
				}
				if i > warm && i%warm == 0 {
					most.Store(max(most.Load(), resident()))
				}
			}
		})
	}
	workers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s := h.Stats().Plugins[0]
	if err := b.fact(fmt.Sprintf("%d tasks, of which 5 %% trap, 5 %% time out and 5 %% grow", b.soak),
		"%d wrong; %d right ones timed out; %d instances broke, %d were replaced", wrong.Load(), missed.Load(), s.Broken, s.Replaced); err != nil {
		return err
	}
	if err := b.fact("resident memory of that", "%.1f MiB after %d tasks, %.1f MiB at most later",
		float64(after.Load())/(1<<20), warm, float64(most.Load())/(1<<20)); err != nil {
		return err
	}
	if n := wrong.Load(); n > 0 {
		return fmt.Errorf("%d tasks of the last part had a wrong outcome", n)
	}
	return nil
}

// resident returns the resident memory of the process in bytes without the garbage
// that is not collected yet, 0 where it cannot be had.
func resident() int64 {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
