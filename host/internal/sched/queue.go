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

// lineHeap is a heap of lines with waiting tasks: the one that has used the least
// first, of those that used the same the one with the oldest task.
type lineHeap []*line

func (h lineHeap) Len() int { return len(h) }
func (h lineHeap) Less(i, j int) bool {
	if h[i].used != h[j].used {
		return h[i].used < h[j].used
	}
	return len(h[i].waiting) > 0 && len(h[j].waiting) > 0 && h[i].waiting[0].seq < h[j].waiting[0].seq
}
func (h lineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *lineHeap) Push(x any) {
	l := x.(*line)
	l.index = len(*h)
	*h = append(*h, l)
}

func (h *lineHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	l.index = -1
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return l
}

// link is a waiter's place in a fifo. A waiter can be in four at once: those that
// wait for room in its line and in its class, its Serial, and all waiters.
type link struct{ prev, next *waiter }

func queueLink(w *waiter) *link  { return &w.queue }
func intakeLink(w *waiter) *link { return &w.intake }
func orderLink(w *waiter) *link  { return &w.order }
func ageLink(w *waiter) *link    { return &w.age }

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
