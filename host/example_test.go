package host_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	plugin "github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/resonance/cascade"
)

// The examples run native plugins, so that they need no file. With
// host.Config{PluginDir: "bin/plugins"} the same calls run sandboxed guests.
func exampleHost() *host.Host {
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{plugin.New(), counter()}})
	if err == nil {
		err = h.Start(context.Background())
	}
	if err != nil {
		panic(err)
	}
	return h
}

// counter is a plugin that counts the bytes of a stream.
func counter() *guest.Plugin {
	const manifest = `{"name": "count", "version": "1.0.0", "transforms": [
		{"name": "count", "input": "text/plain", "output": "text/plain", "state_bytes": 20}]}`
	return guest.New(manifest, func(t *guest.Task) error {
		n := len(t.Input)
		if len(t.State) > 0 {
			var before int
			if _, err := fmt.Sscan(string(t.State), &before); err != nil {
				return err
			}
			n += before
		}
		t.NextState = fmt.Append(nil, n)
		t.Output = append(t.Output, t.NextState...)
		return nil
	})
}

func ExampleHost_Run() {
	ctx := context.Background()
	h := exampleHost()
	defer h.Close(ctx)
	out, err := h.Run(ctx, "count", []byte("seven b"))
	fmt.Printf("%s %v\n", out, err)

	_, err = h.Run(ctx, "nonsense", nil)
	fmt.Println(errors.Is(err, host.ErrUnknownTransform), host.KindOf(err))
	// Output:
	// 7 <nil>
	// true unknown_transform
}

func ExampleHost_RunBatch() {
	ctx := context.Background()
	h := exampleHost()
	defer h.Close(ctx)
	for _, r := range h.RunBatch(ctx, "count", [][]byte{[]byte("a"), []byte("bcd")}) {
		fmt.Printf("%s %v\n", r.Output, r.Err)
	}
	// Output:
	// 1 <nil>
	// 3 <nil>
}

func ExampleClient_RunBatchInto() {
	ctx := context.Background()
	h := exampleHost()
	defer h.Close(ctx)
	c := h.Client("", host.PriorityNormal)
	var results []host.Result // and its memory, from batch to batch
	for _, inputs := range [][][]byte{{[]byte("a"), []byte("bcd")}, {[]byte("ef")}} {
		results = c.RunBatchInto(ctx, "count", results, inputs)
		for _, r := range results {
			fmt.Printf("%s %v\n", r.Output, r.Err)
		}
	}
	// Output:
	// 1 <nil>
	// 3 <nil>
	// 2 <nil>
}

func ExampleHost_Stream() {
	ctx := context.Background()
	h := exampleHost()
	defer h.Close(ctx)
	s := h.Stream("caller 1")
	first := s.Submit(ctx, "count", []byte("abc"))
	second := s.Submit(ctx, "count", []byte("de"))
	for _, p := range []*host.Pending{first, second} {
		out, err := p.Wait()
		fmt.Printf("%s %v\n", out, err)
	}
	// Output:
	// 3 <nil>
	// 5 <nil>
}

func ExampleCall() {
	ctx := context.Background()
	h := exampleHost()
	defer h.Close(ctx)
	result, err := host.Call[cascade.Result](ctx, h, "cascade", &cascade.State{AwarenessLevel: 0.8, PhiValue: 0.618})
	fmt.Printf("%.3f %s %s %v\n", result.HarmonicScore, result.ResonanceQuality, result.DominantEmotion.Emotion, err)

	_, err = host.Call[cascade.Result](ctx, h, "cascade", &cascade.State{AwarenessLevel: 1e13})
	fmt.Println(err)
	// Output:
	// 0.418 emerging joy <nil>
	// cascade: invalid_argument: awarenessLevel: must be 0 or of a magnitude between 1e-12 and 1e12
}

func ExampleHost_Stats() {
	ctx := context.Background()
	h := exampleHost()
	defer h.Close(ctx)
	_, _ = h.Run(ctx, "count", []byte("abc"))
	s := h.Stats()
	fmt.Println(s.Workers, s.Active, s.QueueDepth, s.Streams)
	for _, p := range s.Plugins {
		for _, t := range p.Transforms {
			fmt.Println(t.Name, t.OK, t.Run.Count)
		}
	}
	// Output:
	// 1 0 0 0
	// cascade 0 0
	// count 1 1
}
