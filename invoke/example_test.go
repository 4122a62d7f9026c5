package invoke_test

import (
	"context"
	"fmt"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/invoke"
)

// A document in JSON becomes a task, and its output JSON.
func ExampleFind() {
	ctx := context.Background()
	h := hosted.Example(host.Config{}, guesttest.Shout) // has New and Start
	defer h.Close(ctx)
	t, err := invoke.Find(h, codec.New(), "shout")
	if err != nil {
		fmt.Println(err)
		return
	}
	client := h.Client("ann", host.PriorityNormal)
	for _, doc := range []string{`"hello"`, `{"text": "hello"}`} {
		task, err := t.Decode([]byte(doc), "")
		if err != nil {
			fmt.Println(err) // the caller's fault, and no task
			continue
		}
		output, err := task.Run(ctx, client)
		if err != nil {
			fmt.Println(err) // a *host.Error
			continue
		}
		answer, err := task.Encode(output)
		fmt.Printf("%s %v\n", answer, err)
	}
	// Output:
	// "HELLO!" <nil>
	// document: must be a string
}
