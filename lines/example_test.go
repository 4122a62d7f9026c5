package lines_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/lines"
)

func ExampleRun() {
	ctx := context.Background()
	h := hosted.Example(host.Config{}, guesttest.Shout) // has New and Start
	defer h.Close(ctx)
	const input = `"hello"
""
"bye"
`
	summary, err := lines.Run(ctx, h, codec.New(), "shout", strings.NewReader(input), os.Stdout, lines.Options{})
	fmt.Println(summary.Lines, summary.Failed, err)
	// Output:
	// "HELLO!"
	// {"error":{"status":400,"detail":"text: must not be empty","kind":"invalid_argument","field":"text","transform":"shout","plugin":"shout","version":"1.0.0","line":2}}
	// "BYE!"
	// 3 1 <nil>
}
