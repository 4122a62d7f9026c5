package network

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/resonance/tick"
)

// core is what all nodes of a network share: fields, patterns and metrics.
type core struct {
	mu sync.Mutex // guards all below
	// state has fields and patterns in the order in which they came; they are never
	// removed.
	state            tick.NetworkState
	fields, patterns names
	// touchedFields and touchedPatterns are those that were set since the running
	// network tick began: what it brings does not hold for them.
	touchedFields, touchedPatterns map[int]bool
}

// names numbers names.
type names struct {
	list  []string
	index map[string]int
}

func (n *names) of(name string) (i int, isNew bool) {
	if i, ok := n.index[name]; ok {
		return i, false
	}
	if n.index == nil {
		n.index = make(map[string]int)
	}
	n.index[name] = len(n.list)
	n.list = append(n.list, name)
	return len(n.list) - 1, true
}

// fill sets the core to a valid network, in the order of names.
func (c *core) fill(network tick.Network) {
	c.state.Metrics = network.Metrics
	for _, name := range slices.Sorted(maps.Keys(network.Fields)) {
		c.fields.of(name)
		c.state.Fields = append(c.state.Fields, network.Fields[name])
	}
	for _, name := range slices.Sorted(maps.Keys(network.Patterns)) {
		c.patterns.of(name)
		c.state.Patterns = append(c.state.Patterns, network.Patterns[name])
	}
}

// network returns the core by names.
func (c *core) network() tick.Network {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := tick.Network{
		Metrics: c.state.Metrics,
		Fields:  make(map[string]tick.Field, len(c.fields.list)), Patterns: make(map[string]tick.Pattern, len(c.patterns.list)),
	}
	for i, name := range c.fields.list {
		n.Fields[name] = c.state.Fields[i]
	}
	for i, name := range c.patterns.list {
		n.Patterns[name] = c.state.Patterns[i]
	}
	return n
}

// strengths are those of all patterns.
func (c *core) strengths() []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.strengthsLocked(nil)
}

func (c *core) strengthsLocked(list []float64) []float64 {
	list = slices.Grow(list[:0], len(c.state.Patterns))
	for i := range c.state.Patterns {
		list = append(list, c.state.Patterns[i].Strength)
	}
	return list
}

// raise adds to patterns what chunks raised them by, in the order of chunks. Each
// chunk raised what was there when the round began: as all steps are at least 0 and
// the sum ends at 1, that is what they would have done one after the other, but for
// the rounding.
func (c *core) raise(results []result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range results {
		for _, d := range r.deltas {
			p := &c.state.Patterns[d.pattern]
			p.Strength = min(1, p.Strength+d.by)
		}
	}
}

// find returns the numbers of patterns.
func (c *core) find(patterns []string) ([]int, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	found := make([]int, len(patterns))
	for i, name := range patterns {
		at, ok := c.patterns.index[name]
		if !ok {
			return nil, &abi.FieldError{
				Field: fmt.Sprintf("harmonic_patterns[%d]", i),
				Rule:  fmt.Sprintf("the network has no pattern %q", name),
			}
		}
		found[i] = at
	}
	return found, nil
}

// patternNames are the names of patterns, by their numbers.
func (c *core) patternNames() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.patterns.list) // of which no element changes
}

// advanceNetwork has the core advanced by the plugin.
func (n *Network) advanceNetwork(d *dispatcher, r *round) error {
	c := &r.graph.core
	c.mu.Lock()
	c.state.NowMS = r.nowMS
	input, err := c.state.AppendBinary(d.input[:0])
	d.before = c.strengthsLocked(d.before)
	fields, patterns := len(c.state.Fields), len(c.state.Patterns)
	c.touchedFields, c.touchedPatterns = make(map[int]bool), make(map[int]bool)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	d.input = input
	output, err := n.run(d, r, TransformNetwork)
	if err != nil {
		return err
	}
	if err = d.state.UnmarshalBinary(output); err == nil {
		err = d.state.Validate()
	}
	if err == nil && (len(d.state.Fields) != fields || len(d.state.Patterns) != patterns) {
		err = errOtherShape
	}
	if err != nil {
		return fmt.Errorf("%s: %w", TransformNetwork, err)
	}
	c.merge(&d.state, d.before)
	return nil
}

// merge takes over what a network tick brought, but for what was set since it began.
// What nodes raised patterns by since is added: before is what they were.
func (c *core) merge(state *tick.NetworkState, before []float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Metrics = state.Metrics
	for i, f := range state.Fields {
		if !c.touchedFields[i] {
			c.state.Fields[i] = f
		}
	}
	for i, p := range state.Patterns {
		if c.touchedPatterns[i] {
			continue
		}
		raised := c.state.Patterns[i].Strength - before[i]
		p.Strength = min(1, max(0, p.Strength+raised))
		c.state.Patterns[i] = p
	}
}

// State returns the fields, patterns and metrics.
func (n *Network) State() tick.Network { return n.graph.Load().core.network() }

// SetField adds a field, or replaces that of the name. Its error is an
// [*abi.FieldError].
func (n *Network) SetField(name string, f tick.Field) error {
	if err := checkNetwork(tick.Network{Fields: map[string]tick.Field{name: f}}); err != nil {
		return err
	}
	return n.change(func(c *core) error {
		return set(&c.fields, &c.state.Fields, c.touchedFields, "fields", name, f)
	})
}

// SetPattern adds a pattern, or replaces that of the name. Its strength is within 0
// and 1, as nodes drive it. Its error is an [*abi.FieldError].
func (n *Network) SetPattern(name string, p tick.Pattern) error {
	if err := checkNetwork(tick.Network{Patterns: map[string]tick.Pattern{name: p}}); err != nil {
		return err
	}
	return n.change(func(c *core) error {
		return set(&c.patterns, &c.state.Patterns, c.touchedPatterns, "patterns", name, p)
	})
}

// change has f change what fields, patterns and metrics are.
func (n *Network) change(f func(c *core) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &n.graph.Load().core
	c.mu.Lock()
	defer c.mu.Unlock()
	return f(c)
}

// set adds a value to a list, or replaces that of the name. touched, if a tick is under way, takes
// note of which.
func set[T any](names *names, list *[]T, touched map[int]bool, what, name string, value T) error {
	if _, ok := names.index[name]; !ok && len(names.list) == tick.MaxPatterns {
		return tooMany(what)
	}
	i, isNew := names.of(name)
	if isNew {
		var zero T
		*list = append(*list, zero)
	}
	(*list)[i] = value
	if touched != nil {
		touched[i] = true
	}
	return nil
}

func tooMany(what string) error {
	return &abi.FieldError{Field: what, Rule: fmt.Sprintf("must be at most %d", tick.MaxPatterns)}
}

// checkNetwork checks a network as its messages do, and that patterns are as nodes
// drive them.
func checkNetwork(network tick.Network) error {
	r := tick.NetworkRequest{Network: network}
	if err := r.Validate(); err != nil {
		if e, ok := err.(*abi.FieldError); ok { //nolint:errorlint // Validate wraps nothing
			e.Field = strings.TrimPrefix(e.Field, "network.")
		}
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(network.Patterns)) {
		if s := network.Patterns[name].Strength; !(s >= 0 && s <= 1) {
			return &abi.FieldError{Field: "patterns." + name + ".harmonic_strength", Rule: "must be between 0 and 1"}
		}
	}
	return nil
}

// Initial is the state in which the system that resonhost replaces begins: seven fields
// and seven patterns, all at 0 and active, and metrics that are not at 0.
func Initial() tick.Network {
	n := tick.Network{
		Metrics: tick.Metrics{
			NetworkCoherence: 0.95, HarmonicAlignment: 0.92, FrequencyStability: 0.98, ResonanceAmplification: 0.89,
			SynchronizationAccuracy: 0.96, FieldStrength: 0.94, NodeConnectivity: 0.91, ResonanceEvolution: 0.88,
			HarmonicConvergence: 0.93, ConsciousnessResonance: 0.97, UniversalAlignment: 0.9, TranscendentHarmonics: 0.85,
		},
		Fields: make(map[string]tick.Field), Patterns: make(map[string]tick.Pattern),
	}
	for _, name := range [...]string{
		"consciousness", "harmonic", "emotional_resonance", "empathy_amplification", "synchronization", "transcendent", "universal",
	} {
		n.Fields[name+"_field"] = tick.Field{State: tick.Active}
	}
	for _, name := range [...]string{
		"golden_ratio", "fibonacci", "sacred_geometry", "transcendent", "universal", "emotional_depth", "compassion",
	} {
		n.Patterns[name+"_harmonics"] = tick.Pattern{State: tick.Active}
	}
	return n
}
