package plugins_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	cascadeplugin "github.com/resonhost/resonhost/plugins/cascade"
	tickplugin "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// encode appends a message of a benchmark.
func encode(b *testing.B, m interface {
	AppendBinary(b []byte) ([]byte, error)
},
) []byte {
	b.Helper()
	record, err := m.AppendBinary(nil)
	if err != nil {
		b.Fatal(err)
	}
	return record
}

// chunk is a task of n nodes with a pattern each.
func chunk(n int) *tick.Nodes {
	a := &tick.Nodes{
		NowMS: 12345, Frequency: make([]float64, n), Strength: make([]float64, n), Stopped: make([]bool, n),
		Pattern: make([]float64, 7), Offset: make([]uint32, n+1), Attached: make([]uint32, n),
	}
	for i := range n {
		a.Frequency[i], a.Attached[i], a.Offset[i+1] = 100+float64(i%900), uint32(i%7), uint32(i+1)
	}
	return a
}

// BenchmarkGuests compares the plugins natively, from frame to frame, with their guests,
// in turns, through a host; under the tag scaffolds with their Rust builds too. "appended"
// is shared with an output that is the caller's, as native has it. It reports the median of each in ns a task or node, and the
// 10th to the 90th percentile of the ratio to native.
func BenchmarkGuests(b *testing.B) {
	const rounds = 64
	full := cascade.State{AwarenessLevel: 0.8, CoherenceScore: 0.75, PhiValue: 0.618, EmotionalResonance: 0.9, CreativeEmergence: 0.7}
	summary := full
	summary.Detail = cascade.DetailSummary
	for _, c := range []struct {
		name, source, transform string
		input                   []byte
		plugin                  *guest.Plugin
		size                    int
	}{
		{"cascade full", "cascade", "cascade", encode(b, &full), cascadeplugin.New(), 1},
		{"cascade summary", "cascade", "cascade", encode(b, &summary), cascadeplugin.New(), 1},
		{"tick of 1", "tick", "tick.node", encode(b, chunk(1)), tickplugin.New(), 1},
		{"tick of 144", "tick", "tick.node", encode(b, chunk(144)), tickplugin.New(), 144},
		{"tick of 4096", "tick", "tick.node", encode(b, chunk(4096)), tickplugin.New(), 4096},
	} {
		b.Run(c.name, func(b *testing.B) {
			frame := abi.AppendInput(nil, []abi.Item{{Payload: c.input}})
			type way struct {
				name string
				run  func(times int) error
			}
			repeat := func(name string, run func() error) way {
				return way{name, func(times int) error {
					for range times {
						if err := run(); err != nil {
							return err
						}
					}
					return nil
				}}
			}
			ways := []way{repeat("native", func() error {
				_, err := c.plugin.Run(0, frame)
				return err
			})}
			for _, guest := range []struct {
				prefix string
				wasm   []byte
			}{
				{"", guesttest.Build(b, "./plugins/"+c.source+"/wasm")},
				{"rust-", rustBuild(b, c.source)},
			} {
				if guest.wasm == nil {
					continue
				}
				started := func(i host.Isolation) *host.Host {
					return hosted.Start(b, host.Config{
						Plugins:  []host.Source{{Name: c.source, WASM: guest.wasm}},
						Defaults: host.PluginConfig{Isolation: i},
					})
				}
				pristine, shared := started(host.IsolationPristine), started(host.IsolationShared)
				ways = append(ways, repeat(guest.prefix+"pristine", func() error {
					_, err := pristine.Run(b.Context(), c.transform, c.input)
					return err
				}), repeat(guest.prefix+"shared", func() error {
					_, err := shared.Run(b.Context(), c.transform, c.input)
					return err
				}))
				var dst []byte
				client := shared.Client("", host.PriorityNormal)
				ways = append(ways, repeat(guest.prefix+"appended", func() (err error) {
					dst, err = client.RunAppend(b.Context(), c.transform, dst[:0], c.input)
					return err
				}))
			}
			took := make([][]float64, len(ways))
			for b.Loop() {
				for i, w := range ways {
					times := max(1, rounds/c.size)
					began := time.Now()
					if err := w.run(times); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], float64(time.Since(began).Nanoseconds())/float64(times*c.size))
				}
			}
			b.ReportMetric(0, "ns/op")
			for i, w := range ways {
				b.ReportMetric(percentile(took[i], 50), w.name+"-ns")
				if i == 0 {
					continue
				}
				ratios := make([]float64, len(took[i]))
				for round := range ratios {
					ratios[round] = took[i][round] / took[0][round]
				}
				for _, p := range []int{10, 50, 90} {
					b.ReportMetric(percentile(ratios, p), fmt.Sprintf("%s/native-p%d", w.name, p))
				}
			}
		})
	}
}

func percentile(v []float64, p int) float64 {
	sorted := slices.SortedFunc(slices.Values(v), cmp.Compare[float64])
	return sorted[(len(sorted)-1)*p/100]
}
