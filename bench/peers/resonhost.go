package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/bench/peers/guests/transform"
	"github.com/resonhost/resonhost/host"
	nativecascade "github.com/resonhost/resonhost/plugins/cascade"
	nativetick "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
	"github.com/resonhost/resonhost/server"
)

// compileTimeout is for a machine with other work: all contenders compile at the same time, and none is
// measured meanwhile.
const compileTimeout = time.Hour

// hosts are how resonhost is set up.
var hosts = map[string]host.Config{
	kindInline:      {Mode: host.ModeInline},
	kindPristine:    {Defaults: host.PluginConfig{Isolation: host.IsolationPristine}},
	kindPristineOff: {Defaults: host.PluginConfig{Isolation: host.IsolationPristine, Interrupt: host.InterruptOff}},
	kindFrame:       {Defaults: host.PluginConfig{Isolation: host.IsolationFrame}},
	kindFrameOff:    {Defaults: host.PluginConfig{Isolation: host.IsolationFrame, Interrupt: host.InterruptOff}},
	kindShared:      {Defaults: host.PluginConfig{Isolation: host.IsolationShared}},
	kindSharedOff:   {Defaults: host.PluginConfig{Isolation: host.IsolationShared, Interrupt: host.InterruptOff}},
}

// transforms are the transforms of resonhost's plugins by function, with the media type
// of their input.
var transforms = map[string]struct{ name, mediaType string }{
	transform.Noop:    {"noop", "application/octet-stream"},
	transform.Echo:    {"echo", "application/octet-stream"},
	transform.Cascade: {"cascade", cascade.MediaTypeState},
	transform.Tick:    {"tick.node", tick.MediaTypeNodes},
}

func startHost(ctx context.Context, o options, cfg host.Config) (*host.Host, error) {
	cfg.Workers = o.workers
	if cfg.Mode == host.ModeInline {
		cfg.Workers = 0
		cfg.Native = natives()
	} else {
		// As many as work at once, ready from the start, as in the pools of the others.
		cfg.Defaults.MinInstances = o.workers
		cfg.Defaults.CompileTimeout = compileTimeout
		var err error
		if cfg.Plugins, err = o.sources(); err != nil {
			return nil, err
		}
	}
	h, err := host.New(cfg)
	if err != nil {
		return nil, err
	}
	err = h.Start(ctx)
	return h, err
}

// natives are the plugins that sources are guests of.
func natives() []host.Native {
	return []host.Native{nativecascade.New(), nativetick.New(), nativeEcho("noop"), nativeEcho("echo")}
}

// nativeEcho is the plugin of guests/echo, and, given nothing, of guests/noop.
func nativeEcho(name string) host.Native {
	const manifest = `{"name": %[1]q, "version": "1.0.0", "transforms": [
		{"name": %[1]q, "input": "application/octet-stream", "output": "application/octet-stream"}]}`
	return guest.New(fmt.Sprintf(manifest, name), func(t *guest.Task) error {
		t.Output = append(t.Output, t.Input...)
		return nil
	})
}

// sources are the plugins: those that come with resonhost, and echo and noop.
func (o options) sources() ([]host.Source, error) {
	files := []struct{ dir, name string }{{o.plugins, "cascade"}, {o.plugins, "tick"}, {o.guests, "echo"}, {o.guests, "noop"}}
	if o.cold {
		files = files[:1]
	}
	list := make([]host.Source, len(files))
	for i, f := range files {
		wasm, err := o.wasm(f.dir, f.name)
		if err != nil {
			return nil, err
		}
		list[i] = host.Source{Name: f.name, WASM: wasm}
	}
	return list, nil
}

func (o options) wasm(dir, name string) ([]byte, error) {
	wasm, err := os.ReadFile(filepath.Join(dir, name+".wasm"))
	if err != nil {
		return nil, fmt.Errorf("%w; make bench-peers builds it", err)
	}
	return wasm, nil
}

func openHost(ctx context.Context, o options, cfg host.Config) (*opened, error) {
	h, err := startHost(ctx, o, cfg)
	if err != nil {
		return nil, err
	}
	client := h.Client("", host.PriorityNormal)
	return &opened{
		run: func(ctx context.Context, t task, _ []byte) ([]byte, error) {
			return h.Run(ctx, transforms[t.function].name, t.input)
		},
		runAppend: func(ctx context.Context, t task, dst []byte) ([]byte, error) {
			return client.RunAppend(ctx, transforms[t.function].name, dst, t.input)
		},
		batch: func(ctx context.Context, function string, results []host.Result, inputs [][]byte) ([]host.Result, error) {
			results = client.RunBatchInto(ctx, transforms[function].name, results, inputs)
			for i := range results {
				if results[i].Err != nil {
					return nil, results[i].Err
				}
			}
			return results, nil
		},
		close: h.Close,
	}, nil
}

// openForeign runs a plugin of another host's, whose transforms are called after it and its functions.
func openForeign(ctx context.Context, o options, plugin host.Source, isolation host.Isolation) (*opened, error) {
	h, err := host.New(host.Config{
		Plugins: []host.Source{plugin}, Workers: o.workers,
		Defaults: host.PluginConfig{Isolation: isolation, MinInstances: o.workers, CompileTimeout: compileTimeout},
	})
	if err != nil {
		return nil, err
	}
	if err := h.Start(ctx); err != nil {
		return nil, err
	}
	names := make(map[string]string)
	for _, function := range transform.Names {
		names[function] = plugin.Name + "." + function
	}
	return &opened{
		run: func(ctx context.Context, t task, _ []byte) ([]byte, error) {
			return h.Run(ctx, names[t.function], t.input)
		},
		close: h.Close,
	}, nil
}

// openHTTP has server and client in one process, which share its processors.
func openHTTP(ctx context.Context, o options) (*opened, error) {
	h, err := startHost(ctx, o, hosts[kindPristine])
	if err != nil {
		return nil, err
	}
	codecs := resonance.Codecs()
	s, err := server.New(h, codecs, server.Options{})
	if err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	serving := &http.Server{Handler: s.Handler()} //nolint:gosec // its one client is this process
	served := make(chan error, 1)
	go func() { served <- serving.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxOutstanding, MaxConnsPerHost: maxOutstanding}}
	url := "http://" + listener.Addr().String() + "/v1/transforms/"
	post := func(ctx context.Context, name, mediaType string, body, dst []byte) ([]byte, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+name, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", mediaType)
		response, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		defer func() { _ = response.Body.Close() }()
		out := bytes.NewBuffer(dst)
		if _, err := io.Copy(out, response.Body); err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", response.Status, out)
		}
		return out.Bytes(), nil
	}
	return &opened{
		run: func(ctx context.Context, t task, dst []byte) ([]byte, error) {
			to := transforms[t.function]
			return post(ctx, to.name, to.mediaType, t.input, dst)
		},
		lines: func(ctx context.Context, body []byte) ([]byte, error) {
			return post(ctx, transforms[transform.Cascade].name, server.MediaTypeLines, body, nil)
		},
		close: func(ctx context.Context) error {
			client.CloseIdleConnections()
			err := serving.Shutdown(ctx)
			if served := <-served; !errors.Is(served, http.ErrServerClosed) {
				err = errors.Join(err, served)
			}
			return errors.Join(err, h.Close(ctx))
		},
	}, nil
}
