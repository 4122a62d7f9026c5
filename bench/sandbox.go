package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/resonhost/resonhost/host"
)

// ways are those to stop a guest, the one that is compared with first.
var ways = []struct {
	name      string
	interrupt host.Interrupt
}{{"off", host.InterruptOff}, {"metered", host.InterruptMetered}, {"wazero's flag", host.InterruptRuntime}}

func (b *bench) guest(name string) (host.Source, error) {
	wasm, err := os.ReadFile(filepath.Join(b.guests, name+".wasm"))
	return host.Source{Name: name, WASM: wasm}, err
}

func turns(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// interrupts compares what it costs to be able to stop a guest.
func (b *bench) interrupts(ctx context.Context) error {
	cascadeWASM, err := b.cascadeGuest()
	if err != nil {
		return err
	}
	busy, err := b.guest("busy")
	if err != nil {
		return err
	}
	input, err := state.AppendBinary(nil)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		title, transform string
		input            []byte
		source           host.Source
	}{
		{"interrupts: cascade", "cascade", input, host.Source{Name: "cascade", WASM: cascadeWASM}},
		{"interrupts: a tight loop of 100,000 turns", "busy.loop", turns(100_000), busy},
		{"interrupts: 32 MiB in 10,000 dependent loads", "busy.chase", turns(10_000), busy},
		{"interrupts: a tree of 32,767 calls", "busy.call", turns(14), busy},
	} {
		var all []*contender
		for _, w := range ways {
			h, err := hosted(ctx, w.name, "shared, Host.Run", c.transform, c.input, false, host.Config{
				Plugins:  []host.Source{c.source},
				Defaults: host.PluginConfig{Isolation: host.IsolationShared, Interrupt: w.interrupt},
			})
			if err != nil {
				return errors.Join(fmt.Errorf("%s: %w", w.name, err), closeAll(all))
			}
			all = append(all, h)
		}
		if _, err := b.section(ctx, c.title, all); err != nil {
			return err
		}
	}
	return nil
}

// noop compares isolations by a task that does nothing, and counts what it
// allocates.
func (b *bench) noop(ctx context.Context) error {
	hostile, err := b.guest("hostile")
	if err != nil {
		return err
	}
	var all []*contender
	for _, c := range []struct {
		name      string
		isolation host.Isolation
	}{{"shared", host.IsolationShared}, {"pristine", host.IsolationPristine}, {"fresh", host.IsolationFresh}} {
		h, err := hosted(ctx, c.name, "metered, Host.Run", "hostile.echo", nil, false, host.Config{
			Plugins: []host.Source{hostile}, Defaults: host.PluginConfig{Isolation: c.isolation},
		})
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", c.name, err), closeAll(all))
		}
		all = append(all, h)
	}
	var facts []float64
	for _, c := range all[:2] {
		n, err := allocations(ctx, c)
		if err != nil {
			return errors.Join(err, closeAll(all))
		}
		facts = append(facts, n)
	}
	if _, err := b.section(ctx, "a task that does nothing", append(all, asking(all))); err != nil {
		return err
	}
	if b.table != nil {
		fmt.Fprintln(b.table)
	}
	return b.fact("allocations of a task that does nothing", "%.0f shared, %.0f pristine", facts[0], facts[1])
}

// allocations returns how many a task makes.
func allocations(ctx context.Context, c *contender) (float64, error) {
	const n = 1000
	if err := c.run(ctx, n); err != nil {
		return 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := c.run(ctx, n)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / n, err
}

// responsiveness measures whom guests hold up that spin on every worker: by an endless
// loop, and by loads that miss every cache.
func (b *bench) responsiveness(ctx context.Context) error {
	busy, err := b.guest("busy")
	if err != nil {
		return err
	}
	for _, transform := range []string{"", "busy.loop", "busy.chase"} {
		if err := b.spin(ctx, busy, transform); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) spin(ctx context.Context, busy host.Source, transform string) (err error) {
	const timeout = 50 * time.Millisecond
	h, err := host.New(host.Config{
		Plugins: []host.Source{busy}, Defaults: host.PluginConfig{BreakAfter: -1},
	})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(context.Background())) }()
	ctx, stop := context.WithTimeout(ctx, b.benchtime+time.Second)
	defer stop()
	var mu sync.Mutex
	var late []float64 // behind the deadline
	var spinning sync.WaitGroup
	guests := runtime.GOMAXPROCS(0)
	what := transform + " on every worker"
	if transform == "" { // what the machine does by itself
		guests, what = 0, "no guest"
	}
	for range guests {
		spinning.Go(func() {
			for ctx.Err() == nil {
				deadline := time.Now().Add(timeout)
				task, cancel := context.WithDeadline(context.Background(), deadline)
				_, err := h.Run(task, transform, turns(1<<62))
				over := time.Since(deadline)
				cancel()
				if host.KindOf(err) == host.KindTimeout {
					mu.Lock()
					late = append(late, float64(over))
					mu.Unlock()
				}
			}
		})
	}
	var ticks, stops, collections []float64
	const period = 10 * time.Millisecond
	next := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		next = next.Add(period)
		time.Sleep(time.Until(next))
		ticks = append(ticks, float64(time.Since(next)))
		if n%10 == 9 {
			collected, stopped := collect()
			collections, stops = append(collections, float64(collected)), append(stops, float64(stopped))
			next = time.Now()
		}
	}
	spinning.Wait()
	err = errors.Join(
		b.fact(what+", overshoot of a 10 ms ticker", "p99 %s, most %s of %d", micros(quantile(ticks, 0.99)), micros(quantile(ticks, 1)), len(ticks)),
		b.fact(what+", a stop of the world", "median %s, most %s of %d", micros(quantile(stops, 0.5)), micros(quantile(stops, 1)), len(stops)),
		b.fact(what+", a forced collection of garbage", "median %s, most %s of %d", micros(quantile(collections, 0.5)), micros(quantile(collections, 1)), len(collections)),
	)
	if guests == 0 {
		return err
	}
	return errors.Join(err, b.fact(what+", a task's end after its deadline", "p99 %s, most %s of %d",
		micros(quantile(late, 0.99)), micros(quantile(late, 1)), len(late)))
}

// collect returns how long a collection of garbage takes, which stops the world twice,
// and how long one stop does, since reading the statistics is nothing else.
func collect() (collection, stop time.Duration) {
	began := time.Now()
	runtime.GC()
	collected := time.Now()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return collected.Sub(began), time.Since(collected)
}

// quantile is of a list that is not empty.
func quantile(samples []float64, q float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(samples))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}
