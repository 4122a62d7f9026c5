package hosttest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/hosttest"
)

// In a test t is the test's own, and dir is ".": that of the plugin.
func Example() {
	const dir = "../testdata/guests/count" // answers with how many tasks its stream has had, and with what it is told to fail
	failures := record(context.Background(), func(t testing.TB) {
		p := hosttest.Build(t, dir, host.Config{Defaults: host.PluginConfig{MemoryLimit: 16 << 20}})
		p.Check(t,
			hosttest.Case{Name: "first", Stream: "a", Output: "\x00\x00\x00\x00\x00\x00\x00\x00", MaxFuel: 100_000},
			hosttest.Case{Name: "second", Stream: "a", Output: "\x01\x00\x00\x00\x00\x00\x00\x00"},
			hosttest.Case{Name: "told to fail", Input: "fail", Error: host.KindFailed, Message: "as was asked"},
		)
		p.Golden(t, "testdata/count.test.ndjson", false)
	})
	fmt.Println(len(failures), "failures")
	// Output: 0 failures
}
