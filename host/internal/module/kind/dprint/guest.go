package dprint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// configID is by what the plugin knows its one configuration.
const configID = 1

// guest implements [contract.Guest].
type guest struct {
	in        contract.Instance
	formatter *formatter
	call      map[string]contract.Function // the required exports
	// initialize is nil if the guest has none.
	initialize contract.Function
	stack      [2]uint64
	at         uint32 // where the plugin's buffer lies, of schema 3
}

// What format answers.
const (
	unchanged = 0
	changed   = 1
	failed    = 2
)

func newGuest(in contract.Instance, f *formatter) *guest {
	g := &guest{in: in, formatter: f, call: make(map[string]contract.Function, len(f.schema.exports))}
	for _, l := range f.schema.exports {
		g.call[l.Name] = in.Function(l.Name)
	}
	if f.initializes {
		g.initialize = in.Function(abi.ExportInitialize)
	}
	return g
}

// do calls an export, and returns its result, if it has one. Arguments that it does not take are left out.
func (g *guest) do(ctx context.Context, export string, args ...uint32) (uint32, error) {
	for i, arg := range args {
		g.stack[i] = uint64(arg)
	}
	err := g.call[export].Call(ctx, g.stack[:])
	return uint32(g.stack[0]), err
}

// send has the plugin take bytes as what its next call is about.
func (g *guest) send(ctx context.Context, b []byte) error { return g.formatter.schema.send(ctx, g, b) }

// receive returns what an export says that it has shared, until the plugin is called again. bound
// says whether it may be so many bytes.
func (g *guest) receive(ctx context.Context, export string, bound func(n uint64) error) ([]byte, error) {
	n, err := g.do(ctx, export, configID) // for those that take one
	if err == nil {
		err = bound(uint64(n))
	}
	if err != nil {
		return nil, err
	}
	return g.formatter.schema.receive(ctx, g, export, n)
}

// Initialize implements [contract.Guest]. The snapshot has the configuration.
func (g *guest) Initialize(ctx context.Context) error {
	if g.initialize != nil {
		if err := g.initialize.Call(ctx, nil); err != nil {
			return err
		}
	}
	return g.formatter.schema.configure(ctx, g, g.formatter.config)
}

// Describe implements [contract.Guest].
func (g *guest) Describe(ctx context.Context) (*manifest.Manifest, error) {
	want := g.formatter.schema
	v, err := g.do(ctx, want.version)
	if err != nil {
		return nil, err
	}
	if v != want.number {
		return nil, fmt.Errorf("has schema %d of dprint's plugins, the host knows %d and %d: get a newer release of the plugin", v, schema3.number, schema4.number)
	}
	var wrong []struct {
		Property string `json:"propertyName"`
		Message  string `json:"message"`
	}
	if err := g.ask(ctx, "get_config_diagnostics", &wrong); err != nil {
		return nil, err
	}
	var errs []error
	for _, w := range wrong[:min(len(wrong), contract.MaxNamed)] {
		errs = append(errs, g.formatter.file.At("config", "config.%s: the plugin says %.300q", meter.Plain(w.Property), w.Message))
	}
	m := *g.formatter.manifest
	var info struct {
		Version string `json:"version"`
	}
	if err := g.ask(ctx, "get_plugin_info", &info); err != nil {
		return nil, err
	}
	if !g.formatter.versioned && info.Version != "" {
		m.Version = info.Version
	}
	errs = append(errs, g.choosePaths(ctx), m.Validate())
	return &m, errors.Join(errs...)
}

// ask reads the JSON document that an export shares.
func (g *guest) ask(ctx context.Context, export string, into any) error {
	doc, err := g.receive(ctx, export, func(n uint64) error {
		if n > manifest.MaxBytes {
			return contract.Broken("%s shared %d bytes, the limit is %d", export, n, manifest.MaxBytes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, into); err != nil {
		return contract.Broken("%s shared no valid JSON: %v", export, err)
	}
	return nil
}

// choosePaths has transforms without a path of their own format files that the plugin is for.
func (g *guest) choosePaths(ctx context.Context) error {
	var matches struct {
		Extensions []string `json:"fileExtensions"`
		Names      []string `json:"fileNames"`
	}
	if err := g.ask(ctx, g.formatter.schema.matching, &matches); err != nil {
		return err
	}
	path := "file"
	switch {
	case len(matches.Extensions) > 0:
		path = "file." + matches.Extensions[0]
	case len(matches.Names) > 0:
		path = matches.Names[0]
	}
	f := g.formatter
	for i := range f.paths {
		if f.paths[i] == "" {
			f.paths[i] = path
		}
	}
	return nil
}

// Run implements [contract.Guest].
func (g *guest) Run(ctx context.Context, c *contract.Call) error {
	for i := range c.Items {
		if err := g.format(ctx, c, i); err != nil {
			return err
		}
		if err := g.formatter.frames.CheckSum(c); err != nil {
			return err
		}
	}
	return nil
}

// format formats the text of an item.
func (g *guest) format(ctx context.Context, c *contract.Call, item int) error {
	text := c.Items[item].Payload
	if err := g.send(ctx, []byte(g.formatter.paths[c.Transform])); err != nil {
		return err
	}
	if _, err := g.do(ctx, "set_file_path"); err != nil {
		return err
	}
	if err := g.send(ctx, text); err != nil {
		return err
	}
	outcome, err := g.do(ctx, exportFormat, configID)
	if err != nil {
		return err
	}
	got := abi.Result{Payload: text}
	bound := func(n uint64) error { return g.formatter.frames.CheckOutput(exportFormat, n, len(c.Items)) }
	switch outcome {
	case unchanged:
		err = bound(uint64(len(text)))
	case changed:
		got.Payload, err = g.receive(ctx, "get_formatted_text", bound)
	case failed:
		got.Status = abi.StatusFailed
		got.Payload, err = g.receive(ctx, "get_error_text", bound)
	default:
		err = contract.Broken("%s returned %d, and must return 0, 1 or 2", exportFormat, outcome)
	}
	if err != nil {
		return err
	}
	c.Answer(item, &got)
	return nil
}

// Save implements [contract.Guest]: all that is to be kept is in the plugin's memory.
func (g *guest) Save() any { return nil }

// Restore implements [contract.Guest].
func (g *guest) Restore(any) {}
