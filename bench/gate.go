package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// bound is the most that a contender may take, as a multiple of what another one of its
// section takes in the same run.
type bound struct {
	line                      int
	section, contender, other string
	most                      float64
}

// attempts is how often a section is measured before one that exceeds its bounds is refused:
// what disturbs a whole section is no fault of the code's.
const attempts = 3

// readGate reads bounds, a line each: section | contender | other | most.
func readGate(path string) ([]bound, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	var all []bound
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		fields := strings.Split(text, "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s:%d: %d fields, want section | contender | other | most", path, n, len(fields))
		}
		most, err := strconv.ParseFloat(fields[3], 64)
		if err != nil || !(most > 0) {
			return nil, fmt.Errorf("%s:%d: most %q: must be a number above 0", path, n, fields[3])
		}
		all = append(all, bound{n, fields[0], fields[1], fields[2], most})
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no bounds", path)
	}
	return all, nil
}

// ratio returns the median, over the rounds, of what the contender took to what the other
// took.
func (g *bound) ratio(measured []measurement) (float64, error) {
	var samples [2][]float64
	for i, name := range []string{g.contender, g.other} {
		at := slices.IndexFunc(measured, func(m measurement) bool { return m.name == name })
		if at < 0 {
			return 0, fmt.Errorf("line %d: %s has no contender %q", g.line, g.section, name)
		}
		samples[i] = measured[at].samples
	}
	ratios := make([]float64, len(samples[0]))
	for i := range ratios {
		ratios[i] = samples[0][i] / samples[1][i]
	}
	return median(ratios), nil
}

// gate runs the parts that have sections with bounds, and those that exceed them again.
func (b *bench) gate(ctx context.Context, bounds []bound) error {
	parts := []func(context.Context) error{b.cascade, b.interrupts, b.noop, b.streams}
	var exceeded []string
	known := make(map[int]bool)
	for _, part := range parts {
		for range attempts {
			b.measured = make(map[string][]measurement)
			if err := part(ctx); err != nil {
				return err
			}
			exceeded = exceeded[:0]
			for _, g := range bounds {
				measured, ok := b.measured[g.section]
				if !ok {
					continue
				}
				known[g.line] = true
				ratio, err := g.ratio(measured)
				if err != nil {
					return err
				}
				if !(ratio <= g.most) { // also if it is no number
					exceeded = append(exceeded, fmt.Sprintf("%s: %s takes %.2f times as long as %s, the bound is %.2f", g.section, g.contender, ratio, g.other, g.most))
				}
			}
			if len(exceeded) == 0 {
				break
			}
		}
		if len(exceeded) > 0 {
			return fmt.Errorf("%d times in a row:\n%s", attempts, strings.Join(exceeded, "\n"))
		}
	}
	for _, g := range bounds {
		if !known[g.line] {
			return fmt.Errorf("line %d: there is no section %q", g.line, g.section)
		}
	}
	return nil
}
