package server

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
)

// TestPieces reads bodies of lengths around those at which they grow, in steps that fit into none of them.
func TestPieces(t *testing.T) {
	var pool sync.Pool
	for _, size := range []int{0, 1, beginning - 1, beginning, beginning + 1, piece - 1, piece, piece + 1, beginning + piece, beginning + piece + 1, 5*piece + 17} {
		text := strings.Repeat("0123456789a", size/11+1)[:size]
		for _, length := range []int64{int64(size), -1} {
			p := &pieces{pool: &pool, length: length}
			from := strings.NewReader(text)
			for ended := false; !ended; {
				before := p.next()
				p.grow()
				if p.room != before {
					t.Fatalf("%d bytes: room for %d, said %d", size, p.room, before)
				}
				if p.room > p.n+max(piece, 16*p.n, beginning) {
					t.Fatalf("%d bytes: room for %d when %d have come", size, p.room, p.n)
				}
				for !ended && len(p.free()) > 0 {
					n, err := from.Read(p.free()[:min(len(p.free()), 1000)])
					p.n += int64(n)
					ended = errors.Is(err, io.EOF)
				}
			}
			body := p.body()
			p.close()
			if !bytes.Equal(body, []byte(text)) {
				t.Errorf("%d bytes, of a length of %d: %d bytes, which differ", size, length, len(body))
			}
		}
	}
}
