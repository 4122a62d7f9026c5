package module

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
)

// What a task may take that is only tried, and all of them together.
const (
	tryTime  = 500 * time.Millisecond
	triesEnd = 2 * time.Second
	tryFuel  = 20_000_000
)

// try runs each transform that has no self-test once, with an empty input or, if it takes JSON,
// null, in an instance that then goes. A plugin may do with such an input what it likes, so a
// failure is a warning; but if there is a doubt about its binary, that is why, and every task would fail.
// What takes too long is no failure: it is left, and the rest too if that takes long. What the plugin
// writes meanwhile is logged for debugging only.
func (m *Module) try(ctx context.Context) error {
	if m.opts.Interrupt == Off { // an endless loop could not be stopped
		return nil
	}
	m.log.trying.Store(true)
	defer m.log.trying.Store(false)
	before := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, min(triesEnd, m.opts.InitTimeout), errTimeout)
	defer cancel()
	var in *Instance
	var spent uint64
	closeInstance := func() error {
		if in == nil {
			return nil
		}
		err := in.Close()
		in = nil
		return err
	}
	for index, t := range m.manifest.Transforms {
		if spent > tryFuel || slices.ContainsFunc(m.manifest.SelfTests, func(c manifest.SelfTest) bool { return c.Transform == t.Name }) {
			continue
		}
		if in == nil {
			var err error
			if in, err = m.Instantiate(ctx); err != nil {
				return tried(before, ctx, err)
			}
		}
		var item [1]abi.Item
		if t.Input == manifest.MediaTypeJSON {
			item[0].Payload = []byte("null")
		}
		fuel, err := in.Run(ctx, &Call{
			Transform: index, Items: item[:], Results: make([]abi.Result, 1),
			Limits: Limits{Timeout: tryTime, Fuel: tryFuel},
		})
		spent += fuel
		if ctx.Err() != nil {
			return errors.Join(tried(before, ctx, context.Cause(ctx)), closeInstance())
		}
		fault := (*Fault)(nil)
		switch failed := errors.As(err, &fault) && fault.Kind != Timeout && fault.Kind != Fuel; {
		case failed && m.plugin.Doubt != "" && (fault.Kind == Trap || fault.Kind == Exit):
			return errors.Join(m.doubted(fmt.Errorf("%s fails at an empty input (%w)", t.Name, err)), closeInstance())
		case failed:
			m.info.Warnings = append(m.info.Warnings, fmt.Sprintf(
				"%s fails at an empty input (%v), and has no self-test that shows at which it does not", t.Name, err,
			))
		}
		grows := false
		if err == nil && !m.plugin.Single {
			spent += m.tryFrame(ctx, in, index, item[0])
			grows = in.Grown() && !m.plugin.Shrinks
		}
		if grows {
			m.info.Growing = append(m.info.Growing, t.Name)
		}
		if grows || !in.Usable() || m.plugin.Single && !in.Reset() {
			if err := closeInstance(); err != nil {
				return err
			}
		}
	}
	return closeInstance()
}

// Grows reports whether as many of an item as share a frame grow an instance, which is as a new one, so that
// it would have to be replaced. What comes of them does not matter, and is bounded as what is tried.
func (m *Module) Grows(ctx context.Context, in *Instance, transform int, item abi.Item) bool {
	if m.opts.Interrupt == Off || m.plugin.Single || m.plugin.Shrinks {
		return false
	}
	m.log.trying.Store(true)
	defer m.log.trying.Store(false)
	m.runFull(ctx, in, transform, item)
	return in.Grown()
}

// tryFrame runs as many of an item as share a frame, in an instance that is as a new one, unless
// the item has grown it. What comes of them does not matter, but for the memory that they take.
func (m *Module) tryFrame(ctx context.Context, in *Instance, index int, item abi.Item) (fuel uint64) {
	if m.opts.Batch <= 1 || in.Grown() || !in.Reset() {
		return 0 // a frame has one item, which has been tried
	}
	return m.runFull(ctx, in, index, item)
}

// runFull runs a frame that is full of an item.
func (m *Module) runFull(ctx context.Context, in *Instance, index int, item abi.Item) (fuel uint64) {
	items := slices.Repeat([]abi.Item{item}, max(1, m.opts.Batch))
	fuel, _ = in.Run(ctx, &Call{
		Transform: index, Items: items, Results: make([]abi.Result, len(items)),
		Limits: Limits{Timeout: tryTime, Fuel: tryFuel},
	})
	return fuel
}

// tried is the error of trying that could not go on: none if it has only taken too long.
func tried(before, ctx context.Context, err error) error {
	if before.Err() != nil || ctx.Err() == nil {
		return err
	}
	return nil // it has only taken too long
}
