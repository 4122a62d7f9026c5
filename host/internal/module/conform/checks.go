package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/native"
)

// check is a check of a plugin that was loaded.
type check struct {
	name, section string
	native        bool // it is of the native contract
	check         func(ctx context.Context) error
}

func (s *subject) checks() []check {
	return []check{
		{"returns the same version and manifest each time", exports, true, s.describes},
		{"gives room at multiples of 8, within its memory", exports, true, s.allocates},
		{"takes frames of any size up to its room's, without being asked for room again", exports, true, s.reuses},
		{"refuses room that it does not have, and goes on", exports, true, s.refuses},
		{"answers frames of 0, 1 and 64 items", frames, true, s.counts},
		{"answers empty payloads and large ones", frames, false, s.sizes},
		{"answers nonsense by a status, and no item harms another", frames, false, s.nonsense},
		{"keeps states within state_bytes, and none without", document, true, s.states},
		{"gives the same answers in each instance", frames, false, s.deterministic},
		{"keeps nothing from one task for the next", frames, false, s.forgets},
		{"is as it was after a reset, to the last byte", manners, false, s.resets},
		{"does not grow its memory in tasks like its self-tests", manners, false, s.grows},
		{"keeps its self-tests to its schemas", document, false, s.held},
		{"logs no more than it may", checks, false, s.logs},
	}
}

// held holds the self-tests to the manifest's schemas.
func (s *subject) held(context.Context) error {
	m := s.Info().Manifest
	if len(m.SelfTests) == 0 {
		return errUntested
	}
	return s.opts.Held(m)
}

// run runs a frame of items through a transform.
func (s *subject) run(ctx context.Context, in instance, transform int, items ...abi.Item) ([]abi.Result, error) {
	if s.Info().Single && len(items) != 1 {
		return nil, skipped("an instance of its kind does one item")
	}
	results := make([]abi.Result, len(items))
	_, err := in.Run(ctx, &module.Call{Transform: transform, Items: items, Results: results, Limits: module.Limits{Timeout: s.opts.Timeout}})
	return results, err
}

// every calls f with each transform, and says of which an error is.
func (s *subject) every(f func(i int, t *manifest.Transform) error) error {
	transforms := s.Info().Manifest.Transforms
	for i := range transforms {
		if err := f(i, &transforms[i]); err != nil {
			if errors.As(err, new(skipped)) {
				return err
			}
			return fmt.Errorf("%s: %w", transforms[i].Name, err)
		}
	}
	return nil
}

// tests calls f with each self-test, and says of which an error is.
func (s *subject) tests(f func(transform int, test *manifest.SelfTest) error) error {
	m := s.Info().Manifest
	if len(m.SelfTests) == 0 {
		return errUntested
	}
	for i := range m.SelfTests {
		test := &m.SelfTests[i]
		at := slices.IndexFunc(m.Transforms, func(t manifest.Transform) bool { return t.Name == test.Transform })
		if err := f(at, test); err != nil {
			return fmt.Errorf("self-test %d %q of %s: %w", i, test.Name, test.Transform, err)
		}
	}
	return nil
}

// describes has version and manifest asked for again, between tasks, and of another instance.
func (s *subject) describes(ctx context.Context) error {
	var first []byte
	for range 2 {
		err := s.with(ctx, func(in instance) error {
			for range 3 {
				if err := s.raw(ctx, in, func(ctx context.Context, in contract.Instance) error {
					doc, err := described(ctx, in)
					if first == nil {
						first = doc
					}
					if err == nil && !bytes.Equal(doc, first) {
						err = fmt.Errorf("%s returned a manifest of %d bytes, and then another of %d", abi.ExportDescribe, len(first), len(doc))
					}
					return err
				}); err != nil {
					return err
				}
				if len(s.Info().Manifest.Transforms) > 0 {
					if _, err := s.run(ctx, in, 0, abi.Item{}); err != nil {
						return ignored(err) // other checks tell of it
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ignored is nil where a task broke its instance, which is not what is checked.
func ignored(err error) error {
	if f := (*module.Fault)(nil); errors.As(err, &f) {
		return nil
	}
	return err
}

// own is nil where a task was too large for its guest, or took too long: the contract has no rule on that.
func own(err error) error {
	if f := (*module.Fault)(nil); errors.As(err, &f) && (f.Task || f.Kind == module.Timeout) {
		return nil
	}
	return err
}

// described returns a copy of the manifest.
func described(ctx context.Context, in contract.Instance) ([]byte, error) {
	var stack [1]uint64
	if err := in.Function(abi.ExportVersion).Call(ctx, stack[:]); err != nil {
		return nil, err
	}
	if v := uint32(stack[0]); v != abi.Version {
		return nil, fmt.Errorf("%s returned %d, and before %d", abi.ExportVersion, v, abi.Version)
	}
	stack[0] = 0
	if err := in.Function(abi.ExportDescribe).Call(ctx, stack[:]); err != nil {
		return nil, err
	}
	ptr, n := abi.Unpack(stack[0])
	doc, ok := in.Memory().Read(ptr, n)
	if !ok {
		return nil, fmt.Errorf("%s returned bytes %d to %d of a memory of %d", abi.ExportDescribe, ptr, uint64(ptr)+uint64(n), in.Memory().Size())
	}
	return bytes.Clone(doc), nil
}

// alloc asks for room, and checks it; 0 if it is refused.
func alloc(ctx context.Context, in contract.Instance, size uint32) (ptr uint32, err error) {
	stack := [1]uint64{uint64(size)}
	if err := in.Function(abi.ExportAlloc).Call(ctx, stack[:]); err != nil {
		return 0, err
	}
	ptr = uint32(stack[0])
	switch memory := uint64(in.Memory().Size()); {
	case ptr%8 != 0:
		return 0, fmt.Errorf("%s(%d) returned %d, and must return a multiple of 8", abi.ExportAlloc, size, ptr)
	case ptr != 0 && uint64(ptr)+uint64(size) > memory:
		return 0, fmt.Errorf("%s(%d) returned %d: the room ends at byte %d of a memory of %d", abi.ExportAlloc, size, ptr, uint64(ptr)+uint64(size), memory)
	}
	return ptr, nil
}

func (s *subject) allocates(ctx context.Context) error {
	return s.with(ctx, func(in instance) error {
		return s.raw(ctx, in, func(ctx context.Context, in contract.Instance) error {
			for _, size := range []uint32{16, 8, 17, 24, 1000, 4096, 40, 65536} {
				ptr, err := alloc(ctx, in, size)
				if err != nil {
					return err
				}
				if ptr == 0 && size <= 64 {
					return fmt.Errorf("%s(%d) refuses room for the smallest frames", abi.ExportAlloc, size)
				}
			}
			return nil
		})
	})
}

// frame has the guest run items in room that it gave.
func (s *subject) frame(ctx context.Context, in contract.Instance, transform int, ptr uint32, items []abi.Item) ([]abi.Result, error) {
	size := uint32(abi.InputSize(items))
	room, ok := in.Memory().Read(ptr, size)
	if !ok {
		return nil, fmt.Errorf("its room at %d has less than %d bytes", ptr, size)
	}
	abi.AppendInput(room[:0:size], items)
	stack := [3]uint64{uint64(transform), uint64(ptr), uint64(size)}
	if err := in.Function(abi.ExportRun).Call(ctx, stack[:]); err != nil {
		return nil, err
	}
	at, n := abi.Unpack(stack[0])
	out, ok := in.Memory().Read(at, n)
	if !ok {
		return nil, fmt.Errorf("%s returned bytes %d to %d of a memory of %d", abi.ExportRun, at, uint64(at)+uint64(n), in.Memory().Size())
	}
	results := make([]abi.Result, len(items))
	c := module.Call{Transform: transform, Items: items, Results: results}
	return results, native.ReadResults(out, &s.opts.Module.Frames, s.Info().Manifest.Transforms[transform].StateBytes, &c)
}

// reuses runs smaller frames in the room of a larger one.
func (s *subject) reuses(ctx context.Context) error {
	return s.every(func(i int, _ *manifest.Transform) error {
		return s.with(ctx, func(in instance) error {
			return s.raw(ctx, in, func(ctx context.Context, in contract.Instance) error {
				ptr, err := alloc(ctx, in, 1024)
				if err != nil || ptr == 0 {
					return err // a refusal is told elsewhere
				}
				for _, size := range []int{900, 0, 100, 900, 8} {
					if _, err := s.frame(ctx, in, i, ptr, []abi.Item{{Payload: make([]byte, size)}}); err != nil {
						if err = own(err); err == nil {
							return nil // it would go on for ever
						}
						return fmt.Errorf("a payload of %d bytes in room for 1024: %w", size, err)
					}
				}
				return nil
			})
		})
	})
}

// refuses asks for more room than there can be.
func (s *subject) refuses(ctx context.Context) error {
	for _, size := range []uint32{1 << 31, 0xffff_fff8, 0xffff_ffff} {
		err := s.with(ctx, func(in instance) error {
			return s.raw(ctx, in, func(ctx context.Context, in contract.Instance) error {
				ptr, err := alloc(ctx, in, size)
				if err != nil || ptr != 0 {
					return err
				}
				if ptr, err = alloc(ctx, in, 64); err == nil && ptr == 0 {
					err = fmt.Errorf("%s(64) is refused after %s(%d) was", abi.ExportAlloc, abi.ExportAlloc, size)
				}
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("%s(%d): %w; return 0 to refuse", abi.ExportAlloc, size, err)
		}
	}
	return nil
}

// counts runs frames of no item and of many.
func (s *subject) counts(ctx context.Context) error {
	return s.every(func(i int, _ *manifest.Transform) error {
		for _, n := range []int{0, 1, 64, 1, 0} {
			if err := s.with(ctx, func(in instance) error {
				_, err := s.run(ctx, in, i, make([]abi.Item, n)...)
				return err
			}); err != nil {
				return fmt.Errorf("a frame of %d items: %w", n, err)
			}
		}
		return nil
	})
}

// sizes runs payloads of no byte and of many. A refusal of the guest's own is an answer.
func (s *subject) sizes(ctx context.Context) error {
	return s.every(func(i int, _ *manifest.Transform) error {
		for _, n := range []int{0, 1, 64 << 10, min(1<<20, s.opts.Module.Frames.MaxInput-64)} {
			if err := s.with(ctx, func(in instance) error {
				_, err := s.run(ctx, in, i, abi.Item{Payload: bytes.Repeat([]byte("x"), n)})
				return own(err)
			}); err != nil {
				return fmt.Errorf("a payload of %d bytes: %w", n, err)
			}
		}
		return nil
	})
}

// nonsense are inputs that a transform may refuse, and must not break at.
var nonsense = [][]byte{nil, []byte("{"), []byte("\xff\xfe\x00"), bytes.Repeat([]byte{0xff}, 64), make([]byte, 64), []byte(`{"a": [1, null, "` + "\u0000" + `"]}`)}

// nonsense puts a good item between bad ones, where the kind has frames.
func (s *subject) nonsense(ctx context.Context) error {
	if err := s.every(func(i int, _ *manifest.Transform) error {
		for _, payload := range nonsense {
			if err := s.with(ctx, func(in instance) error {
				_, err := s.run(ctx, in, i, abi.Item{Payload: payload})
				return own(err)
			}); err != nil {
				return fmt.Errorf("the payload %.20q: %w", payload, err)
			}
		}
		return nil
	}); err != nil || s.Info().Single {
		return err
	}
	return unless(s.tests(func(i int, test *manifest.SelfTest) error {
		good := abi.Item{Payload: test.Input, State: test.State}
		for _, payload := range nonsense {
			if err := s.with(ctx, func(in instance) error {
				bad := abi.Item{Payload: payload}
				got, err := s.run(ctx, in, i, bad, good, bad)
				if err = own(err); err == nil && got[1].Payload != nil && (got[1].Status != test.Status || test.Status == abi.StatusOK && !bytes.Equal(got[1].Payload, test.Output)) {
					err = fmt.Errorf("between items of %.20q it answers %v %.60q", payload, got[1].Status, got[1].Payload)
				}
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// unless leaves out that a check was skipped in part.
func unless(err error) error {
	if errors.As(err, new(skipped)) {
		return nil
	}
	return err
}

// states gives transforms the longest states that they may have.
func (s *subject) states(ctx context.Context) error {
	return s.every(func(i int, t *manifest.Transform) error {
		for _, n := range []int{0, 1, t.StateBytes} {
			if n > t.StateBytes {
				continue
			}
			if err := s.with(ctx, func(in instance) error {
				got, err := s.run(ctx, in, i, abi.Item{State: make([]byte, n)})
				if err == nil && len(got[0].State) > t.StateBytes {
					err = fmt.Errorf("it leaves one of %d bytes, the manifest states %d", len(got[0].State), t.StateBytes)
				}
				return err
			}); err != nil {
				return fmt.Errorf("a state of %d bytes: %w", n, err)
			}
		}
		return nil
	})
}

// differs returns how two answers do, "" if they do not.
func differs(a, b *abi.Result) string {
	switch {
	case a.Status != b.Status:
		return fmt.Sprintf("the status %v, and then %v", a.Status, b.Status)
	case !bytes.Equal(a.Payload, b.Payload):
		return fmt.Sprintf("%.60q, and then %.60q", a.Payload, b.Payload)
	case !bytes.Equal(a.State, b.State):
		return fmt.Sprintf("a state of %d bytes, and then another of %d", len(a.State), len(b.State))
	}
	return ""
}

// deterministic has instances answer apart.
func (s *subject) deterministic(ctx context.Context) error {
	return s.tests(func(i int, test *manifest.SelfTest) error {
		var first *abi.Result
		for range 2 {
			if err := s.with(ctx, func(in instance) error {
				got, err := s.run(ctx, in, i, abi.Item{Payload: test.Input, State: test.State})
				if err != nil {
					return err
				}
				if first == nil {
					first = &got[0]
				}
				if d := differs(first, &got[0]); d != "" {
					return errors.New("two instances answer " + d)
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgets has tasks follow one another in an instance that nobody puts back.
func (s *subject) forgets(ctx context.Context) error {
	if s.Info().Single {
		return skipped("an instance of its kind does one task")
	}
	return s.with(ctx, func(in instance) error {
		for range 3 {
			if err := s.tests(func(i int, test *manifest.SelfTest) error {
				got, err := s.run(ctx, in, i, abi.Item{Payload: test.Input, State: test.State})
				if err != nil {
					return err
				}
				want := abi.Result{Status: test.Status, Payload: test.Output, State: got[0].State}
				if test.Status != abi.StatusOK {
					want.Payload = got[0].Payload
				}
				if d := differs(&want, &got[0]); d != "" {
					return errors.New("after other tasks it answers differently than alone: " + d)
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// resets compares the memory after a task and a reset with that before.
func (s *subject) resets(ctx context.Context) error {
	if reason := s.Info().NoReset; reason != nil {
		return fmt.Errorf("its instances cannot be put back: %w", reason)
	}
	return s.every(func(i int, _ *manifest.Transform) error {
		return s.with(ctx, func(in instance) error {
			before := memoryOf(in)
			if _, err := s.run(ctx, in, i, abi.Item{Payload: []byte("x")}); err != nil {
				return ignored(err)
			}
			if !in.Reset() {
				return nil // it has grown, which is told elsewhere
			}
			if at := mismatch(before, memoryOf(in)); at >= 0 {
				return fmt.Errorf("byte %d of its memory differs", at)
			}
			return nil
		})
	})
}

func memoryOf(in instance) []byte {
	mem := in.guest.in.Memory()
	if mem == nil {
		return nil
	}
	all, _ := mem.Read(0, mem.Size())
	return bytes.Clone(all)
}

// mismatch returns where two memories differ, -1 if they do not.
func mismatch(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

func (s *subject) grows(ctx context.Context) error {
	return s.tests(func(i int, test *manifest.SelfTest) error {
		return s.with(ctx, func(in instance) error {
			before := in.Memory()
			if _, err := s.run(ctx, in, i, abi.Item{Payload: test.Input, State: test.State}); err != nil {
				return ignored(err)
			}
			if after := in.Memory(); !in.Reset() && s.Info().NoReset == nil {
				return fmt.Errorf("its memory grew from %d bytes to %d, which costs a new instance: reserve what tasks need", before, after)
			}
			return nil
		})
	})
}

func (s *subject) logs(context.Context) error {
	if n := s.LogDropped(); n > 0 {
		return fmt.Errorf("%d bytes of its log were dropped, which are more than --log-bytes-per-second lets through", n)
	}
	return nil
}
