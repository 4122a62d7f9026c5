// Codec gives a plugin's own media type a form in JSON.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/invoke"
)

func main() {
	plugins := flag.String("plugins", "bin/examples/shout", "directory of plugins, which make examples fills")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "codec:", err)
		os.Exit(1)
	}
}

// cheer is the JSON of application/vnd.example.cheer: a byte, the number of marks, and the text.
type cheer struct {
	Text  string `json:"text"`
	Marks int    `json:"marks"`
}

// Validate has codec.Unmarshal refuse what the payload has no room for.
func (c *cheer) Validate() error {
	if c.Marks < 0 || c.Marks > 255 {
		return &abi.FieldError{Field: "marks", Rule: "must be within 0 and 255"}
	}
	return nil
}

func decode(doc []byte) (codec.Call, error) {
	var c cheer
	if err := codec.Unmarshal(doc, &c); err != nil {
		return codec.Call{}, err
	}
	encode := func(output []byte) ([]byte, error) { return codec.Marshal(string(output)) }
	return codec.Call{Payload: append([]byte{byte(c.Marks)}, c.Text...), Encode: encode}, nil
}

func run(ctx context.Context, plugins, cache string) (err error) {
	codecs := codec.New()
	codecs.Register("application/vnd.example.cheer", "text/plain", codec.Func(decode))
	h, err := host.New(host.Config{PluginDir: plugins, CacheDir: cache})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()

	// Packages server and lines take the same codecs.
	transform, err := invoke.Find(h, codecs, "shout.cheer")
	if err != nil {
		return err
	}
	task, err := transform.Decode([]byte(`{"text": "hurrah", "marks": 3}`), "")
	if err != nil {
		return err
	}
	output, err := task.Run(ctx, h.Client("", host.PriorityNormal))
	if err != nil {
		return err
	}
	answer, err := task.Encode(output)
	fmt.Printf("%s\n", answer)
	_, refused := transform.Decode([]byte(`{"text": "hurrah", "marks": 300}`), "")
	fmt.Println(refused)
	return err
}
