package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/server"
)

func ExampleNew() {
	ctx := context.Background()
	h := hosted.Example(host.Config{CacheDir: compiled}, guesttest.Shout) // has New and Start
	defer h.Close(ctx)
	s, err := server.New(h, codec.New(), server.Options{MaxBody: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	// In a program it is the Handler of an http.Server, see also Listener and ConnContext.
	ts := httptest.NewServer(s.Handler())
	defer ts.Close()

	response, err := ts.Client().Post(ts.URL+"/v1/transforms/shout", "application/json", strings.NewReader(`"hello"`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Printf("%s, %v: %s", response.Status, err, body)
	// Output:
	// 200 OK, <nil>: "HELLO!"
}
