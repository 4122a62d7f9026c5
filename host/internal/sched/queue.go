package sched

// waitHeap is a heap of waiters, the oldest first.
type waitHeap []*waiter

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *waitHeap) Push(x any) {
	w := x.(*waiter)
	w.index = len(*h)
	*h = append(*h, w)
}

func (h *waitHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return w
}

// link is a waiter's place in a fifo. A waiter is in two at once: the age order
// of the whole queue and the line of its Serial.
type link struct{ prev, next *waiter }

func queueLink(w *waiter) *link { return &w.queue }
func lineLink(w *waiter) *link  { return &w.line }

// fifo is a doubly linked list through one of its waiters' links, so that a
// waiter can leave from the middle.
type fifo struct {
	head, tail *waiter
	len        int
}

func (f *fifo) front() *waiter { return f.head }

func (f *fifo) push(w *waiter, at func(*waiter) *link) {
	l := at(w)
	l.prev, l.next = f.tail, nil
	if f.tail != nil {
		at(f.tail).next = w
	} else {
		f.head = w
	}
	f.tail = w
	f.len++
}

func (f *fifo) remove(w *waiter, at func(*waiter) *link) {
	l := at(w)
	if l.prev != nil {
		at(l.prev).next = l.next
	} else {
		f.head = l.next
	}
	if l.next != nil {
		at(l.next).prev = l.prev
	} else {
		f.tail = l.prev
	}
	*l = link{}
	f.len--
}
