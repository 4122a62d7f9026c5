//go:build wasip1

// Command command is a program of WASI: its argument is a function of package transform, which it
// runs once, on its standard input.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(function string) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var functions transform.Functions
	output, err := functions.Run(function, input)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(output)
	return err
}
