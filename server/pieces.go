package server

import "sync"

// beginning is how much room a body of any length has at first, in bytes: a client that sends a byte of
// it now and then has no more.
const beginning = 4 << 10

// pieces is a body as it comes. What is longer than a piece is in pieces of a pool, which one body has
// after the other: one that is too long, or breaks off, leaves no memory to be cleared and collected.
type pieces struct {
	pool   *sync.Pool // of *[piece]byte
	length int64      // of the body, below 0 if it is not known

	first []byte
	more  []*[piece]byte
	n     int64 // bytes that have come
	room  int64 // bytes that there is room for
}

// next returns how much room there will be after grow, in bytes.
func (p *pieces) next() int64 {
	switch {
	case p.room == 0 && p.length < 0:
		return beginning
	case p.room == 0:
		return min(p.length+1, beginning) // with room to see its end
	case len(p.more) == 0 && p.length >= 0 && p.length <= piece:
		return p.length + 1
	}
	return p.room + piece
}

// overrun is whether more has come than the body's length, which no client can send: net/http ends a body
// there. A handler in between may have put another body in its place.
func (p *pieces) overrun() bool { return p.length >= 0 && p.n > p.length }

// grow makes room for more, once there is none.
func (p *pieces) grow() {
	room := p.next()
	if p.room > 0 && room == p.room+piece {
		b, ok := p.pool.Get().(*[piece]byte)
		if !ok {
			b = new([piece]byte)
		}
		p.more = append(p.more, b)
	} else {
		p.first = append(make([]byte, 0, room), p.first[:p.n]...)[:room]
	}
	p.room = room
}

// free is the room that there is now, into which the body's next bytes go.
func (p *pieces) free() []byte {
	if len(p.more) == 0 {
		return p.first[p.n:]
	}
	return p.more[len(p.more)-1][piece-(p.room-p.n):]
}

// body is all that has come, in memory of its own.
func (p *pieces) body() []byte {
	if len(p.more) == 0 {
		return p.first[:p.n]
	}
	b := append(make([]byte, 0, p.n), p.first...)
	for _, one := range p.more {
		b = append(b, one[:min(piece, p.n-int64(len(b)))]...)
	}
	return b
}

// close gives the pieces back.
func (p *pieces) close() {
	for _, one := range p.more {
		p.pool.Put(one)
	}
	p.more, p.first, p.n, p.room = nil, nil, 0, 0
}
