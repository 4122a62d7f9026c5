package pool_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/resonhost/resonhost/host/internal/pool"
)

// BenchmarkLend is the cost of lending an instance that is ready and giving it back: by one
// borrower, by one for each processor, which writes nothing or the first bytes of the
// instance's memory, and by more borrowers than there are instances.
func BenchmarkLend(b *testing.B) {
	type memory [4 << 10]byte
	pooled := func(b *testing.B, most int) *pool.Pool[*memory] {
		b.Helper()
		p, err := pool.New(pool.Config[*memory]{
			Max:     most,
			Create:  func(context.Context) (*memory, error) { return new(memory), nil },
			Destroy: func(*memory) {},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(p.Close)
		return p
	}
	lend := func(p *pool.Pool[*memory], written int) error {
		in := p.TryGet()
		if in == nil {
			var err error
			if in, err = p.Get(context.Background()); err != nil {
				return err
			}
		}
		clear(in.Value[:written])
		p.Put(in)
		return nil
	}
	b.Run("sequential", func(b *testing.B) {
		p := pooled(b, 1)
		b.ReportAllocs()
		for b.Loop() {
			if err := lend(p, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name          string
		most, written int
	}{
		{"parallel", 64, 0},
		{"parallel,written", 64, 4 << 10},
		{"scarce", 1, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := pooled(b, c.most)
			var ins []*pool.Instance[*memory] // made side by side, as a host's first are
			for range min(c.most, runtime.GOMAXPROCS(0)) {
				in, err := p.Get(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				ins = append(ins, in)
			}
			for _, in := range ins {
				p.Put(in)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := lend(p, c.written); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
