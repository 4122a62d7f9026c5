package bolt_test

import (
	"context"
	"fmt"
	"os"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/state/bolt"
)

// serve has a host keep its streams in a directory.
func serve(ctx context.Context, dir string) error {
	store, err := bolt.Open(ctx, dir, bolt.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	h, err := host.New(host.Config{PluginDir: "plugins", State: store})
	if err != nil {
		return err
	}
	return h.Close(ctx) // before the store
}

func Example() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	fmt.Println(serve(context.Background(), dir))
	// Output: <nil>
}
