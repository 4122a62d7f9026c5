package main

import (
	"fmt"
	"slices"

	"github.com/resonhost/resonhost/internal/rounded"
)

// finding is a figure beside what it should be.
type finding struct {
	what, got, aim string
	met            bool
}

// Contenders that findings compare.
const (
	ofNative     = "native"
	ofPristine   = "pristine"
	ofFrame      = "frame, batched"
	ofShared     = "shared"
	ofPiscina    = "Piscina, 8 octaves"
	ofOnce       = "Piscina, octaves once"
	ofAppended   = "shared, appended"
	ofExtism     = "Extism"
	ofExtismHere = "Extism's plugin, pristine"
	ofWapc       = "waPC"
	ofWapcShared = "waPC's guest, shared"
	ofWapcFresh  = "waPC's guest, pristine"
	ofCommand    = "a command"
	nanosecondsS = 1e9

	ofCommandPerCall = "a command, a new instance each"

	ofPristineInto  = "pristine, appended"
	ofPristineBatch = "pristine, batched"
	ofFrameInto     = "frame, batched, appended"
	ofAppendedSIMD  = "shared, appended, SIMD guest"
	ofPristineSIMD  = "pristine, SIMD guest"
	ofFrameSIMD     = "frame, batched, SIMD guest"
)

// findings leaves out what was not measured.
func (m *measurements) findings() []finding {
	l := &findings{measurements: m}
	cascades := m.Closed[full]
	l.times("full cascade, pristine, throughput to Piscina's with eight octaves", cascades, ofPristine, ofPiscina, 25)
	l.times("full cascade, pristine, throughput to Piscina's with octaves once", cascades, ofPristine, ofOnce, 8)
	l.times("full cascade, frames of 64, throughput to Piscina's with eight octaves", cascades, ofFrame, ofPiscina, 50)
	l.halfLoad()
	l.toNative()
	l.noops()
	l.twoWorkers()
	l.manyCallers()
	if in := m.Alone[ticks]; in[ofNative] != nil && in[ofPristine] != nil {
		got := ratio(in[ofNative].Rate, in[ofPristine].Rate)
		l.add(got <= 2, "tick of 4096 nodes, pristine to native, one caller", rounded.Beside(got, 2, 2)+" ×", "≤ 2 ×")
	}
	l.millionNodes()
	return l.list
}

// findings are a list in the making.
type findings struct {
	*measurements

	list []finding
}

func (l *findings) add(met bool, what, got, aim string) {
	l.list = append(l.list, finding{what, got, aim, met})
}

// times adds how often one contender's throughput has another's.
func (l *findings) times(what string, in map[string]*closedResult, one, other string, least float64) {
	if in[one] == nil || in[other] == nil {
		return
	}
	got, cpu := ratio(in[one].Rate, in[other].Rate), ratio(in[other].CPU, in[one].CPU)
	l.add(got >= least, what, fmt.Sprintf("%s × (by processor time %.1f ×)", rounded.Beside(got, least, 1), cpu), fmt.Sprintf("≥ %g ×", least))
}

// halfLoad adds latencies at half load.
func (l *findings) halfLoad() {
	for _, c := range []struct{ workload, name, how string }{
		{full, ofPristine, ", with the kernel's own time slices"},
		{fullShort, ofPristine, ", with those that resonhost run asks for"},
		{full, ofPristineInto, ", into the caller's memory, with the kernel's own time slices"},
		{fullShort, ofPristineInto, ", into the caller's memory, with those that resonhost run asks for"},
	} {
		o := l.Open[c.workload][c.name]
		if o == nil {
			continue
		}
		p99, beside := median(o.P99), ""
		if p := l.Open[c.workload][ofPiscina]; p != nil {
			beside = fmt.Sprintf(" (Piscina at half of its own: %s)", short(median(p.P99)))
		}
		l.add(p99 <= 1e6, "full cascade, pristine, p99 at half load"+c.how, shortBeside(p99, 1e6)+beside, "≤ 1 ms")
	}
}

// toNative adds what a cascade takes to what it takes without a sandbox.
func (l *findings) toNative() {
	for _, c := range []struct{ name, beside, what string }{
		{ofFrameInto, ofFrame, "full cascade, frames of 64, metered, with the host around it, to native, both into the caller's memory, one caller"},
		{ofAppended, ofShared, "full cascade, shared, one by one, metered, with the host around it, to native, both into the caller's memory, one caller"},
		{ofAppendedSIMD, ofPristineSIMD, "full cascade, shared, one by one, the guest in Rust with SIMD, to native, likewise"},
	} {
		in := l.Alone[full]
		if in[c.name] == nil || in[c.beside] == nil || in[ofNative] == nil {
			continue
		}
		got := ratio(in[ofNative].Rate, in[c.name].Rate)
		l.add(got <= 1.8, c.what, fmt.Sprintf("%s × (%s, into new memory: %.2f ×)", rounded.Beside(got, 1.8, 2), c.beside, ratio(in[ofNative].Rate, in[c.beside].Rate)), "≤ 1.8 ×")
	}
}

// noops adds what a task costs that does next to nothing, here and with others.
func (l *findings) noops() {
	alone := l.Alone[noop]
	for _, c := range []struct {
		name string
		most float64
	}{{ofPristine, 10_000}, {ofShared, 1500}} {
		if r := alone[c.name]; r != nil {
			got := nanosecondsS / median(r.Rate)
			l.add(got <= c.most, "no-op, "+c.name+", one caller", shortBeside(got, c.most), "≤ "+short(c.most))
		}
	}
	l.times("no-op, shared, how much less than Extism", alone, ofShared, ofExtism, 5)
	l.times("no-op, shared, how much less than waPC's pool", alone, ofShared, ofWapc, 5)
	l.times(fmt.Sprintf("no-op, frames of 64, throughput with %d callers to waPC's pool", l.Workers*callersPerWorker), l.Closed[noop], ofFrame, ofWapc, 5)
	l.times("no-op, an Extism plugin, pristine, how much less than Extism, which keeps memory", alone, ofExtismHere, ofExtism, 3)
	l.times("echo 64 kB, an Extism plugin, pristine, throughput to Extism's", l.Closed[echo64k], ofExtismHere, ofExtism, 20)
	l.times("no-op, pristine, how much less than Extism, which keeps memory", alone, ofPristine, ofExtism, 5)
	l.times("no-op, pristine, how much less than waPC's pool, which keeps memory", alone, ofPristine, ofWapc, 5)
	l.times("no-op, waPC's guest here, shared, how much less than in waPC's pool", alone, ofWapcShared, ofWapc, 0.8)
	l.times("no-op, waPC's guest here, pristine, how much less than in waPC's pool, which keeps memory", alone, ofWapcFresh, ofWapc, 0.4)
	l.times("no-op, a command, how much less than a new instance of wazero's", alone, ofCommand, ofCommandPerCall, 20)
}

// twoWorkers adds what a second worker is worth.
func (l *findings) twoWorkers() {
	two, one := l.TwoWorkers[ofPristine], l.OneWorker[ofPristine]
	if two == nil || one == nil {
		return
	}
	got, beside := ratio(two.Rate, one.Rate), ""
	if n := l.TwoWorkers[ofNative]; n != nil {
		beside = fmt.Sprintf(" (native %.2f ×)", ratio(n.Rate, l.OneWorker[ofNative].Rate))
	}
	l.add(got >= 1.8, "full cascade, pristine, throughput from one worker to two", rounded.Beside(got, 1.8, 2)+" ×"+beside, "≥ 1.8 ×")
}

// manyCallers adds what a task costs more with many callers than with few.
func (l *findings) manyCallers() {
	for _, c := range []struct{ name, what string }{
		{ofPristine, "full cascade, pristine, processor time a task from 1 to 256 callers, largest over smallest"},
		{ofPristineBatch, "full cascade, pristine, batches of 64, processor time a task from 1 to 256 callers, largest over smallest"},
		{ofFrame, "full cascade, frames of 64, processor time a task from 1 to 256 callers, largest over smallest"},
	} {
		r := l.Callers[c.name]
		if r == nil {
			continue
		}
		got, beside := growth(r), ""
		if n := l.Callers[ofNative]; n != nil && c.name == ofPristine {
			beside = fmt.Sprintf(" (native, whose callers take turns as well: %+.0f %%)", growth(n))
		}
		l.add(got <= 10, c.what, rounded.Signed(got, 10, 0)+" %"+beside, "≤ +10 %")
	}
}

// millionNodes adds what a tick of so many takes.
func (l *findings) millionNodes() {
	for _, c := range []struct {
		what       string
		ms, native []float64
	}{
		{"tick of 1,000,000 nodes of a network, processor time", l.MillionNodesMS, l.MillionNodesNative},
		{"tick of 1,000,000 nodes, the guest in Rust with SIMD, processor time", l.MillionNodesSIMD, nil},
	} {
		if len(c.ms) == 0 {
			continue
		}
		got, beside := median(c.ms), ""
		if len(c.native) > 0 {
			beside = fmt.Sprintf(" (native Go in the guest's place: %.1f ms)", median(c.native))
		}
		l.add(got <= 25, c.what, rounded.Beside(got, 25, 1)+" ms"+beside, "≤ 25 ms of one core")
	}
}

// growth is by how many percent a task's processor time grows from the number of callers for
// which it is least to that for which it is most.
func growth(by []*closedResult) float64 {
	var costs []float64
	for _, at := range by {
		costs = append(costs, median(at.CPU))
	}
	return 100 * (slices.Max(costs)/slices.Min(costs) - 1)
}

// short writes a duration in ns with three digits.
func short(ns float64) string {
	scale, unit := unitOf(ns)
	return digits(ns/scale) + unit
}

// shortBeside is short with more digits where it would seem to be what it is aimed at, and
// is not.
func shortBeside(ns, aim float64) string {
	scale, unit := unitOf(ns)
	return rounded.Beside(ns/scale, aim/scale, decimals(ns/scale)) + unit
}

func unitOf(ns float64) (scale float64, unit string) {
	switch {
	case ns >= 1e9:
		return 1e9, " s"
	case ns >= 1e6:
		return 1e6, " ms"
	case ns >= 1e3:
		return 1e3, " µs"
	}
	return 1, " ns"
}

// count writes a number with three digits and its thousands by a letter.
func count(v float64) string {
	switch {
	case v >= 1e6:
		return digits(v/1e6) + "M"
	case v >= 1e4:
		return digits(v/1e3) + "k"
	}
	return digits(v)
}

func digits(v float64) string { return fmt.Sprintf("%.*f", decimals(v), v) }

// decimals are how many a number has of its three digits.
func decimals(v float64) int {
	switch {
	case v >= 100 || v == 0:
		return 0
	case v >= 10:
		return 1
	}
	return 2
}
