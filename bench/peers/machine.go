package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// peerModules are those whose versions matter, by the name of the peer.
var peerModules = [][2]string{
	{"wazero", "github.com/tetratelabs/wazero"},
	{"Extism Go SDK", "github.com/extism/go-sdk"},
	{"Extism Go PDK", "github.com/extism/go-pdk"},
	{"waPC", "github.com/wapc/wapc-go"},
	{"go-plugin", "github.com/hashicorp/go-plugin"},
	{"gRPC", "google.golang.org/grpc"},
}

// loadAverage is that of the last minute, 0 where there is none.
func loadAverage() float64 {
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(average), " ")
	load, _ := strconv.ParseFloat(first, 64) // 0 of what is none
	return load
}

// idle reports whether by its load average a machine has nothing else to do.
func idle(load float64, cores int) bool { return load <= float64(cores)/4 }

// awaitIdle gives the machine a few minutes to get over what it did before, such as
// compiling what is measured.
func awaitIdle(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	defer stop()
	again := time.NewTicker(5 * time.Second)
	defer again.Stop()
	for !idle(loadAverage(), runtime.NumCPU()) {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// describe says where it is measured. It fails if Piscina cannot run, and is to.
func (c *config) describe(ctx context.Context, all []contender) (m machine, err error) {
	m = machine{
		CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH,
		Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly),
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.OS += " " + strings.TrimSpace(string(release))
	}
	if kb, err := strconv.ParseFloat(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 64); err == nil {
		m.MemoryGB = kb / (1 << 20)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, peer := range peerModules {
			for _, d := range info.Deps {
				if d.Path == peer[1] {
					m.Modules = append(m.Modules, []string{peer[0], d.Version})
				}
			}
		}
	}
	for _, k := range all {
		if !isNode(k.Process) || m.Node != "" {
			continue
		}
		if m.Node, err = c.nodeVersion(ctx); err != nil {
			return m, err
		}
		b, err := os.ReadFile(filepath.Join(c.piscina, "node_modules/piscina/package.json"))
		if err != nil {
			return m, err
		}
		var manifest struct {
			Version string `json:"version"`
		}
		if err := json.Unmarshal(b, &manifest); err != nil {
			return m, err
		}
		m.Modules = append(m.Modules, []string{"Piscina", "v" + manifest.Version})
	}
	return m, nil
}

// field is a value of a file of lines "name: value"; "" if it has none.
func field(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
