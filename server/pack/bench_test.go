package pack_test

import (
	"fmt"
	"testing"

	"github.com/resonhost/resonhost/server/pack"
)

// BenchmarkPack packs an answer of the size and kind of a cascade's.
func BenchmarkPack(b *testing.B) {
	var doc []byte
	for i := range 600 {
		doc = fmt.Appendf(doc, `{"frequency":%d,"amplitude":%g},`, 432*i%7919, 1/float64(i+1))
	}
	p := pack.New()
	for _, c := range codings() {
		b.Run(string(c), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				p.Pack(c, doc)
			}
			b.ReportMetric(float64(len(doc))/float64(len(p.Pack(c, doc))), "times-shorter")
		})
	}
}
