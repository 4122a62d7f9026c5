package sched

import "container/heap"

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
	w.index = -1
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return w
}

// turns are waiters by age. Nearly all come in that order, those that waited for others
// of their Serial do not.
type turns struct {
	inOrder fifo
	late    waitHeap
}

func (t *turns) len() int { return t.inOrder.len + len(t.late) }

func (t *turns) push(w *waiter) {
	if last := t.inOrder.tail; last != nil && last.seq > w.seq {
		heap.Push(&t.late, w)
		return
	}
	w.index = -1
	t.inOrder.push(w, turnLink)
}

func (t *turns) remove(w *waiter) {
	if w.index >= 0 {
		heap.Remove(&t.late, w.index)
		return
	}
	t.inOrder.remove(w, turnLink)
}

// first returns the oldest. There must be one.
func (t *turns) first() *waiter {
	w := t.inOrder.front()
	if len(t.late) > 0 && (w == nil || t.late[0].seq < w.seq) {
		return t.late[0]
	}
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
	a, b := &h[i].waiting, &h[j].waiting
	return a.len() > 0 && b.len() > 0 && a.first().seq < b.first().seq
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

// link is a waiter's place in a fifo. A waiter can be in several at once: those that
// wait for room in its line and in its class, for their turn in its line, its Serial, and
// all waiters.
type link struct{ prev, next *waiter }

func queueLink(w *waiter) *link  { return &w.queue }
func intakeLink(w *waiter) *link { return &w.intake }
func orderLink(w *waiter) *link  { return &w.order }
func turnLink(w *waiter) *link   { return &w.turn }
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
