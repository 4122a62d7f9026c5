package module

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
)

// warmUpFuel ends the warm-up early. It is fuel and not time, so that instances
// begin the same everywhere.
const warmUpFuel = 100_000_000

// warmUp runs the self-tests on a fresh instance, as often as its kind wants it. It returns the
// answers of the first turn, up to where the instance was [Instance.Starved].
func (m *Module) warmUp(ctx context.Context, in *Instance) (answers []abi.Result, err error) {
	var spent uint64
	for turn := range m.plugin.WarmUp.Turns {
		for i, c := range m.manifest.SelfTests {
			got, fuel, err := m.selfTest(ctx, in, c)
			if turn == 0 && !in.Starved() {
				answers = append(answers, got)
			}
			if err != nil {
				return nil, ofTest(i, &c, err)
			}
			spent += fuel
		}
		if spent > warmUpFuel {
			break
		}
	}
	return answers, m.warmBatch(ctx, in)
}

// testCold runs each self-test on an instance of its own, which begins with the snapshot. It
// returns the answers, up to where one was [Instance.Starved].
func (m *Module) testCold(ctx context.Context) (answers []abi.Result, err error) {
	for i, c := range m.manifest.SelfTests {
		in, err := m.Instantiate(ctx)
		if err != nil {
			return nil, ofTest(i, &c, err)
		}
		got, _, err := m.selfTest(ctx, in, c)
		if len(answers) == i && !in.Starved() {
			answers = append(answers, got)
		}
		if err := errors.Join(err, in.Close()); err != nil {
			return nil, ofTest(i, &c, err)
		}
	}
	return answers, nil
}

// ofTest says of which self-test an error is.
func ofTest(i int, c *manifest.SelfTest, err error) error {
	return fmt.Errorf("self-test %d %q of %s: %w", i, c.Name, c.Transform, err)
}

// doubted adds to an error of a guest what is doubtful about its binary, since that may be why. Nobody is
// told the warnings of a binary that is refused.
func (m *Module) doubted(err error) error {
	if err == nil || m.plugin.Doubt == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, m.plugin.Doubt)
}

// describe asks an instance for the manifest.
func (m *Module) describe(ctx context.Context, in *Instance) (err error) {
	err = in.prepare(ctx, func(ctx context.Context) (err error) {
		m.manifest, err = in.guest.Describe(ctx)
		return err
	})
	m.info.Manifest = m.manifest
	if m.manifest != nil {
		m.log.name.Store(&m.manifest.Name)
	}
	return err
}

// warmBatch has each transform run a frame of as many items as it will get, of its
// last self-test that succeeds, so that buffers have grown before the snapshot.
func (m *Module) warmBatch(ctx context.Context, in *Instance) error {
	if !m.plugin.WarmUp.Frames || m.opts.Batch <= 1 {
		return nil
	}
	last := make(map[int]manifest.SelfTest)
	for _, c := range m.manifest.SelfTests {
		if c.Status == abi.StatusOK {
			last[m.index(c.Transform)] = c
		}
	}
	for index := range m.manifest.Transforms {
		c, ok := last[index]
		if !ok {
			continue
		}
		items, results := make([]abi.Item, m.opts.Batch), make([]abi.Result, m.opts.Batch)
		for i := range items {
			items[i] = abi.Item{Payload: c.Input, State: c.State}
		}
		_, err := in.Run(ctx, &Call{Transform: index, Items: items, Results: results})
		if err != nil && !errors.Is(err, ErrInputSize) && !errors.Is(err, ErrOutputSum) {
			return fmt.Errorf("self-test %q of %s, %d times in a frame: %w", c.Name, c.Transform, len(items), err)
		}
	}
	return nil
}

func (m *Module) index(transform string) int {
	return slices.IndexFunc(m.manifest.Transforms, func(t manifest.Transform) bool { return t.Name == transform })
}

func (m *Module) selfTest(ctx context.Context, in *Instance, c manifest.SelfTest) (answer abi.Result, fuel uint64, err error) {
	index := m.index(c.Transform)
	var got [1]abi.Result
	fuel, err = in.Run(ctx, &Call{Transform: index, Items: []abi.Item{{Payload: c.Input, State: c.State}}, Results: got[:]})
	switch {
	case err != nil:
		return got[0], 0, err
	case got[0].Status != c.Status:
		return got[0], 0, fmt.Errorf("status is %v, want %v", outcome(got[0]), c.Status)
	case c.Status == abi.StatusOK && !bytes.Equal(got[0].Payload, c.Output):
		return got[0], 0, differ(got[0].Payload, c.Output)
	}
	return got[0], fuel, nil
}

func outcome(r abi.Result) string {
	if r.Status == abi.StatusOK {
		return r.Status.String()
	}
	return fmt.Sprintf("%v (%.1000q)", r.Status, r.Payload)
}

// differ says where two payloads differ first.
func differ(got, want []byte) error {
	at, g, w := firstDifference(got, want)
	return fmt.Errorf("output of %d bytes is %s from byte %d on, want %s of %d bytes%s", len(got), g, at, w, len(want), nanNote(got, want))
}
