package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/resonhost/resonhost/host"
	kept "github.com/resonhost/resonhost/state"
)

// tasksAStream is how many tasks a stream has between two saves, as 100,000 streams have that do 20,000
// tasks a second and are saved every 10 s.
const tasksAStream = 2

// streams compares tasks that change the states of streams without a store and with one, where each turn
// ends with a save of what it has changed.
func (b *bench) streams(ctx context.Context) error {
	wasm, err := b.cascadeGuest()
	if err != nil {
		return err
	}
	var all []*contender
	var hosts []*streaming
	for _, c := range []struct {
		name, what string
		store      kept.Store
	}{
		{"without a store", "pristine, Stream.Run", nil},
		{"with a store", "the same, and a save to memory every 2 tasks of each stream", kept.NewMemory()},
	} {
		s, err := newStreaming(ctx, c.name, c.what, wasm, c.store)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", c.name, err), closeAll(all))
		}
		hosts, all = append(hosts, s), append(all, s.contender())
	}
	without, with, err := fewestAllocations(ctx, hosts[0], hosts[1])
	if err == nil && with >= without+0.5 {
		err = fmt.Errorf("a task of a stream makes %.2f allocations with a store, and %.2f without", with, without)
	}
	if err != nil {
		return errors.Join(err, closeAll(all))
	}
	if _, err := b.section(ctx, "a task of a stream", all); err != nil {
		return err
	}
	return b.fact("allocations of a task of a stream", "%.0f without a store, %.0f with one", without, with)
}

// fewestAllocations returns how many a task makes, by turns of both, the fewest of each: what else the
// process does only adds to them.
func fewestAllocations(ctx context.Context, one, other *streaming) (ofOne, ofOther float64, err error) {
	ofOne, ofOther = math.Inf(1), math.Inf(1)
	for range 5 {
		a, err := allocations(ctx, &contender{run: one.tasks})
		if err != nil {
			return 0, 0, err
		}
		b, err := allocations(ctx, &contender{run: other.tasks})
		if err != nil {
			return 0, 0, err
		}
		ofOne, ofOther = min(ofOne, a), min(ofOther, b)
	}
	return ofOne, ofOther, nil
}

// streaming has tasks in many streams of a host, each of which changes the state of its stream.
type streaming struct {
	name, what string
	host       *host.Host
	inputs     [][]byte
	at         int // which of inputs comes next in each stream
	saves      bool
}

func newStreaming(ctx context.Context, name, what string, wasm []byte, store kept.Store) (*streaming, error) {
	s := &streaming{name: name, what: what, saves: store != nil}
	for i := range 7 {
		values := state
		values.CoherenceScore = float64(1+i) / 8
		input, err := values.AppendBinary(nil)
		if err != nil {
			return nil, err
		}
		s.inputs = append(s.inputs, input)
	}
	cfg := host.Config{
		Plugins: []host.Source{{Name: "cascade", WASM: wasm}}, MaxStreams: 1 << 20,
		State: store, StateInterval: time.Hour, // a turn saves by itself
	}
	cfg.Defaults.CompileTimeout = time.Hour // on a machine with other work, too
	var err error
	if s.host, err = host.New(cfg); err != nil {
		return nil, err
	}
	return s, s.host.Start(ctx)
}

func (s *streaming) contender() *contender {
	return &contender{name: s.name, what: s.what, run: s.run, close: s.host.Close}
}

// tasks has n tasks.
func (s *streaming) tasks(ctx context.Context, n int) error {
	streams := streamsOf(n)
	for i := range n {
		input := s.inputs[(s.at+i/streams)%len(s.inputs)]
		if _, err := s.host.Stream(strconv.Itoa(i%streams)).Run(ctx, "cascade", input); err != nil {
			return err
		}
	}
	s.at += tasksAStream
	return nil
}

// streamsOf is in how many streams n tasks are.
func streamsOf(n int) int { return (n + tasksAStream - 1) / tasksAStream }

// run has n tasks, and saves what they have changed if there is a store.
func (s *streaming) run(ctx context.Context, n int) error {
	if err := s.tasks(ctx, n); err != nil || !s.saves {
		return err
	}
	before := s.host.Stats().State.Saved
	if err := s.host.SaveState(ctx); err != nil {
		return err
	}
	if saved := s.host.Stats().State.Saved - before; saved < uint64(streamsOf(n)) {
		return fmt.Errorf("%d states were saved of %d that changed", saved, streamsOf(n))
	}
	return nil
}
