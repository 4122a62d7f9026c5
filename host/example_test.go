package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/state"
)

// exampleHost starts a host with the plugins of those packages. ExampleNew shows how a program
// starts one, and the directory examples has whole programs.
func exampleHost(pkgs ...string) *host.Host {
	return hosted.Example(host.Config{Workers: 2, CacheDir: filepath.Join(exampleDir, "cache")}, pkgs...)
}

// pluginFile writes a plugin to the file NAME.wasm, and returns its path.
func pluginFile(name, pkg string) string {
	file := filepath.Join(exampleDir, guesttest.Name(pkg), name+".wasm")
	wasm, err := guesttest.Built(pkg)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = os.WriteFile(file, wasm, 0o600)
	}
	if err != nil {
		panic(err)
	}
	return file
}

func ExampleNew() {
	ctx := context.Background()
	dir := filepath.Dir(pluginFile("shout", guesttest.Shout)) // has shout.wasm
	h, err := host.New(host.Config{
		PluginDir: dir,
		CacheDir:  filepath.Join(exampleDir, "cache"), // only the first start compiles
		Defaults:  host.PluginConfig{MaxFuel: 100_000_000, CompileTimeout: time.Hour},
	})
	if err != nil {
		fmt.Println(err) // names all fields that are wrong
		return
	}
	if err := h.Start(ctx); err != nil {
		fmt.Println(err) // names all plugins that cannot serve, and why
		return
	}
	out, err := h.Run(ctx, "shout", []byte("hello"))
	fmt.Printf("%s %v\n", out, err)
	fmt.Println(h.Close(ctx))
	// Output:
	// HELLO! <nil>
	// <nil>
}

func ExampleHost_Run() {
	ctx := context.Background()
	h := exampleHost(guesttest.Shout)
	defer h.Close(ctx)
	out, err := h.Run(ctx, "shout", []byte("hello"))
	fmt.Printf("%s %v\n", out, err)

	_, err = h.Run(ctx, "shout", nil)
	fmt.Println(host.KindOf(err), err)

	_, err = h.Run(ctx, "nonsense", nil)
	fmt.Println(host.KindOf(err), errors.Is(err, host.ErrUnknownTransform))
	// Output:
	// HELLO! <nil>
	// invalid_argument shout: invalid_argument: text: must not be empty
	// unknown_transform true
}

func ExampleHost_RunBatch() {
	ctx := context.Background()
	h := exampleHost(guesttest.Shout)
	defer h.Close(ctx)
	for _, r := range h.RunBatch(ctx, "shout", [][]byte{[]byte("hello"), nil, []byte("bye")}) {
		fmt.Printf("%s %v\n", r.Output, r.Err)
	}
	// Output:
	// HELLO! <nil>
	//  shout: invalid_argument: text: must not be empty
	// BYE! <nil>
}

func ExampleClient_RunBatchInto() {
	ctx := context.Background()
	h := exampleHost(guesttest.Shout)
	defer h.Close(ctx)
	c := h.Client("", host.PriorityNormal)
	var results []host.Result // and its memory, from batch to batch
	for _, inputs := range [][][]byte{{[]byte("a"), []byte("bcd")}, {[]byte("ef")}} {
		results = c.RunBatchInto(ctx, "shout", results, inputs)
		for _, r := range results {
			fmt.Printf("%s %v\n", r.Output, r.Err)
		}
	}
	// Output:
	// A! <nil>
	// BCD! <nil>
	// EF! <nil>
}

func ExampleHost_Stream() {
	ctx := context.Background()
	h := exampleHost(guesttest.Shout)
	defer h.Close(ctx)
	s := h.Stream("caller 1")
	first := s.Submit(ctx, "shout.count", []byte("three words here"))
	second := s.Submit(ctx, "shout.count", []byte("two more"))
	for _, p := range []*host.Pending{first, second} {
		words, err := p.Wait()
		fmt.Printf("%s %v\n", words, err)
	}
	// Output:
	// 3 <nil>
	// 5 <nil>
}

func ExampleHost_SaveState() {
	ctx := context.Background()
	store := state.NewMemory() // or one that outlives the process: see packages state/bolt and state/redis
	for range 2 {
		h := hosted.Example(host.Config{State: store}, guesttest.Shout)
		words, err := h.Stream("caller 1").Run(ctx, "shout.count", []byte("three words here"))
		fmt.Printf("%s %v\n", words, err)
		fmt.Println(h.SaveState(ctx)) // as the host does every StateInterval, and when it is closed
		_ = h.Close(ctx)
	}
	// Output:
	// 3 <nil>
	// <nil>
	// 6 <nil>
	// <nil>
}

func ExampleCall() {
	ctx := context.Background()
	h := exampleHost(guesttest.Cascade)
	defer h.Close(ctx)
	result, err := host.Call[cascade.Result](ctx, h, "cascade", &cascade.State{AwarenessLevel: 0.8, PhiValue: 0.618})
	fmt.Printf("%.3f %s %s %v\n", result.HarmonicScore, result.ResonanceQuality, result.DominantEmotion.Emotion, err)

	_, err = host.Call[cascade.Result](ctx, h, "cascade", &cascade.State{AwarenessLevel: 1e13})
	fmt.Println(err)
	// Output:
	// 0.418 emerging joy <nil>
	// cascade: invalid_argument: awarenessLevel: must be 0 or of a magnitude between 1e-12 and 1e12
}

func ExampleHost_Deploy() {
	ctx := context.Background()
	h := exampleHost(guesttest.Shout)
	defer h.Close(ctx)
	show := func() {
		out, err := h.Run(ctx, "shout", []byte("hello"))
		fmt.Printf("version %s answers %s %v\n", h.Plugins()[0].Version, out, err)
	}
	show()
	file := pluginFile("shout", guesttest.Louder) // the file's name is the plugin's: this is a version of it
	source, err := host.ReadSource(ctx, file, host.DefaultMaxModule)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := h.Deploy(ctx, source)
	fmt.Println(result, err)
	show()
	fmt.Println(h.Rollback(ctx, "shout", host.StateRefuse))
	show()

	source.WASM = source.WASM[:1000]
	_, err = h.Deploy(ctx, source)
	var refused *host.LoadError
	fmt.Println(errors.As(err, &refused), refused.Step)
	show()
	// Output:
	// version 1.0.0 answers HELLO! <nil>
	// swapped <nil>
	// version 2.0.0 answers HELLO!!! <nil>
	// <nil>
	// version 1.0.0 answers HELLO! <nil>
	// true inspect
	// version 1.0.0 answers HELLO! <nil>
}

func ExampleHost_Stats() {
	ctx := context.Background()
	h := exampleHost(guesttest.Shout)
	defer h.Close(ctx)
	_, _ = h.Run(ctx, "shout", []byte("hello"))
	s := h.Stats()
	fmt.Println(s.Workers, s.Active, s.QueueDepth, s.Streams)
	for _, p := range s.Plugins {
		for _, t := range p.Transforms {
			fmt.Println(t.Name, t.OK, t.Run.Count)
		}
	}
	// Output:
	// 2 0 0 0
	// shout 1 1
	// shout.count 0 0
	// shout.cheer 0 0
	// shout.rehearse 0 0
}

func ExampleFunctionJSON() {
	ctx := context.Background()
	h, err := host.New(host.Config{
		PluginDir: filepath.Dir(pluginFile("invoice", guesttest.Invoice)), // a plugin that calls "price"
		CacheDir:  filepath.Join(exampleDir, "cache"),
		Defaults: host.PluginConfig{
			CompileTimeout: time.Hour,
			Functions: []host.Function{host.FunctionJSON("price", func(_ context.Context, item string) (cents int, err error) {
				if item != "tea" {
					return 0, fmt.Errorf("%s has no price", item)
				}
				return 250, nil
			})},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := h.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, items := range []string{`{"tea": 2}`, `{"coffee": 1}`} {
		out, err := h.Run(ctx, "invoice", []byte(items))
		fmt.Printf("%s %v\n", out, err)
	}
	fmt.Println(h.Close(ctx))
	// Output:
	// {"cents":500} <nil>
	//  invoice: failed: coffee has no price
	// <nil>
}
