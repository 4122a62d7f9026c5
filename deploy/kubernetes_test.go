package deploy

import (
	"fmt"
	"maps"
	"net"
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
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// drainTimeout is the default of --drain-timeout.
const drainTimeout = 30 * time.Second

// manifests are the objects of a file, each decoded as its own type, in which nothing is misspelt.
type manifests struct {
	configs    map[string]*corev1.ConfigMap
	deployment *appsv1.Deployment
	stateful   *appsv1.StatefulSet
	service    *corev1.Service
	budget     *policyv1.PodDisruptionBudget
	network    *networkingv1.NetworkPolicy
}

func objects(t *testing.T, name string) *manifests {
	t.Helper()
	m := &manifests{configs: make(map[string]*corev1.ConfigMap)}
	for i, doc := range strings.Split(read(t, "kubernetes/"+name), "\n---\n") {
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
		case "apps/v1 StatefulSet":
			m.stateful = new(appsv1.StatefulSet)
			into = m.stateful
		case "networking.k8s.io/v1 NetworkPolicy":
			m.network = new(networkingv1.NetworkPolicy)
			into = m.network
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
	m := objects(t, "resonhost.yaml")
	pod := &m.deployment.Spec.Template
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
	checkPods(t, m, pod, nil)
	if m.service.Spec.Ports[0].TargetPort.StrVal != pod.Spec.Containers[0].Ports[0].Name {
		t.Errorf("the service's port is %s", m.service.Spec.Ports[0].TargetPort.StrVal)
	}
	if *m.deployment.Spec.Replicas < 2 || m.budget.Spec.MaxUnavailable.IntVal >= *m.deployment.Spec.Replicas {
		t.Errorf("%d replicas, of which %d may be gone", *m.deployment.Spec.Replicas, m.budget.Spec.MaxUnavailable.IntVal)
	}
}

// checkPods has the parts of a host's pods fit each other. Claims are the volumes that each has of its own.
func checkPods(t *testing.T, m *manifests, pod *corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim) {
	t.Helper()
	c := &pod.Spec.Containers[0]
	checkVolumes(t, m, pod, claims)
	routes := read(t, "../docs/reference/http.md")
	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if p.HTTPGet.Port.StrVal != c.Ports[0].Name || !strings.Contains(routes, "`GET "+p.HTTPGet.Path+"`") {
			t.Errorf("a probe asks %s for %s", p.HTTPGet.Port.StrVal, p.HTTPGet.Path)
		}
	}
	grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	if pause := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second; grace < pause+drainTimeout+10*time.Second {
		t.Errorf("the grace of %v is too short for a pause of %v and a drain of %v", grace, pause, drainTimeout)
	}
	restricted(t, pod)
	if all := pod.Spec.SecurityContext; instructions(t)["USER"][0] != fmt.Sprintf("%d:%d", *all.RunAsUser, *all.RunAsGroup) {
		t.Errorf("the image's user is %s, the pods' %d:%d", instructions(t)["USER"][0], *all.RunAsUser, *all.RunAsGroup)
	}
}

// checkVolumes has what a pod mounts be the volumes that it has.
func checkVolumes(t *testing.T, m *manifests, pod *corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim) {
	t.Helper()
	volumes := make(map[string]bool)
	for _, claim := range claims {
		volumes[claim.Name] = true
	}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && m.configs[v.ConfigMap.Name] == nil && v.ConfigMap.Name != "resonhost-plugins" {
			t.Errorf("there is no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, mount := range pod.Spec.Containers[0].VolumeMounts {
		if !volumes[mount.Name] {
			t.Errorf("there is no volume %s", mount.Name)
		}
		delete(volumes, mount.Name)
	}
	if len(volumes) > 0 {
		t.Errorf("nothing mounts %v", volumes)
	}
}

// restricted holds pods to the profile "restricted" of Kubernetes' standards for pods.
func restricted(t *testing.T, pod *corev1.PodTemplateSpec) {
	t.Helper()
	s, all := pod.Spec.Containers[0].SecurityContext, pod.Spec.SecurityContext
	if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" ||
		!*all.RunAsNonRoot || all.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *pod.Spec.AutomountServiceAccountToken {
		t.Error("the pods may do more than the profile restricted lets them")
	}
}

var gibibytes = regexp.MustCompile(`(?m)^memory_budget: (\d+)GiB$`)

// TestManifestsSettings has the command check the settings of the pods.
func TestManifestsSettings(t *testing.T) {
	m := objects(t, "resonhost.yaml")
	checkSettings(t, m.configs["resonhost"].Data["run.yaml"], &m.deployment.Spec.Template.Spec.Containers[0])
}

// checkSettings has the command check the settings of a container, with what its environment has of state and of a fleet.
func checkSettings(t *testing.T, settings string, c *corev1.Container) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
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
	for _, e := range c.Env {
		switch e.Name {
		case "RESONHOST_NATS", "RESONHOST_FLEET_REPLICAS":
			cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
		case "RESONHOST_STATE_DIR":
			cmd.Env = append(cmd.Env, e.Name+"="+t.TempDir())
		case "RESONHOST_STATE_URL":
			cmd.Env = append(cmd.Env, e.Name+"="+strings.ReplaceAll(e.Value, "$(POD_NAME)", "resonhost-0"))
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// setEnv is the command of stateful.yaml by which state is kept in Redis.
var setEnv = regexp.MustCompile(`(?m)^#\tkubectl set env statefulset/(\S+) (\S+)- '(\w+)=(.*)'$`)

// TestStateful has pods with a store each, on a volume and in Redis.
func TestStateful(t *testing.T) {
	m, state := objects(t, "resonhost.yaml"), objects(t, "stateful.yaml")
	set := state.stateful
	pod := &set.Spec.Template
	checkPods(t, m, pod, set.Spec.VolumeClaimTemplates)
	if state.service.Name != set.Spec.ServiceName || state.service.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("the pods have no names by the service %s", state.service.Name)
	}
	for k, v := range m.deployment.Spec.Template.Labels { // by which the other objects select them
		if pod.Labels[k] != v || set.Spec.Selector.MatchLabels[k] != v || state.service.Spec.Selector[k] != v {
			t.Errorf("the pods, their set or its service are not %s=%s", k, v)
		}
	}
	c := &pod.Spec.Containers[0]
	at := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "RESONHOST_STATE_DIR" })
	claimed := slices.ContainsFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool {
		return v.Name == set.Spec.VolumeClaimTemplates[0].Name && strings.HasPrefix(c.Env[at].Value, v.MountPath+"/")
	})
	if !claimed {
		t.Errorf("%s is not on the volume that is claimed", c.Env[at].Value)
	}
	settings := m.configs["resonhost"].Data["run.yaml"]
	checkSettings(t, settings, c)

	redis := objects(t, "redis.yaml")
	change := setEnv.FindStringSubmatch(read(t, "kubernetes/stateful.yaml"))
	if len(change) != 5 || change[1] != set.Name || change[2] != c.Env[at].Name {
		t.Fatalf("the command for Redis is %q", change)
	}
	c.Env[at] = corev1.EnvVar{Name: change[3], Value: change[4]}
	if want := "redis://" + net.JoinHostPort(redis.service.Name, fmt.Sprint(redis.service.Spec.Ports[0].Port)) + "?"; !strings.HasPrefix(change[4], want) {
		t.Errorf("the URL is %s, want %s", change[4], want)
	}
	if !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
		return strings.Contains(change[4], "name=$("+e.Name+")") && e.ValueFrom != nil
	}) {
		t.Error("pods would have one store")
	}
	checkSettings(t, settings, c)
}

// TestRedis starts a server with the arguments of the pod, and looks at what they have set.
func TestRedis(t *testing.T) {
	m := objects(t, "redis.yaml")
	pod := &m.stateful.Spec.Template
	restricted(t, pod)
	for what, selector := range map[string]map[string]string{
		"the set": m.stateful.Spec.Selector.MatchLabels, "the service": m.service.Spec.Selector, "the policy": m.network.Spec.PodSelector.MatchLabels,
	} {
		if len(selector) == 0 || !maps.Equal(selector, pod.Labels) {
			t.Errorf("%s selects %v", what, selector)
		}
	}
	if from := m.network.Spec.Ingress[0].From[0].PodSelector.MatchLabels; !maps.Equal(from, objects(t, "stateful.yaml").stateful.Spec.Selector.MatchLabels) {
		t.Errorf("the policy lets %v in", from)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	args := slices.Clone(pod.Spec.Containers[0].Args)
	if at := slices.Index(args, "/data"); at < 0 || pod.Spec.Containers[0].VolumeMounts[0].MountPath != args[at] {
		t.Fatalf("the data are not on the volume: %q", args)
	} else {
		args[at] = dir
	}
	cmd := exec.Command(args[0], append(args[1:], "--port", "0", "--unixsocket", socket)...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install Debian's package redis-server", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	ask := func(command string) string {
		t.Helper()
		c, err := net.Dial("unix", socket)
		for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			c, err = net.Dial("unix", socket)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := make([]byte, 1000)
		n := 0
		if _, err = c.Write([]byte(command + "\r\n")); err == nil {
			n, err = c.Read(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(b[:n])), " ")
	}
	for setting, want := range map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always", "maxmemory": "805306368"} {
		if answer := ask("CONFIG GET " + setting); !strings.HasSuffix(answer, " "+want) {
			t.Errorf("%s: %s, want %s", setting, answer, want)
		}
	}
}
