package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/internal/terminal"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version string

func versionCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name:         "version",
		Usage:        "print the version",
		UsageText:    "resonhost version [--json]",
		Flags:        []cli.Flag{jsonFlag("print JSON", new(bool))},
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("version takes no arguments, got %q", c.Args().First())
			}
			return printVersion(std.out, c.Bool("json"))
		},
	}
}

func printVersion(w io.Writer, asJSON bool) error {
	v := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}{currentVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if asJSON {
		return terminal.Encode(w, v)
	}
	_, err := fmt.Fprintf(w, "resonhost %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
	return err
}

// currentVersion is version, or what the toolchain recorded.
func currentVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
