package module_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
)

// looks is a context that counts how often a guest's host looks at it, and ends after some.
type looks struct {
	context.Context //nolint:containedctx // it is one

	seen, most int64
}

func (l *looks) Err() error {
	if l.seen++; l.most > 0 && l.seen > l.most {
		return context.Canceled
	}
	return nil
}

// lateOptions are those of the guest "late".
func lateOptions() module.Options {
	opts := options()
	opts.MemoryLimit, opts.CallDepth = 64<<20, 10_000
	return opts
}

func late(ctx context.Context, in *module.Instance, index int, rounds byte, l module.Limits) (uint64, error) {
	var results [1]abi.Result
	return in.Run(ctx, &module.Call{Transform: index, Items: []abi.Item{{Payload: []byte{rounds}}}, Results: results[:], Limits: l})
}

// TestLooks bounds what happens between two looks at whether a guest has to stop, which does
// not depend on how fast the machine is: so many in a round of "late", at least.
func TestLooks(t *testing.T) {
	m := load(t, "late", lateOptions())
	for transform, want := range map[string]int64{
		"fill":   62 * 4, // a look each 256 KiB
		"copy":   31 * 4,
		"write":  62 * 4, // a line of 4 KiB counts as 1 KiB, and 64 KiB more of what is moved
		"random": 62 * 16,
		"touch":  7,            // 80,000 units, in slices from 500 on that double at most
		"lines":  10 * 40 / 64, // 10 rounds; a line counts as 1 KiB, 8 KiB are held back
	} {
		in := instantiate(t, m)
		rounds := byte(1)
		if transform == "lines" {
			rounds = 10
		}
		l := &looks{Context: t.Context()}
		i := index(t, m, "late."+transform)
		if _, err := late(l, in, i, rounds, module.Limits{}); err != nil {
			t.Errorf("%s: %v", transform, err)
		}
		if l.seen < want {
			t.Errorf("%s: %d looks, want %d", transform, l.seen, want)
		}
		// And it stops at the look that says so.
		l = &looks{Context: t.Context(), most: want / 2}
		_, err := late(l, in, i, 0, module.Limits{})
		if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != module.Cancelled || l.seen > l.most+20 {
			t.Errorf("%s: err %v after %d looks, want it cancelled after %d", transform, err, l.seen, l.most)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLateEnds has every shape of work end at its deadline, its fuel and its host's end.
func TestLateEnds(t *testing.T) {
	for _, real := range []bool{false, true} {
		opts := lateOptions()
		opts.RealClock, opts.RealRandom = real, real
		m := load(t, "late", opts)
		stopped, stop := context.WithCancel(t.Context())
		stop()
		for i, spec := range m.Info().Manifest.Transforms {
			for kind, l := range map[module.FaultKind]module.Limits{
				module.Timeout: {Timeout: 10 * time.Millisecond},
				module.Fuel:    {Fuel: 1_000_000},
				module.Stopped: {Stop: stopped},
			} {
				if kind == module.Fuel && real && spec.Name == "late.sleep" {
					continue // it burns none
				}
				in := instantiate(t, m)
				_, err := late(t.Context(), in, i, 0, l)
				if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != kind {
					t.Errorf("%s, real clock %v: err %v, want %v", spec.Name, real, err, kind)
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestContextsAreLetGo has instances keep nothing of the contexts of calls.
func TestContextsAreLetGo(t *testing.T) {
	m := load(t, "late", lateOptions())
	in := instantiate(t, m)
	if module.Held(in) {
		t.Error("a new instance has the context that it was made with")
	}
	if _, err := late(t.Context(), in, index(t, m, "late.fill"), 1, module.Limits{Stop: t.Context()}); err != nil {
		t.Fatal(err)
	}
	if module.Held(in) {
		t.Error("an instance has the context of a call that has ended")
	}
}
