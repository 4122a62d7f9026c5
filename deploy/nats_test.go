package deploy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// The commands of nats.yaml by which servers get their users, and hosts join them.
var (
	usersSecret = regexp.MustCompile(`(?m)^#\tkubectl create secret generic (\S+) --from-file=(\S+)=(\S+)$`)
	urlSecret   = regexp.MustCompile(`(?m)^#\tkubectl create secret generic (\S+) --from-literal=(\w+)=(\S+)$`)
	fromSecret  = regexp.MustCompile(`(?m)^#\tkubectl set env deployment/(\S+) --from=secret/(\S+)$`)
	replicas    = regexp.MustCompile(`(?m)^#\tkubectl set env deployment/(\S+) (\w+)=(\d+)$`)
)

// TestNATS has three servers which only hosts reach. Tests of package fleet start servers of their configuration.
func TestNATS(t *testing.T) {
	m := objects(t, "nats.yaml")
	set, pod := m.stateful, &m.stateful.Spec.Template
	restricted(t, pod)
	checkVolumes(t, m, pod, set.Spec.VolumeClaimTemplates)
	for what, selector := range map[string]map[string]string{
		"the set": set.Spec.Selector.MatchLabels, "the service": m.service.Spec.Selector, "the budget": m.budget.Spec.Selector.MatchLabels,
		"the policy": m.network.Spec.PodSelector.MatchLabels, "the spread": pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if len(selector) == 0 || !maps.Equal(selector, pod.Labels) {
			t.Errorf("%s selects %v", what, selector)
		}
	}
	if *set.Spec.Replicas != 3 || m.budget.Spec.MaxUnavailable.IntVal != 1 {
		t.Errorf("%d servers, of which %d may be gone", *set.Spec.Replicas, m.budget.Spec.MaxUnavailable.IntVal)
	}
	if s := m.service.Spec; m.service.Name != set.Spec.ServiceName || s.ClusterIP != corev1.ClusterIPNone || !s.PublishNotReadyAddresses {
		t.Errorf("servers do not find each other by the service %s", m.service.Name)
	}
	ports := make(map[string]int32)
	for _, p := range pod.Spec.Containers[0].Ports {
		ports[p.Name] = p.ContainerPort
	}
	for _, p := range m.service.Spec.Ports {
		if ports[p.TargetPort.StrVal] != p.Port {
			t.Errorf("the service's port %d is %s", p.Port, p.TargetPort.StrVal)
		}
	}
	hosts := objects(t, "resonhost.yaml").deployment.Spec.Template.Labels
	for port, from := range map[string]map[string]string{"nats": hosts, "cluster": pod.Labels, "monitor": nil} {
		var in []map[string]string
		for _, rule := range m.network.Spec.Ingress {
			if slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.StrVal == port }) {
				for _, peer := range rule.From {
					in = append(in, peer.PodSelector.MatchLabels)
				}
			}
			if len(rule.From) == 0 || len(rule.Ports) == 0 {
				t.Error("the policy has a rule for all")
			}
		}
		if from == nil && in != nil || from != nil && (len(in) != 1 || !maps.Equal(in[0], from)) {
			t.Errorf("the policy lets %v reach the port %s", in, port)
		}
	}
}

// TestNATSCommands has the commands of nats.yaml fit the objects, and the settings that they make be what the command takes.
func TestNATSCommands(t *testing.T) {
	m, text := objects(t, "nats.yaml"), read(t, "kubernetes/nats.yaml")
	var secret string
	for _, v := range m.stateful.Spec.Template.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				secret = s.Secret.Name
			} else if m.configs[s.ConfigMap.Name] == nil {
				t.Errorf("there is no ConfigMap %s", s.ConfigMap.Name)
			}
		}
	}
	users := usersSecret.FindStringSubmatch(text)
	if len(users) != 4 || users[1] != secret || !strings.Contains(m.configs["resonhost-nats"].Data["nats.conf"], "\ninclude "+users[2]) {
		t.Fatalf("the command for users is %q", users)
	}
	if _, err := os.Stat(filepath.Join("kubernetes", users[3])); err != nil {
		t.Error(err)
	}
	host := objects(t, "resonhost.yaml")
	url, from, count := urlSecret.FindStringSubmatch(text), fromSecret.FindStringSubmatch(text), replicas.FindStringSubmatch(text)
	if len(url) != 4 || len(from) != 3 || len(count) != 4 || from[1] != host.deployment.Name || count[1] != host.deployment.Name || from[2] != url[1] {
		t.Fatalf("the commands for hosts are %q, %q and %q", url, from, count)
	}
	for i := range *m.stateful.Spec.Replicas {
		if server := fmt.Sprintf("@%s-%d.%s:4222", m.stateful.Name, i, m.service.Name); !strings.Contains(url[3], server) {
			t.Errorf("hosts do not reach %s", server)
		}
	}
	if count[2] != "RESONHOST_FLEET_REPLICAS" || count[3] != fmt.Sprint(*m.stateful.Spec.Replicas) {
		t.Errorf("%s is %s", count[2], count[3])
	}
	c := &host.deployment.Spec.Template.Spec.Containers[0]
	c.Env = append(c.Env, corev1.EnvVar{Name: url[2], Value: url[3]}, corev1.EnvVar{Name: count[2], Value: count[3]})
	checkSettings(t, host.configs["resonhost"].Data["run.yaml"], c)
}
