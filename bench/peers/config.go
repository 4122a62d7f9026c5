package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// config is what is measured, and how.
type config struct {
	o         options
	self      string // this program
	node      string
	piscina   string // directory of main.mjs
	vectors   string
	benchtime time.Duration
	rounds    int
	smoke     bool
	only      string
	report    string // directory of REPORT.md and report.svg, "" for none
	data      string // file of the measurements, "" for none
	from      string // file of measurements to be reported, "" to measure
	readme    string // file with a table to be replaced, "" for none

	progress io.Writer
}

func (c *config) flags(f *flag.FlagSet) {
	f.StringVar(&c.node, "node", "node", "the Node.js to run Piscina with")
	f.StringVar(&c.piscina, "piscina", "peers/piscina", "the directory of Piscina's part, after npm ci")
	f.StringVar(&c.vectors, "vectors", "../testdata/vectors", "the directory of recorded results")
	f.DurationVar(&c.benchtime, "benchtime", 2*time.Second, "how long each contender has a load altogether")
	f.IntVar(&c.rounds, "rounds", 5, "how many turns each contender has")
	f.BoolVar(&c.smoke, "smoke", false, "check results, measure in milliseconds, and report nothing")
	f.StringVar(&c.only, "only", "", "measure contenders whose names match the regular expression alone")
	f.StringVar(&c.report, "report", ".", "the directory in which REPORT.md and report.svg are written; none if empty")
	f.StringVar(&c.data, "data", "", "write the measurements to the file, as JSON")
	f.StringVar(&c.from, "from", "", "report the measurements of the file, and measure nothing")
	f.StringVar(&c.readme, "readme", "", "replace the short table of a README, between two remarks")
}

func (c *config) validate() error {
	if c.rounds < 1 || c.benchtime <= 0 || c.o.workers < 1 {
		return errors.New("-rounds, -benchtime and -workers must be positive")
	}
	if _, err := regexp.Compile(c.only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	return nil
}

// run measures, or reads what was measured, and reports.
func (c *config) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	c.progress = stderr
	if c.smoke {
		c.rounds, c.benchtime = 1, 20*time.Millisecond
	}
	var m *measurements
	if c.from != "" {
		b, err := os.ReadFile(c.from)
		if err != nil {
			return err
		}
		m = new(measurements)
		if err := json.Unmarshal(b, m); err != nil {
			return fmt.Errorf("%s: %w", c.from, err)
		}
	} else if m, err = c.measure(ctx); err != nil {
		return err
	}
	files := m.render()
	if c.smoke {
		_, err = fmt.Fprintf(stdout, "%d contenders have the same results as %d recorded ones and %d computed natively\n", len(m.Contenders), m.Recorded, m.Checked-m.Recorded)
		return err
	}
	if err := c.save(m); err != nil {
		return err
	}
	return c.write(m, files, stdout)
}

// nodeVersion checks the Node.js that is to run Piscina.
func (c *config) nodeVersion(ctx context.Context) (string, error) {
	const install = "install nodejs (20 or newer) and npm, of Debian for instance, or name one with -node"
	out, err := exec.CommandContext(ctx, c.node, "--version").Output() //nolint:gosec // what the user says
	if err != nil {
		return "", fmt.Errorf("Piscina needs Node.js: %w; %s", err, install)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 {
		return "", fmt.Errorf("Node.js is %s; %s", version, install)
	}
	if _, err := os.Stat(c.piscina + "/node_modules/piscina/package.json"); err != nil {
		return "", fmt.Errorf("%w; make bench-peers installs it with npm ci", err)
	}
	return version, nil
}

// save writes the measurements to the file that they are to be in.
func (c *config) save(m *measurements) error {
	if c.data == "" {
		return nil
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(c.data, append(b, '\n'), 0o644)
}
