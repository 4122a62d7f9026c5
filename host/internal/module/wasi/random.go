package wasi

import (
	"context"
	crand "crypto/rand"

	"github.com/tetratelabs/wazero/api"
)

// chunk is how many bytes are produced or taken at once. Between two of them a
// call can be billed and ended; to draw one takes some 0.1 to 0.2 ms.
const chunk = 64 << 10

func randomGet(ctx context.Context, s *System, mod api.Module, stack []uint64) errno {
	buf, ok := mod.Memory().Read(api.DecodeU32(stack[0]), api.DecodeU32(stack[1]))
	if !ok {
		return efault
	}
	for len(buf) > 0 {
		if ctx.Err() != nil {
			interrupt(ctx)
		}
		n := min(len(buf), chunk)
		s.charge(n)
		s.random(buf[:n])
		buf = buf[n:]
	}
	return success
}

// random fills p.
func (s *System) random(p []byte) {
	if s.RealRandom {
		_, _ = crand.Read(p) // it crashes the program rather than fail
		return
	}
	if !s.now.seeded {
		s.now.random.Seed([32]byte{}) // any, as long as it is the same
		s.now.seeded = true
	}
	_, _ = s.now.random.Read(p) // never fails
}
