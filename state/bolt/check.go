package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
	"strings"

	"github.com/resonhost/resonhost/state"
)

// bbolt maps its file and follows what it finds there. A number that leads out of the file ends the
// process, some with an error that Go cannot recover from. Two uses of one page are found by nobody,
// and the next save destroys both. The pages have no sums but the two that say where the others
// begin. So a checker follows the same ways first, by reading, and proves what bbolt relies on.
//
// The file: pages of one size. Pages 0 and 1 have a meta record each, of which the one with the
// higher transaction holds. A page begins with its number (8 bytes), flags (2), count (2) and how
// many more pages it goes on for (4). Then come the elements of 16 bytes, and then their keys and
// values, whose offsets count from the element. All numbers have the byte order of the machine.
const (
	pageHead = 16
	element  = 16
	metaSize = 64

	magic       = 0xED0CDAED
	fileVersion = 2

	isBranch   = 0x01
	isLeaf     = 0x02
	isFreelist = 0x10

	isBucket   = 0x01 // flag of an element
	bucketHead = 16   // of its value

	minPage, maxPage = 1 << 10, 64 << 10
	maxDepth         = 64
	maxBoltKey       = 32768
	noFreelist       = math.MaxUint64
	manyFree         = 0xFFFF // count of a freelist that has its count in front

	// How much of a page is read at once. Of longer ones the values are not read.
	window = 64 << 10
)

var order = binary.NativeEndian

// checkFile returns an error that wraps [state.ErrCorrupt] or [state.ErrNewer] unless bbolt can work
// with the file. The warning says what is wrong that bbolt can do without.
func checkFile(ctx context.Context, path string) (warning string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", classify("check", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%w: it is no file", state.ErrCorrupt)
	}
	return check(ctx, f, info.Size())
}

// check is checkFile of what is in r.
func check(ctx context.Context, r io.ReaderAt, size int64) (warning string, err error) {
	c := &checker{ctx: ctx, r: r, size: size, buf: make([]byte, window)}
	m, err := c.metas()
	if err != nil {
		return "", err
	}
	if err := c.tree(m.root, rootBucket); err != nil {
		return "", err
	}
	if !c.found {
		return "", corrupt("it has no bucket %q, as the files of other programs", bucket)
	}
	return c.warning, c.freelist(m.freelist)
}

type checker struct {
	ctx      context.Context
	r        io.ReaderAt
	size     int64
	pageSize int64
	end      uint64   // the number of the first page that is not used yet
	used     []uint64 // a bit for each page that has a use
	buf      []byte
	warning  string
	found    bool // the bucket of recordBucket
}

func corrupt(form string, args ...any) error {
	return fmt.Errorf("%w: %s", state.ErrCorrupt, fmt.Sprintf(form, args...))
}

// why is what is wrong by an error of corrupt, for a message that says itself that something is.
func why(err error) string { return strings.TrimPrefix(err.Error(), state.ErrCorrupt.Error()+": ") }

// meta is a meta record.
type meta struct {
	pageSize            int64
	root, freelist, end uint64
	transaction         uint64
}

// metas reads both and returns the one that holds.
func (c *checker) metas() (*meta, error) {
	first, err0 := c.meta(0)
	var second *meta
	var at int64
	if first != nil {
		// bbolt believes whatever has a right sum.
		if at = first.pageSize; at < minPage || at > maxPage || at&(at-1) != 0 {
			return nil, corrupt("its pages have %d bytes by page 0", at)
		}
		second, _ = c.meta(at)
	} else { // where the second is depends on the pages' size
		for at = minPage; second == nil && at <= maxPage; at *= 2 {
			second, _ = c.meta(at)
		}
		at /= 2
	}
	if second != nil && second.pageSize != at {
		return nil, corrupt("its pages have %d bytes by page 1, which is at %d", second.pageSize, at)
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	holds := first
	switch {
	case first == nil && second == nil && errors.Is(err0, state.ErrNewer):
		return nil, err0
	case first == nil && second == nil:
		return nil, corrupt("neither of its two first pages says where the others are: %s", why(err0))
	case first == nil:
		holds = second
		c.warning = "page 0 is damaged: " + why(err0)
	case second == nil:
		c.warning = "page 1 is damaged"
	case second.transaction > first.transaction:
		holds = second
	}
	c.pageSize, c.end = holds.pageSize, holds.end
	if c.end < 4 || c.end > uint64(c.size/c.pageSize) {
		return nil, corrupt("it has %d bytes, and was saved with %d pages of %d", c.size, c.end, c.pageSize)
	}
	c.used = make([]uint64, c.end/64+1)
	c.used[0] = 3
	return holds, nil
}

// meta reads the meta record of the page at an offset.
func (c *checker) meta(at int64) (*meta, error) {
	var b [metaSize]byte
	if err := c.fill(b[:], at+pageHead); err != nil {
		return nil, err
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	switch {
	case order.Uint32(b[0:]) != magic:
		return nil, corrupt("it is none of bbolt's")
	case order.Uint64(b[metaSize-8:]) != sum.Sum64():
		return nil, corrupt("its sum is wrong")
	case order.Uint32(b[4:]) != fileVersion:
		return nil, fmt.Errorf("%w: version %d of bbolt's files", state.ErrNewer, order.Uint32(b[4:]))
	}
	m := &meta{
		pageSize:    int64(order.Uint32(b[8:])),
		root:        order.Uint64(b[16:]),
		freelist:    order.Uint64(b[32:]),
		end:         order.Uint64(b[40:]),
		transaction: order.Uint64(b[48:]),
	}
	return m, nil
}

// page is what is looked at of a page, or of one that is part of a value.
type page struct {
	number uint64
	at     int64 // its offset in the file
	bytes  int64 // with the pages that it goes on for
	flags  uint16
	count  int64
	read   []byte // its beginning
	next   int64  // where the next key begins, from the page's beginning
}

// open reads a page and gives it its use.
func (c *checker) open(number uint64) (*page, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	if number < 2 || number >= c.end {
		return nil, corrupt("page %d is asked for, and there are 2 to %d", number, c.end-1)
	}
	p := &page{number: number, at: int64(number) * c.pageSize}
	p.read = c.buf[:c.pageSize]
	if err := c.fill(p.read, p.at); err != nil {
		return nil, err
	}
	if id := order.Uint64(p.read); id != number {
		return nil, corrupt("page %d calls itself %d", number, id)
	}
	pages := uint64(order.Uint32(p.read[12:])) + 1
	if pages > c.end-number {
		return nil, corrupt("page %d goes on for %d pages, beyond the last", number, pages)
	}
	for n := number; n < number+pages; n++ {
		if c.used[n/64]&(1<<(n%64)) != 0 {
			return nil, corrupt("page %d has two uses", n)
		}
		c.used[n/64] |= 1 << (n % 64)
	}
	p.flags, p.count, p.bytes = order.Uint16(p.read[8:]), int64(order.Uint16(p.read[10:])), int64(pages)*c.pageSize
	if n := min(p.bytes, window); n > c.pageSize {
		p.read = c.buf[:n]
		if err := c.fill(p.read[c.pageSize:], p.at+c.pageSize); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// slice returns n bytes of a page from an offset, which must be within it.
func (c *checker) slice(p *page, from, n int64) ([]byte, error) {
	if from+n <= int64(len(p.read)) {
		return p.read[from : from+n], nil
	}
	b := make([]byte, n)
	return b, c.fill(b, p.at+from)
}

// fill reads all of b from an offset of the file.
func (c *checker) fill(b []byte, at int64) error {
	n, err := c.r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return corrupt("it ends at %d, and %d bytes are looked for at %d", c.size, len(b), at)
	}
	return classify("read", err)
}

// A tree is the root bucket, whose elements are buckets, or the bucket of records.
const (
	rootBucket = iota
	recordBucket
)

// bounds are between which keys a part of a tree has its own: low, unless it is nil, is its first,
// and all are before high, unless that is nil. bbolt finds a page among its parent's elements by its
// first key, so that one with another would be there twice after a save.
type bounds struct{ low, high []byte }

// child is a page that a branch leads to.
type child struct {
	number uint64
	bounds bounds
}

// tree checks the pages from a root down.
func (c *checker) tree(root uint64, of int) error {
	return c.subtree(child{number: root}, of, 0)
}

func (c *checker) subtree(at child, of, depth int) error {
	if depth > maxDepth {
		return corrupt("page %d is %d pages below the root", at.number, depth)
	}
	p, err := c.open(at.number)
	if err != nil {
		return err
	}
	switch p.flags {
	case isBranch:
		children, err := c.branch(p, at.bounds)
		if err != nil {
			return err
		}
		for _, next := range children {
			if err := c.subtree(next, of, depth+1); err != nil {
				return err
			}
		}
		return nil
	case isLeaf:
		if p.count == 0 && depth > 0 {
			return corrupt("page %d is empty", p.number)
		}
		return c.leaf(p, at.bounds, of)
	}
	return corrupt("page %d has flags %#x where keys are to be", p.number, p.flags)
}

// key returns the key of the i-th element and where it ends. The element says how far behind itself
// the key begins and how long it is. It must begin where the one before ended with its value, the
// first behind all elements: so it is seen if a page has fewer elements than it had. What follows
// the key of the same element must end before the page does.
func (c *checker) key(p *page, i int64, offset, length, more uint32) (key []byte, end int64, err error) {
	from := pageHead + i*element + int64(offset)
	if i == 0 {
		p.next = pageHead + p.count*element
	}
	end = from + int64(length)
	if from != p.next || end+int64(more) > p.bytes || length == 0 || length > maxBoltKey {
		return nil, 0, corrupt("element %d of page %d has no key, or lies elsewhere than behind the one before", i, p.number)
	}
	p.next = end + int64(more)
	key, err = c.slice(p, from, int64(length))
	return key, end, err
}

// ordered checks that a key comes after the one before and lies within bounds.
func ordered(p *page, i int64, key, before []byte, b bounds) error {
	if i == 0 && b.low != nil && !bytes.Equal(key, b.low) || i > 0 && bytes.Compare(before, key) >= 0 || b.high != nil && bytes.Compare(key, b.high) >= 0 {
		return corrupt("key %d of page %d is out of order", i, p.number)
	}
	return nil
}

// elements returns the i-th element of a page.
func (c *checker) element(p *page, i int64) ([]byte, error) {
	if pageHead+p.count*element > p.bytes {
		return nil, corrupt("page %d has %d elements and %d bytes", p.number, p.count, p.bytes)
	}
	return c.slice(p, pageHead+i*element, element)
}

// branch returns the pages that a branch leads to.
func (c *checker) branch(p *page, b bounds) ([]child, error) {
	if p.count == 0 {
		return nil, corrupt("page %d leads nowhere", p.number)
	}
	children := make([]child, p.count)
	for i := range p.count {
		e, err := c.element(p, i)
		if err != nil {
			return nil, err
		}
		children[i].number = order.Uint64(e[8:])
		key, _, err := c.key(p, i, order.Uint32(e[0:]), order.Uint32(e[4:]), 0)
		if err != nil {
			return nil, err
		}
		key = bytes.Clone(key)
		children[i].bounds = bounds{low: key, high: b.high}
		if i > 0 {
			children[i-1].bounds.high = key
		}
		if err := ordered(p, i, key, children[max(i-1, 0)].bounds.low, b); err != nil {
			return nil, err
		}
	}
	return children, nil
}

// leaf checks the elements of a leaf, and of the root bucket what they lead to.
func (c *checker) leaf(p *page, b bounds, of int) error {
	var buckets [][2][]byte // names and values
	var before []byte
	for i := range p.count {
		e, err := c.element(p, i)
		if err != nil {
			return err
		}
		flags, offset, length, more := order.Uint32(e[0:]), order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])
		key, end, err := c.key(p, i, offset, length, more)
		if err != nil {
			return err
		}
		if err := ordered(p, i, key, before, b); err != nil {
			return err
		}
		before = key
		if of == recordBucket {
			if flags != 0 {
				return corrupt("element %d of page %d has flags %#x", i, p.number, flags)
			}
			continue
		}
		if flags != isBucket || more < bucketHead {
			return corrupt("element %d of page %d is no bucket", i, p.number)
		}
		value, err := c.slice(p, end, int64(more))
		if err != nil {
			return err
		}
		buckets = append(buckets, [2][]byte{bytes.Clone(key), bytes.Clone(value)})
	}
	for _, nb := range buckets {
		if err := c.bucket(string(nb[0]), nb[1]); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket of the root bucket. Its value has the number of its first page, or 0 and
// then the page itself.
func (c *checker) bucket(name string, value []byte) error {
	switch {
	case name == bucket:
		c.found = true
	case strings.HasPrefix(name, bucketPrefix):
		return fmt.Errorf("%w: it has a bucket %.40q", state.ErrNewer, name)
	default:
		return corrupt("it has a bucket %.40q, as the file of another program", name)
	}
	if root := order.Uint64(value); root != 0 {
		return c.tree(root, recordBucket)
	}
	b := value[bucketHead:]
	if len(b) < pageHead {
		return corrupt("bucket %q is cut off", name)
	}
	p := &page{bytes: int64(len(b)), flags: order.Uint16(b[8:]), count: int64(order.Uint16(b[10:])), read: b}
	if p.flags != isLeaf || order.Uint64(b) != 0 {
		return corrupt("bucket %q has no leaf in it", name)
	}
	return c.leaf(p, bounds{}, recordBucket)
}

// freelist checks the pages that are said to be free: they have no other use.
func (c *checker) freelist(number uint64) error {
	if number == noFreelist {
		return nil
	}
	p, err := c.open(number)
	if err != nil {
		return err
	}
	if p.flags != isFreelist {
		return corrupt("page %d has flags %#x where the free pages are to be listed", number, p.flags)
	}
	count, from := uint64(p.count), int64(pageHead)
	if count == manyFree {
		b, err := c.slice(p, from, 8)
		if err != nil {
			return err
		}
		count, from = order.Uint64(b), from+8
	}
	if count > c.end || from+int64(count)*8 > p.bytes {
		return corrupt("page %d lists %d free pages in %d bytes", number, count, p.bytes)
	}
	b, err := c.slice(p, from, int64(count)*8)
	if err != nil {
		return err
	}
	last := uint64(1)
	for ; len(b) > 0; b = b[8:] {
		n := order.Uint64(b)
		if n <= last || n >= c.end {
			return corrupt("page %d lists page %d as free after %d", number, n, last)
		}
		if c.used[n/64]&(1<<(n%64)) != 0 {
			return corrupt("page %d is in use, and is listed as free", n)
		}
		last = n
	}
	return nil
}
