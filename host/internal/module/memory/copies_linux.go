package memory

import "os"

const (
	// patience is how many tasks in a row may leave a copy unwritten before it is
	// given back. To look at such a copy takes a hundredth of what a new one does,
	// with the fault and the search for it: keeping one in vain then costs as much
	// as giving it back too early.
	patience = 100
	// maxReturns bounds by how many powers of two there is more patience with a page of
	// which copies that were given back have come again: tasks may write what the page
	// has anyhow, each time.
	maxReturns = 8
	// With more than usualKept copies, patience is short: of a single large task not all those
	// after it are to look at hundreds of copies, and large tasks one after the other write
	// them again at once.
	usualKept     = 256
	shortPatience = 8
	// maxKept is how many copies are kept, in pages. What a task writes beyond them it writes to
	// new copies.
	maxKept = 1024
	// maxGiven bounds the calls by which a reset gives copies back.
	maxGiven = 8
)

// copies is a restorer that knows which pages are copies. What is no copy is the
// image's as it is, so nothing else needs to be looked at, and pages that tasks only
// read stay mapped. A page behind the image is one if the system has given it any memory.
type copies struct {
	m     *mapping
	pages *pagemap
	page  uintptr
	zeros []byte // a page
	// known has the copies, in the order of addresses: all of them, as long as the
	// process has had no faults but those counted in seen.
	known []uintptr
	seen  int64
	state []pageState // of each page, as far as was usable by the last reset
	given []span      // room for reset
}

// pageState is what was seen of a page.
type pageState struct {
	// idle is how many tasks in a row have left the copy unwritten, or fresh if it was none.
	idle uint16
	// returns is how often a copy that had been given back has come again, maxReturns at
	// most, and given whether the last one was.
	returns uint8
	given   bool
}

// fresh is the mark of a page that was no copy at the last reset.
const fresh = 0xffff

// copied takes note of a new copy.
func (p *pageState) copied() {
	if p.given {
		p.returns = min(p.returns+1, maxReturns)
		p.given = false
	}
}

// waits reports whether a copy that was not written is kept; crowded is whether there are
// many.
func (p *pageState) waits(crowded bool) bool {
	if p.idle >= shortPatience && crowded || p.idle >= patience<<p.returns {
		return false
	}
	p.idle++
	return true
}

func newCopies(m *mapping) *copies {
	page := uintptr(os.Getpagesize())
	return &copies{
		m: m, pages: m.image.file.pages, page: page, zeros: make([]byte, page),
		seen: -1, given: make([]span, 0, maxGiven),
	}
}

func (c *copies) resident() int { return len(c.known) }

func (c *copies) forget() {
	c.known = c.known[:0]
	for i := range c.state {
		c.state[i] = pageState{idle: fresh}
	}
}

func (c *copies) reset() error {
	for uintptr(len(c.state)) < c.m.usable/c.page {
		c.state = append(c.state, pageState{idle: fresh})
	}
	if err := c.look(); err != nil {
		// There may be copies that are not known.
		c.forget()
		c.seen = -1
		return c.m.drop(span{0, c.m.usable})
	}
	crowded, room := len(c.known) > usualKept, c.room()
	c.given = c.given[:0]
	kept := c.known[:0]
	for _, at := range c.known {
		page := &c.state[at/c.page]
		isNew := page.idle == fresh
		switch {
		case isNew && room == 0: // whatever it is like
		case restoreBlock(c.m.slice(span{at, at + c.page}), c.original(at)), isNew:
			if page.idle = 0; isNew {
				page.copied()
				room--
			}
			kept = append(kept, at)
			continue
		case page.waits(crowded):
			kept = append(kept, at)
			continue
		}
		page.idle, page.given = fresh, page.given || !isNew
		kept = c.give(at, kept)
	}
	c.known = kept
	for _, s := range c.given {
		if err := c.m.drop(s); err != nil {
			return err
		}
	}
	return nil
}

// room is how many new copies can be kept beside those that were kept before.
func (c *copies) room() int {
	room := maxKept
	if len(c.known) <= room {
		return room // for each of them
	}
	for _, at := range c.known {
		if c.state[at/c.page].idle != fresh {
			room--
		}
	}
	return room
}

// original is what the page at an offset is to be.
func (c *copies) original(at uintptr) []byte {
	image := c.m.image.Bytes()
	if at >= uintptr(len(image)) {
		return c.zeros
	}
	return image[at : at+c.page]
}

// look brings what is known of the copies up to date.
func (c *copies) look() error {
	now, err := faults()
	if err != nil {
		return err
	}
	// What is counted from here on is looked for at the next reset.
	if now == c.seen && c.pages.counts {
		return nil
	}
	c.known, err = c.pages.copies(c.m.base, c.m.usable, c.known[:0])
	c.seen = now
	return err
}

// give adds a page to what is given back, at one with its neighbour, and returns
// what is kept. When there are too many spans, the last one takes in all that is
// between, which is kept no more.
func (c *copies) give(at uintptr, kept []uintptr) []uintptr {
	last := len(c.given) - 1
	if last < 0 || c.given[last].to != at && len(c.given) < maxGiven {
		c.given = append(c.given, span{at, at + c.page})
		return kept
	}
	for n := len(kept) - 1; n >= 0 && kept[n] >= c.given[last].to; n-- {
		c.state[kept[n]/c.page].idle = fresh
		kept = kept[:n]
	}
	c.given[last].to = at + c.page
	return kept
}
