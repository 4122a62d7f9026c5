// Wordcount is a command: it counts the lines, words and bytes of its standard input, or what its
// arguments -l, -w and -c name of them. With -e NAME it answers with a variable, and with -x CODE it
// complains and exits.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(2, err)
	}
	counts := map[string]int{"-l": bytes.Count(input, []byte("\n")), "-w": len(bytes.Fields(input)), "-c": len(input)}
	var out []string
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"-l", "-w", "-c"}
	}
	for len(args) > 0 {
		switch arg := args[0]; {
		case arg == "-e" && len(args) > 1:
			out = append(out, os.Getenv(args[1]))
			args = args[1:]
		case arg == "-x" && len(args) > 1:
			code, err := strconv.Atoi(args[1])
			if err != nil {
				fail(2, err)
			}
			fail(code, fmt.Errorf("%s: cannot count %d bytes", os.Args[0], len(input)))
		default:
			n, ok := counts[arg]
			if !ok {
				fail(2, fmt.Errorf("unknown flag %q", arg))
			}
			out = append(out, strconv.Itoa(n))
		}
		args = args[1:]
	}
	if _, err := fmt.Println(strings.Join(out, " ")); err != nil {
		fail(1, err)
	}
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(code)
}
