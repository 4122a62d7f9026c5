// Caller calls the function that the first word of its input names with the rest, and answers with
// what that returns.
package main

import (
	"bytes"
	"errors"

	"github.com/resonhost/resonhost/abi/guest"
)

func init() {
	guest.Export(guest.New(`{
		"name": "caller", "version": "1.0.0",
		"transforms": [{"name": "caller", "input": "text/plain", "output": "text/plain"}],
		"self_tests": [{"name": "none", "transform": "caller", "input": "", "output": "unknown: there is no function \"\"; the program that embeds the host offers functions by PluginConfig.Functions"}]
	}`, call))
}

func call(t *guest.Task) error {
	name, arg, _ := bytes.Cut(t.Input, []byte(" "))
	result, err := guest.Call(string(name), arg)
	if errors.Is(err, guest.ErrNoFunction) {
		t.Output = append(append(t.Output, "unknown: "...), err.Error()...)
		return nil
	}
	t.Output = append(t.Output, result...)
	return err
}

func main() {}
