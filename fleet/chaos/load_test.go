//go:build unix

package chaos

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
)

const (
	// streams is how many streams have tasks. Their keys are of all partitions.
	streams = 64
	// inStream is how many tasks of each stream are submitted together.
	inStream = 2
	// loose is how many tasks without streams are submitted beside.
	loose = 64
	// pause is between submissions, so that the servers have time for each other.
	pause = 50 * time.Millisecond
)

// load has tasks done by the fleet, without end, and holds each answer to what one host would have answered.
type load struct {
	t   *testing.T
	of  *fleet.Submission
	run *fleet.Client

	links [streams][]byte // what each stream answered last, by what was submitted

	mu       sync.Mutex
	sent     map[uint64]*sent
	tasks    int
	answered int
	frames   int
	longest  time.Duration // between a frame's acceptance and its answer
	fault    time.Time
	missing  map[int]bool // streams that have no answer to what was sent since the fault; -1 are those without
	whole    chan struct{}

	broken chan struct{} // closed once there is no more load, since something failed
	breaks sync.Once
}

// sent is a frame that was sent.
type sent struct {
	at     time.Time
	want   [][]byte
	stream []int
}

// nextLink is what the guest chain makes of a state and an input.
func nextLink(state, input []byte) []byte {
	n := uint64(0)
	if len(state) > 0 {
		n = binary.LittleEndian.Uint64(state)
	}
	h := fnv.New64a()
	_, _ = h.Write(state)
	_, _ = h.Write(input)
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, n+1), h.Sum64())
}

// batch returns frames of the next tasks.
func (l *load) batch(round int) (frames []*fleet.Frame, sents []*sent) {
	var tasks []fleet.Task
	var want [][]byte
	var of []int
	for n := range inStream {
		for i := range streams {
			input := fmt.Appendf(nil, "%d %d %d", i, round, n)
			l.links[i] = nextLink(l.links[i], input)
			tasks, want, of = append(tasks, fleet.Task{Stream: fmt.Sprint("stream ", i), Input: input}), append(want, l.links[i]), append(of, i)
		}
	}
	for i := range loose {
		input := fmt.Appendf(nil, "loose %d %d", round, i)
		tasks, want, of = append(tasks, fleet.Task{Input: input}), append(want, nextLink(nil, input)), append(of, -1)
	}
	frames = l.run.Frames("chain", tasks)
	for _, f := range frames {
		s := &sent{}
		for _, at := range f.At {
			s.want, s.stream = append(s.want, want[at]), append(s.stream, of[at])
		}
		sents = append(sents, s)
	}
	return frames, sents
}

// submit submits tasks until ctx ends, and returns how many frames.
func (l *load) submit(ctx context.Context) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	defer l.ended()
	for round := 0; ctx.Err() == nil; round++ {
		frames, sents := l.batch(round)
		for i, f := range frames {
			sents[i].at = time.Now()
			l.mu.Lock() // so that its answer finds it
			number := uint64(l.frames)
			l.sent[number] = sents[i]
			l.frames, l.tasks = l.frames+1, l.tasks+len(f.Tasks)
			l.mu.Unlock()
			got, err := l.of.Send(l.t.Context(), f)
			if l.t.Context().Err() != nil {
				return // the test has failed
			}
			if err != nil || got != number {
				l.t.Errorf("frame %d was sent as %d: %v", number, got, err)
				return
			}
		}
		<-tick.C
	}
}

// read holds answers to what they are to be, until ctx ends.
func (l *load) read(ctx context.Context) {
	defer l.ended()
	for {
		r, err := l.of.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = r.Err
		}
		if err != nil {
			l.t.Errorf("an answer cannot be read: %v", err)
			return
		}
		l.answer(r)
	}
}

func (l *load) answer(r fleet.Reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sent[r.Number]
	if s == nil {
		l.t.Errorf("frame %d is answered twice, or was never sent", r.Number)
		return
	}
	delete(l.sent, r.Number)
	l.longest = max(l.longest, time.Since(s.at))
	l.answered += len(s.want)
	for i, want := range s.want {
		if o := &r.Answer.Outcomes[i]; o.Failure != nil || !bytes.Equal(o.Output, want) {
			l.t.Errorf("task %d of frame %d, stream %d, by %s: %x, failure %+v; want %x", i, r.Number, s.stream[i], r.Answer.Host, o.Output, o.Failure, want)
			return
		}
		if !l.fault.IsZero() && s.at.After(l.fault) && l.missing[s.stream[i]] {
			delete(l.missing, s.stream[i])
			if len(l.missing) == 0 {
				close(l.whole)
				l.fault = time.Time{}
			}
		}
	}
}

// since begins to wait for an answer in each stream to what is sent from now on. The channel is closed once all have one.
func (l *load) since() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.whole, l.missing = time.Now(), make(chan struct{}), map[int]bool{-1: true}
	for i := range streams {
		l.missing[i] = true
	}
	return l.whole
}

// ended tells who awaits something that the load has ended in a failure.
func (l *load) ended() {
	if l.t.Failed() {
		l.breaks.Do(func() { close(l.broken) })
	}
}

// await waits until all streams have answers, and returns how long that took.
func (l *load) await(what string, whole <-chan struct{}) time.Duration {
	l.t.Helper()
	began := time.Now()
	select {
	case <-whole:
	case <-l.broken:
		l.t.FailNow()
	case <-time.After(patience):
		l.mu.Lock()
		defer l.mu.Unlock()
		l.t.Fatalf("%s: streams %v have no answer", what, l.missing)
	}
	return time.Since(began)
}

// left is how many frames have no answer.
func (l *load) left() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent)
}

// newLoad begins to submit. What it returns ends that, and waits for the answers that are left.
func newLoad(t *testing.T, f *fleet.Fleet) (*load, func()) {
	t.Helper()
	l := &load{t: t, run: f.Client("", host.PriorityNormal), sent: make(map[uint64]*sent), broken: make(chan struct{})}
	var err error
	if l.of, err = l.run.Submit(t.Context(), "chaos", 0); err != nil {
		t.Fatal(err)
	}
	submitting, stop := context.WithCancel(context.Background())
	reading, end := context.WithCancel(context.Background())
	var submits, reads sync.WaitGroup
	submits.Go(func() { l.submit(submitting) })
	reads.Go(func() { l.read(reading) })
	return l, sync.OnceFunc(func() {
		stop()
		submits.Wait()
		for end := time.Now().Add(patience); l.left() > 0 && !t.Failed(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%d frames have no answer", l.left())
			}
		}
		end()
		reads.Wait()
		l.of.Close()
	})
}
