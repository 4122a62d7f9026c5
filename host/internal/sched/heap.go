package sched

// indexed is a heap whose members know their places in it, -1 outside.
type indexed[T member[T]] []T

type member[T any] interface {
	before(other T) bool
	moved(to int)
}

func (h indexed[T]) Len() int { return len(h) }

func (h indexed[T]) Less(i, j int) bool { return h[i].before(h[j]) }

func (h indexed[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].moved(i)
	h[j].moved(j)
}

func (h *indexed[T]) Push(x any) {
	m := x.(T)
	m.moved(len(*h))
	*h = append(*h, m)
}

func (h *indexed[T]) Pop() any {
	var none T
	old := *h
	m := old[len(old)-1]
	m.moved(-1)
	old[len(old)-1] = none
	*h = old[:len(old)-1]
	return m
}
