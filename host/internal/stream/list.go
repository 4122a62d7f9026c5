package stream

// link is an entry's place in a list. An entry can be in both lists of a store at once.
type link[S any] struct{ prev, next *Entry[S] }

func idleLink[S any](e *Entry[S]) *link[S] { return &e.idle }

func dirtyLink[S any](e *Entry[S]) *link[S] { return &e.dirty }

// list is a doubly linked list through one of its entries' links, so that an entry can leave from
// the middle and none is allocated.
type list[S any] struct {
	at         func(*Entry[S]) *link[S]
	head, tail *Entry[S]
	n          int
}

func (l *list[S]) pushBack(e *Entry[S]) {
	*l.at(e) = link[S]{prev: l.tail}
	if l.tail == nil {
		l.head = e
	} else {
		l.at(l.tail).next = e
	}
	l.tail = e
	l.n++
}

func (l *list[S]) pushFront(e *Entry[S]) {
	*l.at(e) = link[S]{next: l.head}
	if l.head == nil {
		l.tail = e
	} else {
		l.at(l.head).prev = e
	}
	l.head = e
	l.n++
}

func (l *list[S]) remove(e *Entry[S]) {
	at := l.at(e)
	if at.prev == nil {
		l.head = at.next
	} else {
		l.at(at.prev).next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		l.at(at.next).prev = at.prev
	}
	*at = link[S]{}
	l.n--
}
