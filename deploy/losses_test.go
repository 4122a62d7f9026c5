package deploy

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// lossy are names of metrics that tell of something lost, refused or broken.
var lossy = regexp.MustCompile(`_(coalesced|dropped|evicted|failed|failures|forgotten|limited|lost|mismatches|outage|panics|paused|refused|rerun|retried|skipped|stale|suspended|suspensions|unknown|unreadable|unsaved|unserved)(_|$)`)

// unalarming are those of them that have no alert, with the reason.
var unalarming = map[string]string{
	"resonhost_frames_retried_total":     "the tasks ran again by themselves",
	"resonhost_tasks_rerun_total":        "another version did the tasks",
	"resonhost_plugin_suspensions_total": "resonhost_plugin_suspended has the alert",
	"resonhost_state_unsaved":            "resonhost_state_unsaved_seconds has the alert",
	"resonhost_telemetry_limited_total":  "is what --otlp-traces asks for",
	"resonhost_verify_skipped_total":     "is what the rate of --verify asks for",
}

// TestLossesAlarm has an alert ask for each metric that tells of a loss.
func TestLossesAlarm(t *testing.T) {
	var file ruleFile
	if err := yaml.UnmarshalStrict([]byte(read(t, "prometheus/rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			asked = append(asked, word.FindAllString(r.Expr, -1)...)
		}
	}
	all := metrics(t)
	for name := range all {
		if !lossy.MatchString(name) || strings.HasSuffix(name, "_bucket") || slices.Contains(asked, name) {
			continue
		}
		if unalarming[name] == "" {
			t.Errorf("%s has no alert", name)
		}
	}
	for name := range unalarming {
		if _, ok := all[name]; !ok || slices.Contains(asked, name) {
			t.Errorf("%s is not there, or has an alert", name)
		}
	}
}
