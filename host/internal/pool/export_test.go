package pool

// Places returns how many instances have a place to lie ready in.
func (p *Pool[T]) Places() int {
	n := 0
	for i := range p.ready {
		if p.ready[i].Load() != nil {
			n++
		}
	}
	return n
}
