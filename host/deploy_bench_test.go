package host_test

import (
	"slices"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// BenchmarkDeploy swaps two versions of cascade that were compiled before.
func BenchmarkDeploy(b *testing.B) {
	wasm := guesttest.Build(b, guesttest.Cascade)
	version := func(n int) host.Source { // with a section that nobody reads
		return host.Source{Name: "cascade", WASM: append(slices.Clone(wasm), 0, 3, 1, 'v', byte(n))}
	}
	h := hosted.Start(b, host.Config{Plugins: []host.Source{version(0)}, CacheDir: b.TempDir()})
	deploy(b, h, version(1), host.DeploySwapped)
	n := 0
	for b.Loop() {
		deploy(b, h, version(n%2), host.DeploySwapped)
		n++
	}
}
