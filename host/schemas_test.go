package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// held is the plugin "swap" with an input schema, and what else its manifest has.
func held(tb testing.TB, mediaType, schema, more string) host.Source {
	return host.Source{Name: "swap", WASM: guesttest.Swap(tb, guesttest.Version{Tag: "v1", Manifest: fmt.Sprintf(
		`{"name": "swap", "version": "1", "transforms": [{"name": "swap", "input": %q, "output": "application/json", "input_schema": %s, "state_bytes": 16}]%s}`,
		mediaType, schema, more)})}
}

const atLeast3 = `{"properties": {"n": {"minimum": 3}}, "required": ["n"]}`

// breaks tells whether an error is of an input that breaks a schema there.
func breaks(err error, field, rule string) bool {
	e, f := (*host.Error)(nil), (*abi.FieldError)(nil)
	return errors.As(err, &e) && e.Kind == host.KindInvalidArgument && e.Transform == "swap" && e.Plugin == "swap" && e.Message == field+": "+rule &&
		errors.As(err, &f) && f.Field == field && f.Rule == rule
}

// TestSchemaHolds has tasks refused whose JSON breaks the schema, before a guest sees them, however
// they come.
func TestSchemaHolds(t *testing.T) {
	for _, mediaType := range []string{"application/json", "application/vnd.swap+json"} {
		h := hosted.Start(t, host.Config{Plugins: []host.Source{held(t, mediaType, atLeast3, "")}})
		good, bad, none := []byte(`{"n": 3}`), []byte(`{"n": 2}`), []byte(`{"n"`)
		const rule = "must be at least 3, is 2"
		if out, err := h.Run(t.Context(), "swap", good); err != nil || string(out) != guesttest.SwapTag("v1") {
			t.Errorf("%q, err %v", out, err)
		}
		if _, err := h.Run(t.Context(), "swap", bad); !breaks(err, "/n", rule) {
			t.Errorf("Run: err %v", err)
		}
		if _, err := h.Run(t.Context(), "swap", none); !breaks(err, "document", "is cut off") {
			t.Errorf("Run of what is no JSON: err %v", err)
		}
		if _, err := h.Stream("s").Run(t.Context(), "swap", bad); !breaks(err, "/n", rule) {
			t.Errorf("Stream.Run: err %v", err)
		}
		if r := h.Submit(t.Context(), "swap", bad).Result(); !breaks(r.Err, "/n", rule) {
			t.Errorf("Submit: err %v", r.Err)
		}
		for _, inputs := range [][][]byte{{bad, good, none, good}, {bad}, {}} {
			results := h.RunBatch(t.Context(), "swap", inputs)
			for i, input := range inputs {
				r := results[i]
				if ok := bytes.Equal(input, good); ok && (r.Err != nil || string(r.Output) != guesttest.SwapTag("v1")) || !ok && host.KindOf(r.Err) != host.KindInvalidArgument {
					t.Errorf("RunBatch of %d, %d: %q, err %v", len(inputs), i, r.Output, r.Err)
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Run(ctx, "swap", []byte("["+strings.Repeat("1,", 20_000)+"1]")); err == nil {
			t.Error("a context that has ended: no error")
		}
		counts := h.Stats().Plugins[0].Transforms[0].Errors[host.KindInvalidArgument]
		if counts != 7 {
			t.Errorf("%d tasks are counted as invalid, want 7", counts)
		}
		if got, err := h.Lookup("swap"); err != nil || string(got.InputSchema) != atLeast3 || got.CheckInput(t.Context(), bad) == nil || got.CheckOutput(t.Context(), bad) != nil {
			t.Errorf("%s, err %v", got.InputSchema, err)
		}
	}
}

// TestSchemaQueues has inputs held to a schema by workers: large ones of a tenant wait in its queue, which
// bounds them, and neither another tenant nor an urgent task waits for all of them.
func TestSchemaQueues(t *testing.T) {
	const tasks = 20
	events := event.New(0)
	h, free := occupied(t, func(cfg *host.Config) {
		cfg.QueueCapacity, cfg.QueuePolicy, cfg.QueueTimeout, cfg.Events = tasks, host.QueueReject, 10*time.Minute, events
		cfg.Plugins = append(cfg.Plugins, held(t, "application/json", atLeast3, ""))
	})
	told := events.Subscribe(2*tasks, event.KindTaskCompleted)
	defer told.Close()
	a := h.Client("a", host.PriorityNormal)
	large := []byte(`{"m": [` + strings.Repeat("1,", 180_000) + `1], "n": 2}`)
	var all []*host.Pending
	for range tasks {
		all = append(all, a.Submit(t.Context(), "swap", large))
	}
	if got := h.Stats().QueueDepth; got != tasks {
		t.Errorf("%d wait, want %d", got, tasks)
	}
	if _, err := a.Run(t.Context(), "swap", large); !errors.Is(err, host.ErrQueueFull) {
		t.Errorf("one more of the tenant: err %v", err)
	}
	if r := a.RunBatch(t.Context(), "swap", [][]byte{large, large}); !errors.Is(r[0].Err, host.ErrQueueFull) || !errors.Is(r[1].Err, host.ErrQueueFull) {
		t.Errorf("two more of it: %v", r)
	}
	small := []byte(`{"n": 3}`)
	normal, urgent := h.Client("b", host.PriorityNormal).Submit(t.Context(), "swap", small), h.Client("c", host.PriorityUrgent).Submit(t.Context(), "swap", small)
	free()
	for _, p := range []*host.Pending{normal, urgent} {
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
	for _, p := range all {
		if _, err := p.Wait(); !breaks(err, "/n", "must be at least 3, is 2") {
			t.Errorf("err %v", err)
		}
	}
	place := make(map[string]int) // at which of the tasks a tenant's last one was
	for i := range tasks + 3 {    // with the one that has occupied the worker
		e, err := told.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		place[e.Body.(event.TaskCompleted).Tenant] = i
	}
	if place["c"] > 2 || place["b"] > tasks/2 || place["a"] != tasks+2 {
		t.Errorf("the urgent task ended as the %dth, the other tenant's as the %dth", place["c"], place["b"])
	}
}

// TestSchemaEnds has tasks whose inputs are to be held to a schema end with their contexts, as they wait
// and as a large document is read.
func TestSchemaEnds(t *testing.T) {
	h, free := occupied(t, func(cfg *host.Config) {
		cfg.QueueTimeout = time.Millisecond
		cfg.Plugins = append(cfg.Plugins, held(t, "application/json", atLeast3, ""))
	})
	none := []byte(`{"n"`)
	if _, err := h.Run(t.Context(), "swap", none); host.KindOf(err) != host.KindTimeout || !strings.Contains(err.Error(), "QueueTimeout") {
		t.Errorf("err %v", err)
	}
	for i, r := range h.RunBatch(t.Context(), "swap", [][]byte{none, none}) {
		if host.KindOf(r.Err) != host.KindTimeout {
			t.Errorf("%d of a batch: err %v", i, r.Err)
		}
	}
	free()
}

// TestSchemaOfAnotherForm leaves payloads be that are no JSON themselves, for whoever made them of
// JSON to check.
func TestSchemaOfAnotherForm(t *testing.T) {
	h := hosted.Start(t, host.Config{Plugins: []host.Source{held(t, "text/plain", `{"minLength": 3}`, "")}})
	if _, err := h.Run(t.Context(), "swap", []byte("a")); err != nil {
		t.Error(err)
	}
	got, err := h.Lookup("swap")
	if err != nil || got.CheckInput(t.Context(), []byte(`"a"`)) == nil {
		t.Errorf("its JSON is not checked, err %v", err)
	}
}

// TestSchemaSwaps has tasks held to the schema of the version that serves.
func TestSchemaSwaps(t *testing.T) {
	h := hosted.Start(t, host.Config{Plugins: []host.Source{held(t, "application/json", atLeast3, "")}})
	doc := []byte(`{"n": 2}`)
	if _, err := h.Run(t.Context(), "swap", doc); host.KindOf(err) != host.KindInvalidArgument {
		t.Errorf("err %v", err)
	}
	for schema, want := range map[string]host.Kind{`true`: "", `null`: "", `{"required": ["m"]}`: host.KindInvalidArgument} {
		if _, err := h.Deploy(t.Context(), held(t, "application/json", schema, "")); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Run(t.Context(), "swap", doc); err != nil && host.KindOf(err) != want || (err != nil) != (want != "") {
			t.Errorf("after a swap to %s: err %v", schema, err)
		}
	}
}

// TestSchemaRefused has what is wrong with schemas, and with self-tests that break them, said at load.
func TestSchemaRefused(t *testing.T) {
	test := func(input, output string) string {
		return fmt.Sprintf(`, "self_tests": [{"name": "one", "transform": "swap", "input": %q, "output": %q}]`, input, output)
	}
	for _, c := range []struct {
		source host.Source
		step   host.Step
		want   string
	}{
		{held(t, "application/json", `{"type": "strin"}`, ""), host.StepDescribe, "manifest: transforms[0].input_schema: is no valid JSON Schema: at '/type'"},
		{held(t, "application/json", `{"$ref": "https://example.com/s"}`, ""), host.StepDescribe, `manifest: transforms[0].input_schema: refers to "https://example.com/s", and nothing is fetched`},
		{held(t, "application/json", `7`, ""), host.StepDescribe, "manifest: transforms[0].input_schema: must be a JSON Schema, an object"},
		{held(t, "application/json", atLeast3, test(`{"n": 1}`, guesttest.SwapTag("v1"))), host.StepSelfTest, `self-test 0 "one" of swap: its input breaks input_schema: /n: must be at least 3, is 1`},
		{held(t, "text/plain", `true, "output_schema": {"type": "number"}`, test("x", guesttest.SwapTag("v1"))), host.StepSelfTest, `self-test 0 "one" of swap: its output breaks output_schema: document: is not valid JSON`},
	} {
		_, err := host.Inspect(t.Context(), c.source, host.Config{})
		if e := (*host.LoadError)(nil); !errors.As(err, &e) || e.Step != c.step || !strings.Contains(err.Error(), c.want) {
			t.Errorf("err %v, want %s: %s", err, c.step, c.want)
		}
	}
	source := held(t, "application/json", atLeast3, "")
	source.Tests = []byte(`{"name": "low", "transform": "swap", "input": {"n": 1}, "error": "invalid_argument"}`)
	if _, err := host.Inspect(t.Context(), source, host.Config{}); err != nil {
		t.Error(err)
	}
}

// TestSchemaOfCompanion has what is wrong with a companion file's schema told by the line, and a schema
// refused that no bytes or no text pass.
func TestSchemaOfCompanion(t *testing.T) {
	for transform, want := range map[string]string{
		`input: application/json, input_schema: {type: 7}`:                 `program.plugin.yaml:2: transforms[0].input_schema: is no valid JSON Schema: at '/type'`,
		`input_schema: {type: object, required: [a]}`:                      `program.plugin.yaml:2: transforms[0].input_schema: no payload of application/octet-stream can pass it, since such a payload is a string or {"base64": …} in JSON: say that the transform's media type is application/json`,
		`output_schema: {type: [number, "null"]}`:                          `program.plugin.yaml:2: transforms[0].output_schema: no payload of application/octet-stream can pass it`,
		`output: text/plain, output_schema: {type: object}`:                `program.plugin.yaml:2: transforms[0].output_schema: no payload of text/plain can pass it, since such a payload is a string in JSON`,
		`input_schema: {type: object, required: [base64]}`:                 "",
		`input_schema: {type: [string, object], required: [a]}`:            "",
		`input_schema: {maxLength: 3}`:                                     "",
		`input: application/json, input_schema: {type: object}`:            "",
		`output: text/plain, output_schema: {type: string, maxLength: 10}`: "",
	} {
		s := handWritten(t, "program")
		s.Companion = []byte("transforms:\n  - {name: program, " + transform + "}")
		_, err := host.Inspect(t.Context(), s, host.Config{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), "plugin program: "+want)) {
			t.Errorf("%s: %v, want %s", transform, err, want)
		}
	}
}

// TestSchemaAfterRefusal has no document read of a task that is refused anyway, nor one that is too large.
func TestSchemaAfterRefusal(t *testing.T) {
	h, free := occupied(t, func(cfg *host.Config) {
		cfg.QueueCapacity, cfg.QueuePolicy = 1, host.QueueReject
		cfg.Plugins = append(cfg.Plugins, held(t, "application/json", atLeast3, ""))
		cfg.Defaults.MaxInput = 1 << 10
	})
	none := []byte(`{"n"`)
	run := map[string]func(input []byte) error{
		"Run":      func(input []byte) error { _, err := h.Run(t.Context(), "swap", input); return err },
		"RunBatch": func(input []byte) error { return h.RunBatch(t.Context(), "swap", [][]byte{input})[0].Err },
	}
	check := func(name string, input []byte, kind host.Kind, is error, message string) {
		t.Helper()
		for by, run := range run {
			err := run(input)
			if host.KindOf(err) != kind || is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), message) {
				t.Errorf("%s, %s: err %v", name, by, err)
			}
		}
	}
	waits := h.Submit(t.Context(), "swap", []byte(`{"n": 3}`))
	check("full", none, host.KindQueueFull, host.ErrQueueFull, "queue is full")
	free()
	if _, err := waits.Wait(); err != nil {
		t.Error(err)
	}
	check("not paused", none, host.KindInvalidArgument, nil, "is cut off")
	check("too large", bytes.Repeat(none, 1<<10), host.KindInvalidArgument, nil, "MaxInput")
	if err := h.Pause(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	check("paused", none, host.KindUnavailable, host.ErrPaused, "paused")
	for _, p := range h.Stats().Plugins {
		if p.Name == "swap" && (p.Transforms[0].Errors[host.KindQueueFull] != 2 || p.Transforms[0].Errors[host.KindUnavailable] != 2) {
			t.Errorf("%+v", p.Transforms[0].Errors)
		}
	}
}
