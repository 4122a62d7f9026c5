package host_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

// companionSettings are of each setting a value that is stricter than that of strictTo, and one that
// is looser.
var companionSettings = map[string][2]string{
	"min_instances": {"0", "2"}, "max_instances": {"1", "3"}, "weight": {"4", "6"}, "idle_timeout": {"30s", "none"},
	"max_calls": {"99", "101"}, "max_age": {"1m0s", "1h"}, "max_memory": {"1MiB", "1GiB"}, "memory_limit": {"1MiB", "1GiB"},
	"run_timeout": {"1s", "3s"}, "init_timeout": {"5s", "11s"}, "max_input": {"4KiB", "9MiB"}, "max_output": {"4KiB", "9MiB"},
	"max_module": {"1MiB", "65MiB"}, "log_bytes_per_second": {"1KiB", "65KiB"}, "isolation": {"fresh", "shared"},
	"interrupt": {"metered", "off"}, "max_fuel": {"1000000", "none"}, "batch_target": {"none", "1ms"}, "grant": {"clock", "clock,network"},
	"compile_timeout": {"30s", "61s"}, "max_call_depth": {"1000", "70000"}, "max_stack": {"1MiB", "17MiB"}, "engine": {"interpreter", "compiler"},
	"max_functions": {"99", "100001"}, "max_globals": {"99", "1001"}, "max_exports": {"99", "1001"}, "max_table": {"99", "100001"},
	"max_types": {"99", "20001"}, "max_imports": {"99", "1001"}, "max_tables": {"9", "11"}, "max_segments": {"99", "200001"},
	"max_elements": {"99", "1000001"}, "max_arity": {"99", "1001"}, "max_locals": {"99", "10001"}, "max_jumps": {"9999", "30001"},
	"max_flow": {"99999", "5000001"}, "max_function_size": {"1MiB", "5MiB"}, "swap_timeout": {"1s", "31s"}, "state_rule": {"refuse", "reset"},
	"canary": {"5%", "none"}, "canary_time": {"2m0s", "1s"}, "canary_errors": {"0.5%", "2%"}, "canary_slowdown": {"1.5", "3"},
	"verify": {"self-tests", "sample:10"}, "verify_suspend": {"true", "false"},
}

// strictTo is what the operator has in front of the defaults.
var strictTo = host.PluginConfig{
	MaxInstances: 2, Weight: 5, MaxCalls: 100, MaxAge: time.Minute * 2, MaxMemory: 2 << 20, RunTimeout: 2 * time.Second, MaxFuel: 2_000_000,
	Grants: []host.Grant{host.GrantClock, host.GrantRandom}, Canary: 0.1, Verify: host.VerifyOff,
}

// TestCompanionSettings has a companion file set each setting to what is stricter than the operator's,
// and to nothing that is looser. The operator can set that.
func TestCompanionSettings(t *testing.T) {
	var names []string
	for _, s := range host.PluginSettings(new(host.PluginConfig)) {
		names = append(names, s.Key())
		if s.Usage == "" || s.Stricter == "" {
			t.Errorf("%s says too little: %+v", s.Name, s)
		}
	}
	if slices.Sort(names); !slices.Equal(names, slices.Sorted(maps.Keys(companionSettings))) {
		t.Fatalf("the settings are %v", names)
	}
	inspect := func(cfg host.Config, key, value string) (host.PluginConfig, error) {
		s := handWritten(t, "upper")
		s.Companion = fmt.Appendf(nil, "settings:\n  %s: %s\n", key, value)
		in, err := host.Inspect(t.Context(), s, cfg)
		return in.Config, err
	}
	for key, values := range companionSettings {
		cfg := host.Config{Workers: 4, Defaults: strictTo, Fetch: fetchNothing}
		switch key {
		case "engine":
			cfg.Defaults.Engine = host.EngineInterpreter
		case "verify_suspend":
			cfg.Defaults.VerifySuspend = true
		case "interrupt": // without which there is no fuel
			cfg.Defaults.MaxFuel = 0
		}
		loose, err := inspect(cfg, key, values[1])
		want := fmt.Sprintf("plugin upper: upper.plugin.yaml:2: settings.%s: %q is looser than the operator's ", key, values[1])
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "the operator can set --"+strings.ReplaceAll(key, "_", "-")) ||
			key != "verify_suspend" && !strings.HasSuffix(err.Error(), ", or plugin_overrides.upper."+key+" (Config.Overrides)") {
			t.Errorf("%s: %s is taken: %+v, err %v", key, values[1], loose, err)
		}
		got, err := inspect(cfg, key, values[0])
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		at := slices.IndexFunc(host.PluginSettings(&got), func(s host.Setting) bool { return s.Key() == key })
		has := host.PluginSettings(&got)[at].Value.String()
		if none := has == "" && (values[0] == "0" || values[0] == "none"); has != values[0] && !none {
			t.Errorf("%s: %s holds, want %s", key, has, values[0])
		}
		var override host.PluginConfig
		if err := host.PluginSettings(&override)[at].Value.Set(values[1]); err != nil {
			t.Fatal(err)
		}
		if key == "verify_suspend" {
			continue // nobody undoes it for one plugin
		}
		cfg.Overrides = map[string]host.PluginConfig{"upper": override}
		if got, err = inspect(cfg, key, values[1]); err != nil {
			t.Errorf("%s, as the operator has it: %v", key, err)
		}
	}
}

// TestCompanionSettingsRefused has what is wrong with settings told by the line.
func TestCompanionSettingsRefused(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"kind: extism\nrun_timeout: 5s", ":2: run_timeout is a setting of the host: put it under settings:, at the top of the file"},
		{"transforms:\n- {name: upper, max_fuel: 5}", ":2: max_fuel is a setting of the host: put it under settings:, at the top of the file"},
		{"settings: {timeout_ms: 5}", `:1: settings has no member "timeout_ms"; put it at the top of the file`},
		{"settings: {state: 5}", `:1: settings has no member "state"; put it under transforms:, in the transform that it is of`},
		{"settings: {run_timout: 1s}", `:1: settings has no member "run_timout"; did you mean "run_timeout"?`},
		{"settings:\n  run_timeout: 1", `:2: settings.run_timeout: "1": must be a positive duration such as 1m30s or 250ms`},
		{"settings:\n  run_timeout: 2h", `:2: settings.run_timeout: "2h" is looser than the operator's 1h0m0s, the most that a plugin may have of its own, and`},
		{"settings:\n  memory_limit: 1KiB", `:2: settings.memory_limit: must be between 64 KiB and 2 GiB`},
		{"settings:\n  grant: network", `:2: settings.grant: "network" is looser than the operator's none, and`},
		{"settings:\n  weight: 2\n  grant: all\n  isolation: shared", ":2: settings.weight: \"2\" is looser than the operator's 1, and"},
		{"settings: [a]", ":1: settings must have lines of the form name: value"},
		{"settings: {weight: [1]}", ":1: settings.weight must have a single value"},
	} {
		s := handWritten(t, "upper")
		s.Companion = []byte(c.file)
		_, err := host.Inspect(t.Context(), s, host.Config{})
		if e := (*host.LoadError)(nil); err == nil || !errors.As(err, &e) || e.Step != host.StepInspect || !strings.HasPrefix(err.Error(), "plugin upper: upper.plugin.yaml"+c.want) {
			t.Errorf("%q: %v, want %s", c.file, err, c.want)
		}
		if n := strings.Count(c.file, "\n  "); n == 3 && strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("%q: %v, want a line for each", c.file, err)
		}
	}
	s := handWritten(t, "hostile")
	s.Companion = []byte("settings: {memory_limit: 1MiB}")
	_, err := host.Inspect(t.Context(), s, host.Config{})
	if want := "the limit is 1048576: raise settings.memory_limit of its companion file (PluginConfig.MemoryLimit)"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("too strict: %v, want %s", err, want)
	}
	s = handWritten(t, "program")
	s.Companion = []byte("settings: {run_timeout: 1s}\ntimeout_ms: 5\ntransforms:\n  - {name: program, timeout: 1s}")
	_, err = host.Inspect(t.Context(), s, host.Config{})
	for _, want := range []string{":2: timeout_ms: settings.run_timeout is for all", ":4: transforms[0].timeout: settings.run_timeout is for all"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("two times of a task: %v, want %s", err, want)
		}
	}
}

// TestCompanionSettingsHold has tasks run by them, and a change of the file alone swapped in. What is
// shared among versions, such as how many tasks run at once, follows the version that serves.
func TestCompanionSettingsHold(t *testing.T) {
	s := handWritten(t, "hostile")
	h := hosted.Start(t, host.Config{Plugins: []host.Source{s}, Workers: 4, Defaults: host.PluginConfig{Weight: 2}})
	deploy := func(file string, want host.DeployResult) {
		t.Helper()
		s.Companion = []byte(file)
		if got, err := h.Deploy(t.Context(), s); err != nil || got != want {
			t.Fatalf("%q: %s, err %v", file, got, err)
		}
	}
	fails := func(transform, input, want string) {
		t.Helper()
		if _, err := h.Run(t.Context(), transform, []byte(input)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", transform, err, want)
		}
	}
	deploy("settings: {run_timeout: 20ms, memory_limit: 8MiB, max_instances: 1, max_input: 1KiB}", host.DeploySwapped)
	fails("hostile.spin", "!", "ran longer than its run timeout of 20ms (RunTimeout, settings.run_timeout of its companion file)")
	fails("hostile.grow", "!", "the limit is 8388608 (MemoryLimit, settings.memory_limit of its companion file)")
	fails("hostile.echo", strings.Repeat("x", 2000), "the limit is 1024 (MaxInput, settings.max_input of its companion file)")
	if p := h.Stats().Plugins[0]; p.MaxInstances != 1 {
		t.Errorf("%d instances", p.MaxInstances)
	}
	inputs := [][]byte{make([]byte, 600), make([]byte, 600), make([]byte, 600)}
	for i, r := range h.RunBatch(t.Context(), "hostile.echo", inputs) {
		if r.Err != nil {
			t.Errorf("task %d of a batch: %v", i, r.Err)
		}
	}
	deploy("settings: {run_timeout: 30ms, max_fuel: 100000}", host.DeploySwapped)
	fails("hostile.spin", "!", "fuel")
	if p := h.Stats().Plugins[0]; p.MaxInstances != 4 {
		t.Errorf("%d instances", p.MaxInstances)
	}
	deploy("settings: {run_timeout: 30ms, max_fuel: 100000}", host.DeployUnchanged)
}

// TestCompanionCanary has a version ask for a trial that the operator does not.
func TestCompanionCanary(t *testing.T) {
	s := handWritten(t, "upper")
	h := hosted.Start(t, host.Config{Plugins: []host.Source{s}})
	s.Companion = []byte("settings: {canary: 50%, canary_time: 1h}")
	if got, err := h.Deploy(t.Context(), s); err != nil || got != host.DeployCanary {
		t.Fatalf("%s, err %v", got, err)
	}
	if c := h.Plugins()[0].Canary; c == nil || c.Share != 0.5 {
		t.Errorf("%+v", c)
	}
	s.Companion = nil
	if got, err := h.Deploy(t.Context(), s); err != nil || got != host.DeployUnchanged || h.Plugins()[0].Canary != nil {
		t.Errorf("%s, err %v, %+v", got, err, h.Plugins()[0].Canary)
	}
}

// TestTimeoutNamesItsOrigin has the error of a task that ran too long say what allows it more.
func TestTimeoutNamesItsOrigin(t *testing.T) {
	for file, want := range map[string]string{
		"transforms: [{name: program, timeout: 20ms}]": "20ms (the timeout of its manifest or companion file, before which RunTimeout, --run-timeout, goes)",
		"timeout_ms: 21":                "21ms (the timeout of its manifest or companion file, before which RunTimeout, --run-timeout, goes)",
		"settings: {run_timeout: 22ms}": "22ms (RunTimeout, settings.run_timeout of its companion file)",
		"version: '1'":                  "1s (RunTimeout, --run-timeout)",
	} {
		s := handWritten(t, "program")
		s.Companion = []byte("arguments: [spin]\n" + file)
		cfg := host.Config{Plugins: []host.Source{s}}
		if file == "version: '1'" {
			cfg.Defaults.RunTimeout = time.Second
		}
		_, err := hosted.Start(t, cfg).Run(t.Context(), "program", nil)
		if host.KindOf(err) != host.KindTimeout || !strings.HasSuffix(err.Error(), "ran longer than its run timeout of "+want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}
