package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// drainTimeout is the default of --drain-timeout.
const drainTimeout = 30 * time.Second

// manifests are the objects of a file, each decoded as its own type, in which nothing is misspelt.
type manifests struct {
	configs    map[string]*corev1.ConfigMap
	deployment *appsv1.Deployment
	service    *corev1.Service
	budget     *policyv1.PodDisruptionBudget
}

func objects(t *testing.T) *manifests {
	t.Helper()
	m := &manifests{configs: make(map[string]*corev1.ConfigMap)}
	for i, doc := range strings.Split(read(t, "kubernetes/resonhost.yaml"), "\n---\n") {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatalf("document %d: %v", i, err)
		}
		var into any
		switch head.APIVersion + " " + head.Kind {
		case "v1 ConfigMap":
			into = new(corev1.ConfigMap)
		case "apps/v1 Deployment":
			m.deployment = new(appsv1.Deployment)
			into = m.deployment
		case "v1 Service":
			m.service = new(corev1.Service)
			into = m.service
		case "policy/v1 PodDisruptionBudget":
			m.budget = new(policyv1.PodDisruptionBudget)
			into = m.budget
		default:
			t.Fatalf("document %d is a %s %s", i, head.APIVersion, head.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
			t.Fatalf("document %d, %s: %v", i, head.Kind, err)
		}
		if c, ok := into.(*corev1.ConfigMap); ok {
			m.configs[c.Name] = c
		}
	}
	return m
}

// TestManifests has the objects fit each other.
func TestManifests(t *testing.T) {
	m := objects(t)
	pod := m.deployment.Spec.Template
	for what, selector := range map[string]map[string]string{
		"the deployment": m.deployment.Spec.Selector.MatchLabels, "the service": m.service.Spec.Selector, "the budget": m.budget.Spec.Selector.MatchLabels,
		"the spread": pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if len(selector) == 0 {
			t.Errorf("%s selects nothing", what)
		}
		for k, v := range selector {
			if pod.Labels[k] != v {
				t.Errorf("%s selects %s=%s, and the pods have %q", what, k, v, pod.Labels[k])
			}
		}
	}
	c := &pod.Spec.Containers[0]
	volumes := make(map[string]bool)
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && m.configs[v.ConfigMap.Name] == nil && v.ConfigMap.Name != "resonhost-plugins" {
			t.Errorf("there is no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, mount := range c.VolumeMounts {
		if !volumes[mount.Name] {
			t.Errorf("there is no volume %s", mount.Name)
		}
		delete(volumes, mount.Name)
	}
	if len(volumes) > 0 {
		t.Errorf("nothing mounts %v", volumes)
	}
	routes := read(t, "../docs/reference/http.md")
	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if p.HTTPGet.Port.StrVal != c.Ports[0].Name || !strings.Contains(routes, "`GET "+p.HTTPGet.Path+"`") {
			t.Errorf("a probe asks %s for %s", p.HTTPGet.Port.StrVal, p.HTTPGet.Path)
		}
	}
	if m.service.Spec.Ports[0].TargetPort.StrVal != c.Ports[0].Name {
		t.Errorf("the service's port is %s", m.service.Spec.Ports[0].TargetPort.StrVal)
	}
	grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	if pause := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second; grace < pause+drainTimeout+10*time.Second {
		t.Errorf("the grace of %v is too short for a pause of %v and a drain of %v", grace, pause, drainTimeout)
	}
	if *m.deployment.Spec.Replicas < 2 || m.budget.Spec.MaxUnavailable.IntVal >= *m.deployment.Spec.Replicas {
		t.Errorf("%d replicas, of which %d may be gone", *m.deployment.Spec.Replicas, m.budget.Spec.MaxUnavailable.IntVal)
	}
	// The profile "restricted" of Kubernetes' standards for pods.
	s, all := c.SecurityContext, pod.Spec.SecurityContext
	if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" ||
		!*all.RunAsNonRoot || all.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *pod.Spec.AutomountServiceAccountToken {
		t.Error("the pods may do more than the profile restricted lets them")
	}
	if user := instructions(t)["USER"][0]; user != fmt.Sprintf("%d:%d", *all.RunAsUser, *all.RunAsGroup) {
		t.Errorf("the image's user is %s, the pods' %d:%d", user, *all.RunAsUser, *all.RunAsGroup)
	}
}

var gibibytes = regexp.MustCompile(`(?m)^memory_budget: (\d+)GiB$`)

// TestManifestsSettings has the command check the settings of the pods.
func TestManifestsSettings(t *testing.T) {
	m := objects(t)
	settings := m.configs["resonhost"].Data["run.yaml"]
	file := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &m.deployment.Spec.Template.Spec.Containers[0]
	var budget int64
	if b := gibibytes.FindStringSubmatch(settings); b == nil {
		t.Error("the settings have no memory_budget")
	} else {
		fmt.Sscan(b[1], &budget)
	}
	if limit := c.Resources.Limits.Memory().Value(); limit < budget<<30+512<<20 {
		t.Errorf("a limit of %d bytes is too low for a budget of %d GiB", limit, budget)
	}
	if got := strings.Join(c.Args, " "); got != "run --config /etc/resonhost/run.yaml" {
		t.Errorf("the pods do %s", got)
	}
	// What the image sets in the environment would go before the file.
	env := os.Environ()
	for v := range strings.FieldsSeq(strings.Join(instructions(t)["ENV"], " ")) {
		name, _, _ := strings.Cut(v, "=")
		cleared := false
		for _, e := range c.Env {
			cleared = cleared || e.Name == name && e.Value == ""
		}
		if !cleared {
			t.Errorf("the image's %s goes before the file", name)
		}
	}
	// Callers are asked who they are, since the address is not loopback.
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("prometheus sha256:"+strings.Repeat("0a", 32)+" scopes=read\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "RESONHOST_TOKENS" && e.Value != "" }) {
		t.Error("the pods have no RESONHOST_TOKENS")
	}
	cmd := exec.Command(binary(t), "config", "check", "--config", file, "--plugins", t.TempDir())
	cmd.Env = append(slices.Clone(env), "RESONHOST_TOKENS="+tokens)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
