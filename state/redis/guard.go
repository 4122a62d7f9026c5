package redis

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/resonhost/resonhost/state"
)

// The client makes room for whatever length a server announces, and calls itself for each list in a
// list. So a guard reads along, and ends a connection whose server announces more than what is ever
// asked for. A store speaks the second version of the protocol. The client speaks the third with
// Sentinels, so the guard knows both.
const (
	maxBulk  = state.MaxStored + 1
	maxReply = 2 * maxBulk // of all that is in a list, with its lines
	maxItems = 1 << 16     // of all lists that are open
	maxDepth = 8
	maxLine  = 64 << 10
)

// guarded is a connection whose replies are looked at before the client sees them.
type guarded struct {
	net.Conn

	answered *atomic.Bool // set once something has come that Redis may have sent
	g        guard
}

// types are what a reply may begin with.
const types = "+-:_#,($=!*~>%"

func (c *guarded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.answered.Load() && strings.IndexByte(types, b[0]) >= 0 {
		c.answered.Store(true)
	}
	if bad := c.g.look(b[:n]); bad != nil {
		_ = c.Close() // what was wrong is the error
		return 0, bad
	}
	return n, err
}

// guard follows replies through the pieces in which they come.
type guard struct {
	line []byte // what has come of a line
	skip int    // bytes of a bulk that are still to come, its line break among them
	size int    // of the bulks and lines that have come since a list began
	open []int  // of each list that is not complete, how many items are still to come
	all  int    // of how many items the lists that are open have told, and those within them
	err  error
}

var errReply = errors.New("the server does not answer as Redis does")

// look follows some more bytes. After an error all is one.
func (g *guard) look(b []byte) error {
	for g.err == nil && len(b) > 0 {
		if g.skip > 0 {
			n := min(g.skip, len(b))
			g.skip -= n
			b = b[n:]
			continue
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			g.line = append(g.line, b...)
			b = nil
		} else {
			g.line = append(g.line, b[:i]...)
			b = b[i+1:]
		}
		if len(g.line) > maxLine {
			g.err = fmt.Errorf("%w: a line has more than %d bytes", errReply, maxLine)
		} else if i >= 0 {
			g.size += len(g.line) + 1
			g.err = g.reply(bytes.TrimSuffix(g.line, []byte("\r")))
			g.line = g.line[:0]
		}
	}
	return g.err
}

// reply looks at the first line of a reply.
func (g *guard) reply(line []byte) error {
	if len(line) == 0 {
		return fmt.Errorf("%w: a line is empty", errReply)
	}
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		return g.complete()
	case '$', '=', '!':
		n, err := length(line, maxBulk)
		if err != nil {
			return err
		}
		if n >= 0 { // -1 has nothing behind it
			g.skip = n + 2
		}
		g.size += g.skip
		return g.complete()
	case '*', '~', '>', '%':
		n, err := length(line, maxItems)
		if line[0] == '%' { // keys and values
			n *= 2
		}
		switch {
		case err != nil:
			return err
		case n <= 0:
			return g.complete()
		case g.all+n > maxItems:
			return fmt.Errorf("%w: lists have more than %d items", errReply, maxItems)
		case len(g.open) == maxDepth:
			return fmt.Errorf("%w: lists are nested more than %d deep", errReply, maxDepth)
		}
		g.open, g.all = append(g.open, n), g.all+n
		return g.fits()
	}
	return fmt.Errorf("%w: a line begins with %q", errReply, line[:min(len(line), 20)])
}

// length reads a length, of which -1 stands for nothing at all.
func length(line []byte, most int) (int, error) {
	n, err := strconv.ParseInt(string(line[1:min(len(line), 21)]), 10, 64)
	if err != nil || n < -1 || n > int64(most) {
		return 0, fmt.Errorf("%w: a length is %q, and %d is the most", errReply, line[1:min(len(line), 21)], most)
	}
	return int(n), nil
}

// fits returns an error if what has come of a reply is too much.
func (g *guard) fits() error {
	if g.size > maxReply {
		return fmt.Errorf("%w: a list has more than %d bytes", errReply, maxReply)
	}
	return nil
}

// complete counts an item of the lists that are open.
func (g *guard) complete() error {
	if err := g.fits(); err != nil {
		return err
	}
	for len(g.open) > 0 {
		last := len(g.open) - 1
		if g.open[last]--; g.open[last] > 0 {
			return nil
		}
		g.open = g.open[:last]
	}
	g.size, g.all = 0, 0
	return nil
}
