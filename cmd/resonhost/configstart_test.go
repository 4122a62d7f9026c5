package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/certtest"
	"github.com/resonhost/resonhost/internal/value"
)

// badStarts have, for each setting of run, values with which it does not start. At @ is the directory of the
// test. A setting that is not here takes only what it can use: no text that is not a value of it is taken.
func badStarts() map[string][]string {
	return map[string][]string{
		"fleet":       {"a b"},
		"host-name":   {"a\nb"},
		"nats-creds":  {"@/none"},
		"nats-nkey":   {"@/none"},
		"nats-ca":     {"@/none", "@/file"},
		"nats-dir":    {"@/file", "@/dangling"},
		"nats-listen": {"0.0.0.0:0", "127.0.0.1:70000", "nowhere"},
		"listen": {
			"127.0.0.1:70000", "127.0.0.1:-1", "8080", "127.0.0.1:frob", "192.0.2.1:0", "nowhere.invalid:0", "",
		},
		"plugins":       {"@/none", "@/file", "@/loop"},
		"tokens":        {"@/none", "@/bad", "@"},
		"tls-cert":      {"@/none", "@/file"},
		"tls-key":       {"@/none", "@/file", "@/other.key"},
		"tls-client-ca": {"@/none", "@/file"},
		"audit":         {"@", "@/none/audit", "@/file/audit", "@/dangling/audit"},
		"state-dir":     {"@/file", "@/file/state", "@/dangling"},
		"state-url":     {"http://localhost", "redis://", "redis://localhost:70000"},
		"state-key":     {"@/none", "@/bad", "@"},
		"cache-dir":     {"@/file", "@/file/cache", "@/dangling"},
		"trust":         {"@/none", "@/bad", "@"},
		"private-hosts": {"a b", "http://x"},
		"otlp":          {"localhost:4318", "http://localhost:4318/v1/traces", "http://localhost:70000", "ftp://localhost", "http://localhost/?x"},
	}
}

// TestConfigCheckIsTheStart holds config check to the start of run: what fails there on its settings, fails here,
// by the name of the same flag.
func TestConfigCheckIsTheStart(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string]string{"file": "x", "bad": "\x00 \xff"} {
		if err := os.WriteFile(at(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"dangling": "nowhere", "loop": "loop"} {
		if err := os.Symlink(to, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"plugins", "cache", "state"} {
		if err := os.Mkdir(at(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ca := certtest.New(t)
	pair, another := ca.Server(t, "1"), ca.Server(t, "2")
	certtest.Write(t, dir, map[string][]byte{"tls.crt": pair.Chain, "tls.key": pair.Key, "other.key": another.Key})
	good := map[string]string{"listen": "127.0.0.1:0", "plugins": at("plugins"), "cache-dir": at("cache")}
	for _, s := range newOptions().ofRun() {
		bad, listed := badStarts()[s.name]
		if _, toggle := s.value.(value.Toggle); toggle {
			continue
		}
		if !listed {
			bad = []string{"\x00"}
		}
		for _, v := range bad {
			v = strings.ReplaceAll(v, "@", dir)
			args := argsWith(dir, good, s.name, v)
			checked, code := said(t, append([]string{"config", "check"}, args...))
			if code != 2 || !strings.Contains(checked, "--"+s.name) && !strings.Contains(checked, v) {
				t.Errorf("--%s %q: config check ends with %d: %s", s.name, v, code, checked)
			}
			if text, code := said(t, append([]string{"run"}, args...)); code == 0 {
				t.Errorf("--%s %q: run starts: %s", s.name, v, text)
			}
		}
	}
	if left, err := filepath.Glob(at("*/.resonhost*")); err != nil || len(left) > 0 {
		t.Errorf("config check leaves %v, %v", left, err)
	}
	var args []string
	for name, v := range good {
		args = append(args, "--"+name+"="+v)
	}
	args = append(args, "--audit="+at("audit"), "--state-dir="+at("new/state"), "--tls-cert="+at("tls.crt"), "--tls-key="+at("tls.key"))
	if text, code := said(t, append([]string{"config", "check"}, args...)); code != 0 {
		t.Errorf("what is right: %d %s", code, text)
	}
	if _, err := os.Lstat(at("audit")); err == nil {
		t.Error("config check made the audit file")
	}
}

// argsWith are arguments with which a setting has a value, beside the good ones and what it cannot be without.
func argsWith(dir string, good map[string]string, name, v string) (args []string) {
	settings := maps.Clone(good)
	switch name {
	case "state-key":
		settings["state-dir"] = filepath.Join(dir, "state")
	case "tls-cert", "tls-key", "tls-client-ca":
		settings["tls-cert"], settings["tls-key"] = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	}
	settings[name] = v
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "--"+name+"="+settings[name])
	}
	return args
}

// said runs a command that ends by itself, and returns what it says and its exit code.
func said(t *testing.T, args []string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, stderr bytes.Buffer
	code := run(ctx, append([]string{"resonhost"}, args...), strings.NewReader(""), &out, &stderr)
	if ctx.Err() != nil {
		return "it serves", 0
	}
	return stderr.String(), code
}
