package host

// Pending is a task that was submitted.
type Pending struct {
	done     chan struct{}
	result   Result
	finished bool // the host's, before done is closed
}

// Wait returns what [Host.Run] would have, once the task has ended.
func (p *Pending) Wait() ([]byte, error) {
	r := p.Result()
	return r.Output, r.Err
}

// Result returns the outcome of the task, once it has ended.
func (p *Pending) Result() Result {
	<-p.done
	return p.result
}

// Done returns a channel that is closed once the task has ended.
func (p *Pending) Done() <-chan struct{} { return p.done }

// finish sets the result, unless there is one.
func (p *Pending) finish(r Result) {
	if !p.finished {
		p.finished, p.result = true, r
		close(p.done)
	}
}
