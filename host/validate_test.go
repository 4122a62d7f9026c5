package host_test

import (
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
)

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := host.New(host.Config{
		Workers: -1, QueueCapacity: -1, QueuePolicy: 9, MaxStreams: -3,
		Defaults:  host.PluginConfig{MemoryLimit: 1, Grants: []host.Grant{host.GrantNetwork}},
		Overrides: map[string]host.PluginConfig{"x": {RunTimeout: -time.Second, MinInstances: 2, MaxInstances: 2}},
	})
	for _, want := range []string{
		"PluginDir: must be set", "Workers: must be between 1 and", "QueueCapacity: must be at least 1",
		"QueuePolicy: must be QueueBlock, QueueReject or QueueDropOldest", "MaxStreams: must be at least 1",
		"Defaults.Grants: has GrantNetwork, which is of no use without Config.Fetch", "Defaults.MemoryLimit: must be between 64 KiB and 2 GiB", `Overrides["x"].RunTimeout: must not be negative`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "Instances") {
		t.Errorf("error tells what comes of another:\n%v", err)
	}
}
